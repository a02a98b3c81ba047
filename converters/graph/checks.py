"""Checks of the numbers in a graph: those of a model, and those of a chip."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import MemoryNode, SparseNode
from neurobip.converters.quantization.formats import CURRENT, LIMIT, LONGEST_TIME
from neurobip.errors import ConversionError


def check_model(graph: Graph) -> None:
    """Check the numbers of a float graph before they are rounded.

    Raises:
        ConversionError: names the population and the number that is out of range.
    """
    for population in graph.populations:
        neuron: Any = population.neuron
        where = population.name
        match neuron:
            case LIFNode():
                within(where, "decay_u", neuron.decay_u, LONGEST_TIME, 1)
                within(where, "decay_v", neuron.decay_v, 0, 1)
                within(where, "refractory", neuron.refractory, 0, 255, whole=True)
                within(where, "drop", 0 if neuron.drop is None else neuron.drop, 0, np.inf)
            case ALIFNode():
                within(where, "decay_v", neuron.decay_v, 0, 1)
                within(where, "decay_a", neuron.decay_a, 0, 1)
                within(where, "jump", neuron.jump, 0, np.inf)
            case LINode():
                within(where, "decay_v", neuron.decay_v, 0, 1)
            case BipolarNode():
                for name in ("decay_c", "decay_h", "decay_l", "leak"):
                    within(where, name, getattr(neuron, name), 0, 1)
            case InputNode():
                within(where, "largest", neuron.largest, 1, 255, whole=True)
        for connection in population.inputs:
            check_distinct(population, connection)


def check_chip(graph: Graph) -> None:
    """Check that the numbers of an integer graph have the bits that a chip has.

    Raises:
        ConversionError: names the population and the number that has not.
    """
    for population in graph.populations:
        neuron: Any = population.neuron
        where = population.name
        bits12 = [name for name in vars(neuron) if name.startswith("decay_") or name == "leak"]
        for name in bits12:
            within(where, name, getattr(neuron, name), 0, 4095, whole=True)
        if isinstance(neuron, LIFNode | ALIFNode):
            within(where, "threshold", neuron.threshold, 1, CURRENT, whole=True)
        for name in ("bias", "drive", "drop"):
            value = getattr(neuron, name, None)
            if value is not None:
                within(where, name, value, -(2**31), 2**31 - 1, whole=True)
        if isinstance(neuron, LIFNode):
            within(where, "bias_exponent", neuron.bias_exponent, 0, 7, whole=True)
            within(where, "refractory", neuron.refractory, 0, 255, whole=True)
        if isinstance(neuron, ALIFNode):
            within(where, "jump", neuron.jump, 0, CURRENT, whole=True)
        if isinstance(neuron, LINode):
            within(where, "fraction", neuron.fraction, 0, 6, whole=True)
        if isinstance(neuron, BipolarNode):
            within(where, "shift", neuron.shift, 0, 23, whole=True)
            within(where, "ceiling", neuron.ceiling, 0, LIMIT, whole=True)
        for connection in population.inputs:
            check_weights(population, connection)


def check_weights(population: Population, connection: Connection) -> None:
    """Check that Lava takes the weights of a connection without change."""
    synapse: Any = connection.synapse
    where = f"{population.name}, from {', '.join(connection.sources)}"
    if isinstance(synapse, MemoryNode):
        for name in ("decay_shift", "fraction", "shift"):
            within(where, name, getattr(synapse, name), 0, 23, whole=True)
        return
    within(where, "exponent", connection.exponent, 0, 7, whole=True)
    weight = np.asarray(synapse.weight)
    within(where, "weight", weight, -256, 255, whole=True)
    if (weight > 0).any() and (weight < 0).any():
        if (weight % 2).any():
            raise ConversionError(f"{where}: weights of both signs are even; these are not all")
    else:
        within(where, "weight", weight, -255, 255)
    check_distinct(population, connection)


def check_distinct(population: Population, connection: Connection) -> None:
    """Check that no two weights of a Sparse connect the same two neurons."""
    synapse = connection.synapse
    if isinstance(synapse, SparseNode):
        pairs = np.stack([synapse.row, synapse.column])
        if np.unique(pairs, axis=1).shape != pairs.shape:
            raise ConversionError(
                f"{population.name}, from {', '.join(connection.sources)}: two weights of a Sparse "
                "go from one neuron to another; add them up"
            )


def within(
    where: str, name: str, value: Any, low: float, high: float, *, whole: bool = False
) -> None:
    """Check that all numbers of a value are in a range.

    Raises:
        ConversionError: they are not.
    """
    array = np.asarray(value)
    if array.size and not (array.min() >= low and array.max() <= high):
        worst = array.min() if array.min() < low else array.max()
        raise ConversionError(f"{where}: {name} = {worst:g}; expected {low:g} to {high:g}")
    if whole and array.size and not (array == np.floor(array)).all():
        raise ConversionError(f"{where}: {name} holds fractions; expected whole numbers")
