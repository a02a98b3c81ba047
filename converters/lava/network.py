"""Lava processes of a graph: in integers a quantized one, in floating point that of a network.

Lava's own ``LIFReset``, ``Dense``, ``Sparse`` and ``DelaySparse`` wherever they suffice; the
processes of :mod:`neurobip.converters.lava.processes` for readouts, soft resets, adaptive
thresholds, bipolar cells and linear memory. Samples follow each other without a gap: every
population is reset at the step at which the first step of a sample reaches it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.neuron_nodes import (
    BipolarNode,
    InputNode,
)
from neurobip.converters.graph.synapse_nodes import (
    IdentityNode,
    LinearNode,
    MemoryNode,
)
from neurobip.converters.lava.hierarchy import Join, assemble
from neurobip.converters.lava.neuron_processes import neuron_process
from neurobip.converters.lava.processes.gate import SampleGate
from neurobip.converters.lava.processes.memory import LinearMemory
from neurobip.converters.lava.processes.recorder import Recorder
from neurobip.converters.lava.schedule import Schedule, schedule


class LavaNetwork:
    """The connected processes of a graph.

    Args:
        graph: a graph in integers or in floating point.
        frames: input ``[steps, size]``, samples one after the other.
        steps_per_sample: steps until populations are reset.

    Attributes:
        timing: latencies and delays.
        populations: the Lava process of each population, by name.
        parts: after :meth:`assemble`, the processes that hold them: ``retina``, ``blocks.0`` …
    """

    def __init__(self, graph: Graph, frames: np.ndarray, steps_per_sample: int) -> None:
        self.graph, self.steps_per_sample = graph, steps_per_sample
        self.timing: Schedule = schedule(graph)
        self.populations: dict[str, Any] = {}
        self.joins: list[Join] = []
        # The source repeats its data from the start; zeros keep it silent while the network
        # answers to the last steps.
        padded = np.zeros((frames.shape[1], len(frames) + self.timing.longest), frames.dtype)
        padded[:, : len(frames)] = frames.T
        for population in graph.populations:
            if isinstance(population.neuron, InputNode):
                process = RingBuffer(data=padded)
            else:
                process = neuron_process(
                    population.neuron, population, self.reset(self.timing.latency[population.name])
                )
            process.name = population.name
            self.populations[population.name] = process
        # Only when all populations are there, since a loop leads back.
        for population in graph.populations:
            for i, connection in enumerate(population.inputs):
                self.connect(population, i, connection)

    def join(self, source: Any, target: Any) -> None:
        """Connect two ports, when the network is assembled."""
        self.joins.append((source, target))

    def assemble(self) -> Any:
        """Put all processes into parts as the model has them; returns the input process."""
        entry = self.populations[self.graph.input.name]
        self.parts = assemble(self.joins, self.populations, entry)
        return entry

    def reset(self, latency: int) -> dict[str, Any]:
        """When a part that the input reaches after ``latency`` steps is reset."""
        # Lava counts time steps from 1.
        return {"reset_interval": self.steps_per_sample, "reset_offset": latency + 1}

    def connect(self, population: Population, i: int, connection: Connection) -> None:
        """Add the connection process and wire it up."""
        name = f"{population.name}/{i}"
        target = self.populations[population.name].a_in
        if isinstance(connection.synapse, MemoryNode):
            self.connect_memory(population, i, connection)
            return
        (source,) = connection.sources
        delayed = (population.name, i, source) in self.timing.delay
        process: Any
        if isinstance(connection.synapse, LinearNode) and not delayed:
            weight = widened(connection.synapse.weight)
            coding = self.coding(source, weight, connection.exponent)
            process = Dense(weights=weight, name=name, **coding)
        else:
            shape = self.graph[source].shape
            weights = matrix(connection.synapse, shape, connection.synapse.output((shape,)))
            process = self.sparse(widened(weights), population.name, i, source, name)
        self.wire(source, connection.delay, process.s_in, name)
        self.join(process.a_out, target)

    def wire(self, source: str, delay: int, port: Any, name: str) -> None:
        """Lead the spikes of a population to a connection; a declared delay ends with a sample."""
        spikes = self.populations[source].s_out
        if delay:
            gate = SampleGate(
                size=self.graph[source].size,
                delay=delay,
                name=f"{name}/gate",
                **self.reset(self.timing.latency[source]),
            )
            self.join(spikes, gate.s_in)
            spikes = gate.s_out
        self.join(spikes, port)

    def sparse(self, weights: csr_matrix, name: str, i: int, source: str, label: str) -> Any:
        """A sparse connection process, with the delay of the schedule."""
        coding = self.coding(source, weights.data, self.graph[name].inputs[i].exponent)
        wait = self.timing.delay.get((name, i, source), 0)
        if not wait:
            return Sparse(weights=weights, name=label, **coding)
        delays = csr_matrix(
            (np.full(weights.nnz, wait), weights.indices, weights.indptr), shape=weights.shape
        )
        return DelaySparse(weights=weights, delays=delays, max_delay=wait, name=label, **coding)

    def coding(self, source: str, weight: np.ndarray, exponent: int) -> dict[str, Any]:
        """Message bits of a source, and how weights are coded."""
        negative, positive = bool((weight < 0).any()), bool((weight > 0).any())
        mode = SignMode.INHIBITORY if negative else SignMode.EXCITATORY
        if negative and positive:
            mode = SignMode.MIXED
        return {
            "num_message_bits": message_bits(self.graph[source].neuron),
            "num_weight_bits": 8,
            "weight_exp": exponent,
            "sign_mode": mode,
        }

    def connect_memory(self, population: Population, i: int, connection: Connection) -> None:
        """Add a linear memory; inputs of unequal age come through relays of weight 1."""
        memory: Any = connection.synapse
        width, height, columns = population.shape
        # Its inputs reach it one step before its output reaches the population.
        process = LinearMemory(
            width=width,
            tokens=height * columns,
            heads=memory.heads,
            decay_shift=memory.decay_shift,
            gain=memory.gain,
            fraction=memory.fraction,
            shift=memory.shift,
            name=f"{population.name}/{i}",
            **self.reset(self.timing.latency[population.name] - 1),
        )
        ports = (process.q_in, process.k_in, process.v_in)
        for source, port in zip(connection.sources, ports, strict=True):
            label = f"{population.name}/{i}/{source}"
            if (population.name, i) in self.timing.relayed:
                weights = matrix(IdentityNode(1), population.shape, population.shape)
                first = self.sparse(widened(weights), population.name, i, source, label)
                self.join(first.a_out, port)
                port = first.s_in
            self.wire(source, connection.delay, port, label)
        self.join(process.a_out, self.populations[population.name].a_in)

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
            self.join(self.populations[population.name].s_out, recorder.a_in)


def widened(weights: Any) -> Any:
    """Weights in the type that Lava computes with: 32 bits, or double precision."""
    return weights.astype(np.int32 if np.issubdtype(weights.dtype, np.integer) else np.float64)


def message_bits(neuron: Any) -> int:
    """Bits of payload that a spike of this neuron carries; 0 for plain spikes."""
    if isinstance(neuron, InputNode):
        return int(neuron.largest).bit_length()
    return int(neuron.ceiling).bit_length() if isinstance(neuron, BipolarNode) else 0
