"""Lava processes of populations, one rule a neuron."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.proc.lif.process import LIFReset

from neurobip.converters.graph.graph import Population
from neurobip.converters.graph.neuron_nodes import (
    ALIFNode,
    BipolarNode,
    LIFNode,
    LINode,
    spread,
)
from neurobip.converters.graph.synapse_nodes import kind
from neurobip.converters.lava.processes.adaptive import AdaptiveLIF
from neurobip.converters.lava.processes.bipolar import Bipolar as BipolarCells
from neurobip.converters.lava.processes.lif import VariantLIF
from neurobip.converters.lava.processes.readout import Readout
from neurobip.errors import ConversionError


def entries(value: Any, population: Population) -> np.ndarray:
    """A constant of a population with one entry a neuron, flat."""
    return spread(value, population.shape).reshape(-1)


@singledispatch
def neuron_process(neuron: Any, population: Population, reset: dict[str, Any]) -> Any:
    """The Lava process of a population.

    Raises:
        ConversionError: no process is known for this neuron.
    """
    raise ConversionError(
        f"{population.name}: no Lava process is known for a population of {kind(neuron)}"
    )


@neuron_process.register
def _(neuron: LIFNode, population: Population, reset: dict[str, Any]) -> Any:
    bias = 0 if neuron.bias is None else neuron.bias
    if neuron.stock:
        mantissa = bias >> neuron.bias_exponent if neuron.bias_exponent else bias
        return LIFReset(
            shape=(population.size,),
            du=neuron.decay_u,
            dv=neuron.decay_v,
            vth=neuron.threshold,
            bias_mant=entries(mantissa, population),
            bias_exp=neuron.bias_exponent,
            **reset,
        )
    return VariantLIF(
        shape=(population.size,),
        decay_u=entries(neuron.decay_u, population),
        decay_v=entries(neuron.decay_v, population),
        vth=entries(neuron.threshold, population),
        bias=entries(bias, population),
        drive=entries(0 if neuron.drive is None else neuron.drive, population),
        drop=None if neuron.drop is None else entries(neuron.drop, population),
        refractory=neuron.refractory,
        at_threshold=neuron.at_threshold,
        **reset,
    )


@neuron_process.register
def _(neuron: ALIFNode, population: Population, reset: dict[str, Any]) -> Any:
    return AdaptiveLIF(
        shape=(population.size,),
        decay_v=entries(neuron.decay_v, population),
        vth=neuron.threshold,
        decay_a=neuron.decay_a,
        jump=neuron.jump,
        **reset,
    )


@neuron_process.register
def _(neuron: LINode, population: Population, reset: dict[str, Any]) -> Any:
    return Readout(
        shape=(population.size,),
        decay_v=entries(neuron.decay_v, population),
        bias=entries(0 if neuron.bias is None else neuron.bias, population),
        fraction=neuron.fraction,
        **reset,
    )


@neuron_process.register
def _(neuron: BipolarNode, population: Population, reset: dict[str, Any]) -> Any:
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
