"""Reader of NIR graphs: neurons become populations, the layers between them one synapse."""

from __future__ import annotations

from pathlib import Path

import nir

from neurobip.converters.graph.current import Current, complete, connections, settle
from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.names import NodeError, at
from neurobip.converters.graph.neuron_nodes import LINode, NeuronNode
from neurobip.converters.imports.common import input_population, place
from neurobip.converters.nir.cells import Step
from neurobip.converters.nir.file import read_nir
from neurobip.converters.nir.flat import flatten
from neurobip.converters.nir.metadata import declared_order, metadata, time_step
from neurobip.converters.nir.order import order
from neurobip.converters.nir.wiring import Wiring


def from_nir(
    graph: nir.NIRGraph | str | Path,
    dt: float | None = None,
    *,
    fires_at_threshold: bool = False,
    largest: int = 255,
) -> Graph:
    """The graph of a network in NIR, as it runs with a fixed time step.

    Populations have the names of NIR's neurons, those of a subgraph ``subgraph.node``. Layers
    between them become one synapse: a lone Linear or Conv stays what it is, a chain such as
    Conv2d, AvgPool2d, Flatten, Linear becomes its product. A bias goes into the neuron that it
    reaches. Time constants are integrated by forward Euler, see
    :mod:`neurobip.converters.nir.cells`; a spiking neuron begins at its ``v_reset``, a readout
    (LI, I, CubaLI) at 0. Where a linear layer feeds the output, it is read step by step, by a
    readout without memory.

    **Loops.** Populations are ordered from the input on, nearest first, where two are alike by the
    first edge that leads to them. A connection from a population that does not come before its
    target closes a loop, and brings the spikes of the last time step; a Delay on it comes on top. A
    bias before it is there from the first step.

    **Reset.** NIR's neurons are reset to ``v_reset`` at once, and exporters of frameworks that do
    otherwise do not say so: snnTorch's writes neither ``reset_mechanism`` nor ``reset_delay``
    (see :func:`~neurobip.converters.nir.assumptions`).
    :func:`neurobip.converters.imports.snntorch.graph_from_snntorch` reads its modules instead.

    **Dialects.** SpikingJelly's neurons fire at ``v = threshold`` too: ``fires_at_threshold``.
    Norse writes other time constants than NIR means: :func:`neurobip.converters.nir.from_norse`.

    Args:
        graph: the graph or its file.
        dt: length of a time step in seconds; by default what the graph's metadata says (ours do),
            else 1e-4.
        largest: the largest count of events that an input takes in a step, where the graph does not
            say.

    Raises:
        ConversionError: a ``dt``, an order or a ``largest`` that is none; or the node and what does
            not fit: an unknown type, a shape, a time constant shorter than ``dt``, a graded neuron
            that feeds another, a delay that is no whole number of steps, a loop without a spiking
            neuron.
    """
    if isinstance(graph, str | Path):
        graph = read_nir(graph)
    step = Step(time_step(graph, dt), fires_at_threshold)
    return assemble(Wiring(flatten(graph), step), largest, declared_order(graph))


def assemble(wiring: Wiring, largest: int, known: list[str]) -> Graph:
    """The graph of what a wiring holds."""
    flat = wiring.flat
    neurons: dict[str, NeuronNode] = {}
    currents: dict[str, Current] = {}
    for name, cell in wiring.cells.items():
        with at(name):
            currents[name] = wiring.into(name).scaled(cell.gain)
            neurons[name] = settle(cell.neuron, currents[name].constant)
    outputs = [observed(wiring, name) for name in flat.outputs]
    for name in outputs:
        if name not in wiring.cells:
            currents[name] = wiring.output(name)
            neurons[name] = settle(LINode(1.0), currents[name].constant)
    sources = {
        name: [source for route in current.routes for source in route.sources]
        for name, current in currents.items()
    }
    for name, before in sources.items():
        if graded := [source for source in before if isinstance(neurons.get(source), LINode)]:
            raise NodeError(
                f"{name}: its source {graded[0]!r} sends its membrane potential and no spikes; "
                "LI, I and CubaLI can only be outputs"
            )
    shape = place(wiring.dims[flat.input])
    with at(flat.input):
        most = metadata(flat.nodes[flat.input]).get("largest", largest)
        populations = [input_population(flat.input, shape, most)]
    names = order(flat, sources, known)
    for i, name in enumerate(names):
        with at(name):
            inputs = connections(currents[name], dict.fromkeys(names[i:], 1))
            shape = neurons[name].population(currents[name].shape)
        populations.append(Population(name, shape, neurons[name], inputs))
    return complete(populations, outputs)


def observed(wiring: Wiring, name: str) -> str:
    """What an output reads: a population, also after a Flatten, or else a layer without neurons."""
    if name in wiring.cells:
        return name
    if name == wiring.flat.input:
        raise NodeError(f"{name}: the Input node feeds an Output node, with nothing in between")
    population = wiring.output(name).population()
    return population if population in wiring.cells else name
