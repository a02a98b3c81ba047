"""From a quantized graph to Lava processes.

Lava's own ``LIFReset``, ``Dense``, ``Sparse`` and ``DelaySparse`` wherever they suffice; the
processes of :mod:`neurobip.converters.lava.processes` for readouts, adaptive thresholds, bipolar
cells and linear memory. Samples follow each other without a gap: every population starts afresh at
the step at which the first step of a sample reaches it.
"""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from neurobip.converters.graph import Connection, Graph, Population
from neurobip.converters.lava.matrix import matrix
from neurobip.converters.lava.processes.adaptive import AdaptiveLIF
from neurobip.converters.lava.processes.bipolar import Bipolar as BipolarCells
from neurobip.converters.lava.processes.memory import LinearMemory
from neurobip.converters.lava.processes.readout import Readout
from neurobip.converters.lava.processes.recorder import Recorder
from neurobip.converters.lava.schedule import Schedule, schedule
from neurobip.converters.neurons import ALIF, LI, LIF, Bipolar, Input
from neurobip.converters.synapses import Identity, Linear, Memory
from neurobip.errors import ConversionError


class LavaNetwork:
    """The processes of a graph, connected.

    Args:
        graph: a graph in integers.
        frames: input ``[steps, size]``, samples one behind the other.
        steps_per_sample: when populations start afresh.

    Attributes:
        timing: latencies and delays.
        populations: the Lava process of each population, by name.
    """

    def __init__(self, graph: Graph, frames: np.ndarray, steps_per_sample: int) -> None:
        self.graph, self.steps_per_sample = graph, steps_per_sample
        self.timing: Schedule = schedule(graph)
        self.populations: dict[str, Any] = {}
        # The source repeats its data from the start; zeros keep it silent while the network
        # answers to the last steps.
        padded = np.zeros((frames.shape[1], len(frames) + self.timing.longest), dtype=np.int32)
        padded[:, : len(frames)] = frames.T
        for population in graph.populations:
            if isinstance(population.neuron, Input):
                process = RingBuffer(data=padded)
            else:
                process = neuron_process(
                    population.neuron, population, self.reset(self.timing.latency[population.name])
                )
            process.name = population.name
            self.populations[population.name] = process
            for i, connection in enumerate(population.inputs):
                self.connect(population, i, connection)

    def reset(self, latency: int) -> dict[str, Any]:
        """When a part that hears the input after ``latency`` steps starts afresh."""
        # Lava counts time steps from 1.
        return {"reset_interval": self.steps_per_sample, "reset_offset": latency + 1}

    def connect(self, population: Population, i: int, connection: Connection) -> None:
        """Add the connection process and wire it up."""
        name = f"{population.name}/{i}"
        target = self.populations[population.name].a_in
        if isinstance(connection.synapse, Memory):
            self.connect_memory(population, i, connection)
            return
        (source,) = connection.sources
        delayed = (population.name, i, source) in self.timing.delay
        process: Any
        if isinstance(connection.synapse, Linear) and not delayed:
            weight = connection.synapse.weight.astype(np.int32)
            process = Dense(weights=weight, name=name, **self.coding(source, weight))
        else:
            shape = self.graph[source].shape
            weights = matrix(connection.synapse, shape, connection.synapse.output((shape,)))
            process = self.sparse(weights, population.name, i, source, name)
        self.populations[source].s_out.connect(process.s_in)
        process.a_out.connect(target)

    def sparse(self, weights: csr_matrix, name: str, i: int, source: str, label: str) -> Any:
        """A sparse connection process, with the delay that the schedule asks for."""
        coding = self.coding(source, weights.data)
        wait = self.timing.delay.get((name, i, source), 0)
        if not wait:
            return Sparse(weights=weights, name=label, **coding)
        delays = csr_matrix(
            (np.full(weights.nnz, wait), weights.indices, weights.indptr), shape=weights.shape
        )
        return DelaySparse(weights=weights, delays=delays, max_delay=wait, name=label, **coding)

    def coding(self, source: str, weight: np.ndarray) -> dict[str, Any]:
        """Message bits of a source, and the sign mode of weights."""
        negative, positive = bool((weight < 0).any()), bool((weight > 0).any())
        mode = SignMode.INHIBITORY if negative else SignMode.EXCITATORY
        if negative and positive:
            mode = SignMode.MIXED
        return {
            "num_message_bits": message_bits(self.graph[source].neuron),
            "num_weight_bits": 8,
            "sign_mode": mode,
        }

    def connect_memory(self, population: Population, i: int, connection: Connection) -> None:
        """Add a linear memory; inputs of unequal age come through relays of weight 1."""
        memory: Any = connection.synapse
        width, height, columns = population.shape
        # It hears its inputs one step before its population hears the memory.
        process = LinearMemory(
            width=width,
            tokens=height * columns,
            heads=memory.heads,
            decay_shift=memory.decay_shift,
            fraction=memory.fraction,
            shift=memory.shift,
            name=f"{population.name}/{i}",
            **self.reset(self.timing.latency[population.name] - 1),
        )
        ports = (process.q_in, process.k_in, process.v_in)
        for source, port in zip(connection.sources, ports, strict=True):
            spikes = self.populations[source].s_out
            if (population.name, i) in self.timing.relayed:
                weights = matrix(Identity(1), population.shape, population.shape)
                label = f"{population.name}/{i}/{source}"
                relay = self.sparse(weights, population.name, i, source, label)
                spikes.connect(relay.s_in)
                spikes = relay.a_out
            spikes.connect(port)
        process.a_out.connect(self.populations[population.name].a_in)

    def record(self, folder: Path) -> None:
        """Attach a recorder to every population, into files that :mod:`.run` prepared."""
        for slot, population in enumerate(self.graph.populations):
            recorder = Recorder(
                size=population.size,
                file=folder / f"{slot}.npy",
                progress=folder / "progress.npy",
                slot=slot,
                name=f"{population.name}/recorder",
            )
            self.populations[population.name].s_out.connect(recorder.a_in)


