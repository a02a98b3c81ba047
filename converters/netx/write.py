"""Export to the HDF5 that ``lava.lib.dl.netx.hdf5.Network`` of lava-dl 0.6 reads.

How it is run is no part of the file but given to ``Network``: ``input_message_bits`` are
:func:`message_bits`; ``reset_interval=T`` and ``reset_offset=1`` let samples of ``T`` steps follow
each other. Frames come flat in (C, H, W) order where the first layer is dense, and as (W, H, C)
where it is a convolution. Layer ``i``, from 1, answers ``i`` steps late. A readout is the membrane
``v`` of the last layer's neurons, which never fire. :mod:`neurobip.converters.lava.netx` does all
of this.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py

from neurobip.atomic import write_atomic
from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.matrix import matrix
from neurobip.converters.graph.neuron_nodes import spread
from neurobip.converters.graph.synapse_nodes import ConvNode
from neurobip.converters.netx.fit import about, chain, check_readout, fit_population
from neurobip.converters.quantization.formats import CURRENT, SHIFT
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError


def write_netx(quantized: QuantizedGraph, path: str | Path) -> None:
    """Write a graph that :func:`fit` returned.

    An existing file is replaced only by a complete one.

    Raises:
        ConversionError: names the population that netx cannot hold, and why.
    """
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for i, layer in enumerate(layers(quantized)):
            for key, value in layer.items():
                file[f"layer/{i}/{key}"] = value
        file.attrs["input_message_bits"] = message_bits(quantized.graph)
        file.attrs["populations"] = [p.name for p in quantized.graph.populations]
    write_atomic(path, content.getvalue())


def layers(quantized: QuantizedGraph) -> list[dict[str, Any]]:
    """What the file holds of each layer, by its keys.

    Raises:
        ConversionError: names the population that netx would read wrongly or compute otherwise.
    """
    graph = quantized.graph
    entries: list[dict[str, Any]] = [{"type": "input", "shape": graph.input.shape}]
    for source, population in chain(graph):
        with about(population):
            check_fitted(population)
            largest = quantized.layer(population.name).largest_current
            check_readout(population, largest)
            placed = entries[-1]["type"] != "dense"
            if placed and isinstance(population.inputs[0].synapse, ConvNode):
                entries.append(convolution(population, largest))
                continue
            # A dense layer in the file has no places, which its reader takes in this order.
            if entries[-1]["type"] == "conv":
                entries.append({"type": "flatten", "shape": (source.size, 1, 1)})
            entries.append(matrix_of(source, population))
    return entries


def message_bits(graph: Graph) -> int:
    """Bits of the input's messages, what ``Network`` takes as ``input_message_bits``; 0 for spikes.

    Counts above :attr:`~neurobip.converters.graph.neuron_nodes.InputNode.largest` have to
    be cut to it before.
    """
    source: Any = graph.input.neuron
    return int(source.largest).bit_length() if source.largest > 1 else 0


def check_fitted(population: Population) -> None:
    """Check that a population is what :func:`~neurobip.converters.netx.fit.fit` makes of it.

    Raises:
        ConversionError: continues "netx": what it does not have.
    """
    neuron: Any = population.neuron
    fitted: Any = fit_population(population).neuron
    if population.inputs[0].exponent:
        raise ConversionError("has no exponent on weights; fit() takes it off")
    if getattr(neuron, "fraction", SHIFT) != SHIFT:
        raise ConversionError(f"reads membranes with {SHIFT} bits of fraction; fit() gives them")
    if neuron.bias is not None and (neuron.bias != fitted.bias).any():
        raise ConversionError("has biases of whole steps of a; fit() rounds them")


def convolution(population: Population, largest: int) -> dict[str, Any]:
    """A layer that is a convolution."""
    if largest >= 2**23:
        raise ConversionError(f"adds up a convolution in 24 bits; a current can reach {largest}")
    synapse: Any = population.inputs[0].synapse
    return {
        "type": "conv",
        "shape": population.shape,
        "weight": synapse.weight,
        "stride": synapse.stride,
        "padding": synapse.padding,
        "dilation": synapse.dilation,
        "groups": synapse.groups,
    } | neuron_of(population, flat=False)


def matrix_of(source: Population, population: Population) -> dict[str, Any]:
    """A layer that is a dense matrix."""
    synapse = population.inputs[0].synapse
    weight = matrix(synapse, source.shape, population.shape).toarray()
    if not (weight > 0).any():
        # The reader scales these by a power of two that cuts the most negative one.
        raise ConversionError("misreads dense weights of which none is positive")
    return {
        "type": "dense",
        "shape": (population.size, 1, 1),
        "weight": weight,
    } | neuron_of(population, flat=True)


def neuron_of(population: Population, flat: bool) -> dict[str, Any]:
    """The neurons of a layer, with their bias."""
    neuron: Any = population.neuron
    entry: dict[str, Any] = {
        "neuron/type": "CUBA",
        # Lava's neuron adds one to du, which the reader takes off.
        "neuron/iDecay": getattr(neuron, "decay_u", 4095) + 1,
        "neuron/vDecay": neuron.decay_v,
        "neuron/vThMant": getattr(neuron, "threshold", CURRENT),
        "neuron/refDelay": 1,
        "neuron/gradedSpike": False,
    }
    if neuron.bias is not None:
        mantissa = neuron.bias >> SHIFT
        if flat:
            entry["bias"] = spread(mantissa, population.shape).reshape(-1)
        else:
            entry["bias"] = mantissa if mantissa.ndim == 1 else mantissa.transpose(2, 1, 0)
    return entry
