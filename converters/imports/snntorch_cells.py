"""The neurons of snnTorch, each with its own order of firing and reset.

Before a step the membrane is compared with the threshold once more, which gives snnTorch's
``reset``. With ``reset_delay`` (the default) it acts on the step that follows a spike, without it
at once. What that comes to (snnTorch 1.0):

======================= ============================== =============================
reset_mechanism         ``reset_delay=True``           ``reset_delay=False``
======================= ============================== =============================
subtract                ``drop = threshold / beta``    ``drop = threshold``, see below
zero, Leaky             reset to zero                  reset to zero
zero, the others        one step of refractory time    reset to zero
none                    ``drop = 0``                   ``drop = 0``
======================= ============================== =============================

Subtracting at once, snnTorch holds a spike back where the membrane stays above the threshold even
after the subtraction: it then has to exceed twice the threshold. No membrane gets there if no
current brings it from the threshold to its double.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import snntorch as snn
import torch

from neurobip.converters.graph.current import Current, simplest
from neurobip.converters.graph.neuron_nodes import LIFNode
from neurobip.converters.graph.reset import delayed_drop
from neurobip.converters.imports.common import Dims, place
from neurobip.converters.quantization.bounds import drive
from neurobip.errors import ConversionError

SUPPORTED = (snn.Leaky, snn.Synaptic, snn.RLeaky, snn.RSynaptic)
RECURRENT = (snn.RLeaky, snn.RSynaptic)
MECHANISMS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


@dataclass(frozen=True, eq=False)
class Parameters:
    """A neuron's numbers, ``[C, H, W]``, and its reset."""

    alpha: np.ndarray
    beta: np.ndarray
    threshold: np.ndarray
    mechanism: str
    delayed: bool


def parameters(module: Any, dims: Dims) -> Parameters:
    """What a module of snnTorch computes with.

    Raises:
        ConversionError: an option that has no counterpart here.
    """
    kind = type(module).__name__
    for option in ("state_quant", "inhibition"):
        if getattr(module, option, False):
            raise ConversionError(f"{kind} with {option} has no counterpart; leave {option} out")
    name = getattr(module.state_function, "__name__", "")
    if name not in MECHANISMS or module.state_function != getattr(module, name):
        raise ConversionError(
            f"{kind} has a state_function of its own, and only snnTorch's is read"
        )
    mechanism = MECHANISMS[name]
    if mechanism != module.reset_mechanism:
        raise ConversionError(
            f"{kind} was built with reset_mechanism {mechanism!r}, and snnTorch keeps to that in "
            f"part after it was set to {module.reset_mechanism!r}; build it anew"
        )
    delayed = bool(module.reset_delay)
    if isinstance(module, snn.RSynaptic) and not delayed:
        raise ConversionError("RSynaptic with reset_delay=False does not run in snnTorch either")
    points = torch.tensor([-2.0, -1e-3, 0.0, 1e-3, 2.0])
    if module.spike_grad(points).detach().tolist() != [0, 0, 0, 1, 1]:
        raise ConversionError(f"the spike_grad of a {kind} does not fire at v > threshold")
    threshold = numbers(module, "threshold", dims)
    if (threshold < 0).any():
        raise ConversionError(f"{kind} with a threshold below 0; expected 0 or more")
    alpha = numbers(module, "alpha", dims) if hasattr(module, "alpha") else np.zeros(place(dims))
    beta = numbers(module, "beta", dims)
    return Parameters(alpha.clip(0, 1), beta.clip(0, 1), threshold, mechanism, delayed)


def neuron(module: Any, dims: Dims, into: Current, largest: dict[str, int], plain: bool) -> LIFNode:
    """A module of snnTorch as our neuron.

    Args:
        into: its current, which bounds how large the membrane can become.
        largest: of the sources that send more than single spikes, the most a step.
        plain: subtract without holding back, for any current.

    Raises:
        ConversionError: an option that has no counterpart here.
    """
    p = parameters(module, dims)
    drop, refractory = None, 0
    if p.delayed or p.mechanism != "subtract":
        drop = delayed_drop(p.mechanism, p.beta, p.threshold)
        late = p.delayed and p.mechanism == "zero"
        refractory = int(late and not isinstance(module, snn.Leaky))
    else:
        drop = simplest(p.threshold)
        if not plain and overshoots(p, into, largest):
            raise ConversionError(
                "reset_mechanism='subtract' with reset_delay=False: snnTorch holds spikes back "
                "while the membrane is above twice the threshold, and its current can take it "
                "there. Use reset_delay=True, give the input's largest count, or pass "
                "plain_subtract=True to subtract without holding back"
            )
    lost_u, lost_v = simplest(1 - p.alpha), simplest(1 - p.beta)
    return LIFNode(lost_u, lost_v, simplest(p.threshold), drop=drop, refractory=refractory)


def overshoots(p: Parameters, into: Current, largest: dict[str, int]) -> bool:
    """Whether any current could lift a membrane from the threshold to more than its double."""
    high = into.constant.max(initial=0.0)
    for route in into.routes:
        _, positive = drive(route.synapse, (route.shape,))
        high += positive * largest.get(route.sources[0], 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        current = np.where(high > 0, high / (1 - p.alpha), 0.0)
    return bool((p.beta * p.threshold + current > 2 * p.threshold).any())


def numbers(module: Any, name: str, dims: Dims) -> np.ndarray:
    """A parameter, spread as torch spreads it over ``[B, *dims]``, as ``[C, H, W]``.

    Raises:
        ConversionError: it does not spread over the shape.
    """
    value = torch.as_tensor(getattr(module, name)).detach().cpu().double().numpy()
    try:
        return np.broadcast_to(value, (1, *dims)).reshape(place(dims))
    except ValueError:
        raise ConversionError(f"{name} has shape {value.shape}, its input {dims}") from None
