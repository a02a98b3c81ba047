"""Networks of snnTorch, read module by module.

The exporter of snnTorch leaves out how its neurons are reset and needs a tensor of parameters for
each; here nothing is left out, and what has no counterpart is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
from torch import Tensor, nn

from neurobip.converters.graph.current import Current, add, complete, connections, settle
from neurobip.converters.graph.graph import Graph, Population
from neurobip.converters.graph.names import INPUT, at
from neurobip.converters.graph.neuron_nodes import LINode
from neurobip.converters.imports.common import Dims, input_population, place
from neurobip.converters.imports.snntorch_cells import RECURRENT, SUPPORTED, neuron, numbers
from neurobip.converters.imports.snntorch_plain import DROPOUTS, NORMS, ONE_TO_ONE, check_plain
from neurobip.converters.nir.layers import layer
from neurobip.errors import ConversionError


def graph_from_snntorch(
    module: nn.Module,
    sample_shape: tuple[int, ...],
    *,
    largest: int = 255,
    plain_subtract: bool = False,
) -> Graph:
    """The graph of a network of snnTorch, spike for spike.

    Takes an ``nn.Sequential``, nested or not, of Linear, Conv1d, Conv2d, AvgPool2d (with
    ``divisor_override=1`` a sum), Flatten, BatchNorm1d and 2d in evaluation mode, Dropout and
    Identity, and of Leaky, Synaptic, RLeaky and RSynaptic; parameters may be learned, one for all
    or one a neuron. A subclass is taken if it runs as its class does; code of its own, hooks and
    parametrizations are refused. Populations have the names of the neurons' modules. The last
    neuron is the output and read by its spikes; layers after it are read step by step.

    Args:
        sample_shape: shape of the input at one step, without batch and time: ``(N,)``, ``(C, L)``
            or ``(C, H, W)``.
        largest: the largest count of events that an input takes in a step.
        plain_subtract: see :mod:`neurobip.converters.imports.snntorch_cells`.

    Raises:
        ConversionError: the module's name, and what it has that no graph can hold.
    """
    dims: Dims = tuple(int(n) for n in sample_shape)
    with at("sample_shape"):
        shape = place(dims)
    populations = [input_population(INPUT, shape, largest)]
    current = Current.of(INPUT, shape)
    seen: set[int] = set()
    name = INPUT
    for name, part in leaves(module, ""):
        with at(name):
            if not isinstance(part, SUPPORTED):
                current, dims = after(part, current, dims)
                continue
            if id(part) in seen:
                raise ConversionError("these neurons occur twice in the network, with one state")
            if name == INPUT:
                raise ConversionError("is the name of the input population too; rename the module")
            seen.add(id(part))
            into = add([current, *recurrence(part, name, dims)])
            cell = neuron(part, dims, into, {INPUT: largest}, plain_subtract)
            inputs = connections(into, {name: 1})
            populations.append(Population(name, place(dims), settle(cell, into.constant), inputs))
            factor = numbers(part, "graded_spikes_factor", dims)
            current = Current.of(name, place(dims)).scaled(factor)
    output = current.population()
    if output is None or output == INPUT:
        if any(p.name == name for p in populations):
            raise ConversionError(
                f"{name}: the last neurons have a graded_spikes_factor; their output is spikes"
            )
        readout = settle(LINode(1.0), current.constant)
        inputs = connections(current, {})
        populations.append(Population(name, current.shape, readout, inputs))
        output = name
    return complete(populations, [output])


def leaves(module: nn.Module, name: str) -> Iterator[tuple[str, Any]]:
    """The modules of a network in the order in which they run, with dotted names.

    Raises:
        ConversionError: a module that does not run as its class does.
    """
    with at(name or type(module).__name__):
        check_plain(module)
    if not isinstance(module, nn.Sequential):
        yield name or type(module).__name__, module
        return
    for own, part in module._modules.items():
        if part is not None:
            yield from leaves(part, f"{name}.{own}" if name else own)


def after(part: Any, current: Current, dims: Dims) -> tuple[Current, Dims]:
    """The current after a layer, and its shape.

    Raises:
        ConversionError: a module without a rule, or in training mode where that matters.
    """
    if isinstance(part, nn.Identity):
        return current, dims
    if isinstance(part, DROPOUTS):
        if part.training:
            raise ConversionError("drops spikes in training mode; call eval() on the network")
        return current, dims
    if isinstance(part, NORMS):
        factor, shift = batch_norm(part)
        if len(factor) != dims[0] or (len(dims) == 3) != isinstance(part, nn.BatchNorm2d):
            raise ConversionError(f"{type(part).__name__}({len(factor)}) does not fit {dims}")
        gain = np.broadcast_to(factor[:, None, None], place(dims))
        return current.scaled(gain).plus(shift), dims
    for node in nodes(part):
        found = layer(node, dims)
        current, dims = found.after(current), found.dims
    return current, dims


def batch_norm(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation with its running statistics, ``y = factor x + shift``.

    Shape:
        two arrays ``[C]``.

    Raises:
        ConversionError: it takes the statistics of each batch.
    """
    if norm.training or norm.running_mean is None or norm.running_var is None:
        raise ConversionError(
            "normalises by the statistics of each batch; call eval() on a network that keeps "
            "running statistics"
        )
    mean, variance = parameter(norm.running_mean), parameter(norm.running_var)
    factor = 1 / np.sqrt(variance + norm.eps)
    if norm.affine:
        factor = factor * parameter(norm.weight)
        return factor, parameter(norm.bias) - mean * factor
    return factor, -mean * factor