def message_bits(neuron: Any) -> int:
    """Bits of payload that a spike of this neuron carries; 0 for plain spikes."""
    if isinstance(neuron, Input):
        return int(neuron.largest).bit_length()
    return int(neuron.ceiling).bit_length() if isinstance(neuron, Bipolar) else 0


@singledispatch
def neuron_process(neuron: Any, population: Population, reset: dict[str, Any]) -> Any:
    """The Lava process of a population.

    Raises:
        ConversionError: no process is known for this neuron.
    """
    raise ConversionError(
        f"{population.name}: no Lava process is known for a population of {type(neuron).__name__}"
    )


@neuron_process.register
def _(neuron: LIF, population: Population, reset: dict[str, Any]) -> Any:
    mantissa = np.zeros(population.shape[0], dtype=np.int32)
    if neuron.bias is not None:
        mantissa = neuron.bias >> neuron.bias_exponent
    return LIFReset(
        shape=(population.size,),
        du=neuron.decay_u,
        dv=neuron.decay_v,
        vth=neuron.threshold,
        bias_mant=np.repeat(mantissa, population.size // population.shape[0]),
        bias_exp=neuron.bias_exponent,
        **reset,
    )


@neuron_process.register
def _(neuron: ALIF, population: Population, reset: dict[str, Any]) -> Any:
    return AdaptiveLIF(
        shape=(population.size,),
        decay_v=np.repeat(neuron.decay_v, population.size // population.shape[0]),
        vth=neuron.threshold,
        decay_a=neuron.decay_a,
        jump=neuron.jump,
        **reset,
    )


@neuron_process.register
def _(neuron: LI, population: Population, reset: dict[str, Any]) -> Any:
    return Readout(
        shape=(population.size,), decay_v=neuron.decay_v, fraction=neuron.fraction, **reset
    )


@neuron_process.register
def _(neuron: Bipolar, population: Population, reset: dict[str, Any]) -> Any:
    return BipolarCells(
        pixels=population.shape[1] * population.shape[2],
        decay_c=neuron.decay_c,
        decay_h=neuron.decay_h,
        decay_l=neuron.decay_l,
        leak=neuron.leak,
        shift=neuron.shift,
        ceiling=neuron.ceiling,
        **reset,
    )
