"""Lava processes of a graph that learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.proc.io.source import RingBuffer
from lava.proc.sparse.process import DelaySparse, Sparse
from scipy.sparse import csr_matrix

from neurobip.converters.graph.graph import Connection, Population
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.lava.learning.plan import (
    Feedback,
    LearningLIFNode,
    LearningLINode,
    Plan,
    synapse_entries,
)
from neurobip.converters.lava.network import LavaNetwork
from neurobip.converters.lava.neuron_processes import entries, neuron_process
from neurobip.converters.lava.processes import plastic_neurons
from neurobip.converters.lava.processes.plastic import PlasticSynapses, three_factor_rule


class LearningNetwork(LavaNetwork):
    """The connected processes of a graph that learns.

    Args:
        plan: what learns, and when.
        frames: input ``[steps, size]``, samples one after the other.
        labels: one a sample, -1 where nothing is to be learned.
        steps_per_sample: steps until populations are reset.
        folder: holds ``<population>-<connection>.weights.npy``, into which the weights go.
        stride: steps between two records of the weights.
    """

    def __init__(
        self,
        plan: Plan,
        frames: np.ndarray,
        labels: np.ndarray,
        steps_per_sample: int,
        folder: Path,
        stride: int,
    ) -> None:
        self.plan, self.folder, self.stride = plan, folder, stride
        super().__init__(plan.graph, frames, steps_per_sample)
        for population in plan.readouts():
            self.connect_labels(population, labels)
        for path in plan.feedback:
            self.connect_feedback(path)

    def connect(self, population: Population, i: int, connection: Connection) -> None:
        """Add the process of a connection and wire it."""
        part = self.plan.plastic.get((population.name, i))
        if part is None:
            super().connect(population, i, connection)
            return
        (source,) = connection.sources
        latency = self.timing.latency[source]
        row, column, which = synapse_entries(
            connection.synapse, self.graph[source].shape, population.shape
        )
        synapse: Any = connection.synapse
        process = PlasticSynapses(
            weights=synapse.weight.reshape(-1),
            row=row,
            column=column,
            which=which,
            targets=population.size,
            sources=self.graph[source].size,
            exponent=connection.exponent,
            lag=part.lag,
            learning_rule=three_factor_rule(
                part.decay, part.impulse, part.exponent, self.plan.rule.seed
            ),
            file=weights_file(self.folder, population.name, i),
            first=self.timing.latency[population.name] - 1,
            stride=self.stride,
            name=f"{population.name}/{i}",
            **self.reset(latency + part.lag),
        )
        self.wire(source, connection.delay, process.s_in, f"{population.name}/{i}")
        self.join(process.a_out, self.populations[population.name].a_in)
        self.join(self.populations[population.name].s_out_y1, process.s_in_y1)

    def connect_labels(self, population: Population, labels: np.ndarray) -> None:
        """Connect the labels of a readout, delayed as the steps that they belong to."""
        neuron: Any = population.neuron
        late = self.timing.latency[population.name] + neuron.held
        steps = self.steps_per_sample
        data = np.zeros((population.size, len(labels) * steps + self.plan.longest), dtype=np.int32)
        for sample, label in enumerate(labels):
            if label >= 0:
                begin = sample * steps + late
                data[label, begin + self.plan.rule.skip : begin + steps] = 1
        source = RingBuffer(data=data)
        source.name = f"{population.name}/labels"
        self.join(source.s_out, self.populations[population.name].a_third_factor_in)

    def connect_feedback(self, path: Feedback) -> None:
        """Connect an error through the transpose of a connection, with the exported weights."""
        reader = self.graph[path.reader]
        synapse: Any = reader.inputs[path.i].synapse
        forward = matrix(synapse, self.graph[path.source].shape, reader.shape)
        weights = csr_matrix(forward.T.astype(np.float64))
        label = f"{path.reader}/{path.i}/feedback"
        # Errors are graded spikes of as many bits as Lava lets them have.
        coding = {"weights": weights, "num_message_bits": 24, "name": label}
        process: Any
        if path.wait:
            delays = csr_matrix(
                (np.full(weights.nnz, path.wait), weights.indices, weights.indptr),
                shape=weights.shape,
            )
            process = DelaySparse(delays=delays, max_delay=path.wait, **coding)
        else:
            process = Sparse(**coding)
        self.join(self.populations[path.reader].s_out_y1, process.s_in)
        self.join(process.a_out, self.populations[path.source].a_third_factor_in)


def weights_file(folder: Path, name: str, i: int) -> Path:
    """Where the weights of a plastic connection are recorded."""
    return folder / f"{name}-{i}.weights.npy"


@neuron_process.register
def _(neuron: LearningLIFNode, population: Population, reset: dict[str, Any]) -> Any:
    return plastic_neurons.LearningLIF(
        shape=(population.size,),
        du=neuron.decay_u,
        dv=neuron.decay_v,
        vth=neuron.threshold,
        bias_mant=entries(0 if neuron.bias is None else neuron.bias, population),
        held=neuron.held,
        width=neuron.width,
        **reset,
    )


@neuron_process.register
def _(neuron: LearningLINode, population: Population, reset: dict[str, Any]) -> Any:
    return plastic_neurons.LearningReadout(
        shape=(population.size,),
        decay_v=entries(neuron.decay_v, population),
        bias=entries(0 if neuron.bias is None else neuron.bias, population),
        fraction=neuron.fraction,
        gain=neuron.gain,
        shift=neuron.shift,
        held=neuron.held,
        **reset,
    )