def nodes(part: Any) -> list[Any]:
    """The NIR nodes that say what a module of torch does, its batch axis left out.

    Raises:
        ConversionError: no rule takes the module, or an option of it, to a graph.
    """
    match part:
        case nn.Linear():
            weight = parameter(part.weight)
            if part.bias is None:
                return [nir.Linear(weight)]
            return [nir.Affine(weight, parameter(part.bias))]
        case nn.Conv1d() | nn.Conv2d():
            if part.padding_mode != "zeros":
                raise ConversionError(f"padding_mode {part.padding_mode!r}; expected 'zeros'")
            kind: Any = nir.Conv1d if isinstance(part, nn.Conv1d) else nir.Conv2d
            bias = np.zeros(part.out_channels) if part.bias is None else parameter(part.bias)
            options = (part.stride, part.padding, part.dilation, part.groups)
            return [kind(None, parameter(part.weight), *options, bias)]
        case nn.AvgPool2d():
            if part.ceil_mode or (np.any(part.padding) and not part.count_include_pad):
                raise ConversionError(
                    "AvgPool2d whose windows hold different numbers of places (ceil_mode, or "
                    "padding that is not counted)"
                )
            places = int(np.prod(np.broadcast_to(part.kernel_size, 2)))
            pool = nir.SumPool2d(part.kernel_size, part.stride, part.padding)
            return [pool, nir.Scale(np.array(1 / (part.divisor_override or places)))]
        case nn.Flatten():
            if part.start_dim == 0:
                raise ConversionError("flattens the batch too; expected start_dim=1")
            start, end = (n - 1 if n > 0 else n for n in (part.start_dim, part.end_dim))
            return [nir.Flatten(None, start, end)]
    raise ConversionError(
        f"no rule takes a {type(part).__module__}.{type(part).__qualname__} to a graph; expected "
        "an nn.Sequential of Linear, Conv, AvgPool2d, Flatten, BatchNorm and of Leaky, Synaptic, "
        "RLeaky, RSynaptic. Other networks can come through NIR (snntorch.export_nir, from_nir)"
    )


def recurrence(part: Any, name: str, dims: Dims) -> list[Current]:
    """What neurons send to themselves, if they do; their bias does not wait for a spike."""
    if not isinstance(part, RECURRENT):
        return []
    with at(f"{name}.recurrent"):
        check_plain(part.recurrent)
    own = Current.of(name, place(dims))
    if isinstance(part.recurrent, ONE_TO_ONE):
        return [own.scaled(numbers(part.recurrent, "V", dims))]
    sent, shape = after(part.recurrent, own, dims)
    if shape != dims:
        raise ConversionError(f"its recurrent layer makes {shape} of {dims}")
    return [sent]


def parameter(tensor: Tensor) -> np.ndarray:
    """A parameter in double precision."""
    return tensor.detach().cpu().double().numpy()
