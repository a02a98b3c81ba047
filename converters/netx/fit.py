"""A quantized graph in the numbers that netx has, or the reason why it has none for it.

netx holds a chain of layers, each a convolution or a dense matrix and a CUBA LIF population. It has
no exponent on weights, and biases in whole steps of ``a`` (``a << 6`` in the membrane).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.neuron_nodes import LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    MemoryNode,
    kind,
)
from neurobip.converters.quantization.bounds import range_of
from neurobip.converters.quantization.formats import CURRENT, SHIFT
from neurobip.converters.quantization.quantized import LayerReport, QuantizedGraph
from neurobip.errors import ConversionError

LARGEST_BIAS = 4095
"""A mantissa of 12 bits and a sign; netx multiplies it by ``2**6``."""


def fit(quantized: QuantizedGraph) -> QuantizedGraph:
    """The same network in the numbers that netx has.

    The exponent of a population's weights is taken off its scale instead: thresholds and biases
    are divided by it and rounded, biases to whole steps of ``a``. A readout gets the 6 fraction
    bits of a membrane. Weights and decays do not change.

    Raises:
        ConversionError: names the population that netx cannot hold, and why.
    """
    graph = quantized.graph
    populations, reports = [graph.input], []
    units = dict(quantized.units)
    for source, population in chain(graph):
        with about(population):
            populations.append(fit_population(population))
        reports.append(refit(quantized.layer(population.name), source, population, populations[-1]))
        if isinstance(population.neuron, LINode):
            units[population.name] = 1 / (reports[-1].scale * 2**SHIFT)
    return QuantizedGraph(Graph(tuple(populations), graph.outputs), units, tuple(reports))


def chain(graph: Graph) -> Iterator[tuple[Population, Population]]:
    """The populations after the input, each with its source.

    Raises:
        ConversionError: names the population with other sources, or that is read in between.
    """
    for before, population in zip(graph.populations, graph.populations[1:], strict=False):
        connections = population.inputs
        if len(connections) > 1 or connections[0].sources != (before.name,):
            others = ", ".join(name for c in connections for name in c.sources)
            raise ConversionError(
                f"{population.name}: netx holds layers in a row; this one has the sources "
                f"{others}, not {before.name} alone"
            )
        yield before, population
    last = graph.populations[-1].name
    if len(graph.populations) < 2 or graph.outputs != (last,):
        raise ConversionError(
            f"outputs {', '.join(graph.outputs)}: netx gives the last layer alone, which is {last}"
        )


def fit_population(population: Population) -> Population:
    """A population with weights without exponent and a bias of whole steps of ``a``.

    Raises:
        ConversionError: continues "netx": what it does not have.
    """
    (connection,) = population.inputs
    if isinstance(connection.synapse, MemoryNode):
        raise ConversionError("has no attention memory")
    if connection.delay:
        raise ConversionError(
            f"has no delay that ends with a sample; its input is {connection.delay} steps late"
        )
    neuron: Any = population.neuron
    if isinstance(neuron, LIFNode):
        absent = {"drive": None, "drop": None, "refractory": 0, "at_threshold": False}
        other = [name for name, none in absent.items() if getattr(neuron, name) is not none]
        if other:
            raise ConversionError(f"has the plain LIF alone; this one has {', '.join(other)}")
    elif not isinstance(neuron, LINode):
        raise ConversionError(f"has no {kind(neuron)}; LIF, and LI as the last layer")
    constants = ("decay_u", "decay_v", "threshold")
    for name in constants:
        if np.ndim(getattr(neuron, name, 0)):
            raise ConversionError(f"has one {name} a layer; here neurons differ in it")
    fitted: Any
    if isinstance(neuron, LIFNode):
        threshold = round(neuron.threshold / 2**connection.exponent)
        if not threshold:
            raise ConversionError("has no exponent on weights; without, the threshold rounds to 0")
        bias = whole(neuron.bias, 2.0**-connection.exponent)
        fitted = replace(neuron, threshold=threshold, bias=bias, bias_exponent=SHIFT)
    else:
        bias = whole(neuron.bias, 2.0 ** (SHIFT - neuron.fraction - connection.exponent))
        fitted = replace(neuron, fraction=SHIFT, bias=bias)
    return replace(population, neuron=fitted, inputs=(replace(connection, exponent=0),))


def whole(bias: np.ndarray | None, factor: float) -> np.ndarray | None:
    """A bias times a factor, rounded to steps of one ``a``."""
    if bias is None:
        return None
    mantissa = np.round(bias * factor / 2**SHIFT).astype(np.int32)
    if abs(mantissa).max(initial=0) > LARGEST_BIAS:
        raise ConversionError(
            f"holds biases up to {LARGEST_BIAS} steps; this one takes {abs(mantissa).max()}"
        )
    return mantissa << SHIFT


def refit(
    layer: LayerReport, source: Population, before: Population, fitted: Population
) -> LayerReport:
    """The report of a population after :func:`fit`."""
    low, high = range_of({source.name: source}, fitted)
    return replace(
        layer,
        scale=layer.scale / 2 ** before.inputs[0].exponent,
        threshold=getattr(fitted.neuron, "threshold", 0),
        exponents=(0,),
        largest_current=round(max(high, -low)),
        capacity=CURRENT if isinstance(fitted.neuron, LINode) else layer.capacity,
    )


def check_readout(population: Population, largest: int) -> None:
    """Check that a readout keeps within the membrane of a LIF, which wraps and would fire.

    Raises:
        ConversionError: continues "netx": what it does.
    """
    neuron = population.neuron
    if not isinstance(neuron, LINode):
        return
    constant = 0 if neuron.bias is None else int(abs(neuron.bias).max())
    gained = (largest * 2**SHIFT + constant) * 4096 / max(1, neuron.decay_v)
    if gained > CURRENT << SHIFT:
        raise ConversionError(
            f"reads membranes of 24 bits, {SHIFT} of them fraction; this one's potential can take "
            f"{int(gained).bit_length() + 1}. End the network in a LIF"
        )


@contextmanager
def about(population: Population) -> Iterator[None]:
    """Put the name of a population before what netx does."""
    try:
        yield
    except ConversionError as error:
        raise ConversionError(f"{population.name}: netx {error}") from None
