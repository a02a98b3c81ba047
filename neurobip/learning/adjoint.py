"""Errors down a row of parts within one time step: who gets which, before anything learns."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from neurobip.attention import Block, MaskedAttention, QueryKeyAttention
from neurobip.attention.query_key import by_head
from neurobip.component import Component
from neurobip.models.sequential import Part, Sequential
from neurobip.projection import Projection, prefixed


class Adjoint(NamedTuple):
    """What :func:`adjoint` found on its way down.

    Attributes:
        errors: at the output of each population, by the name of its projection.
        dw: gradients of parts that are no projections and know their own credit.
        send: computes the error at the input.
    """

    errors: dict[str, Tensor]
    dw: dict[str, Tensor]
    send: Callable[[], Tensor]


def adjoint(part: Component, error: Tensor, state: Any) -> Adjoint:
    """The errors of all populations of a part, from that at its output, at one time step.

    Names are relative to the part; that of a projection itself is empty. It sends what
    ``part.credit`` would send, and forms no gradient: that is the eligibility's.
    """
    match part:
        case Projection():
            return Adjoint({"": error}, {}, lambda: _into(part, error, state)[1]())
        case MaskedAttention():
            queries = state["gate"].synapse.x.chunk(3, -1)[0]
            gate = (error * queries).sum(-2, keepdim=True)
            return Adjoint({"gate": gate}, {}, lambda: part.credit(error, state).send())
        case QueryKeyAttention():
            keys = state["gate"].synapse.x.chunk(2, -1)[1]
            gate = by_head(error * keys, state["g"].shape[-1]).sum(-1)
            return Adjoint({"gate": gate}, {}, lambda: part.credit(error, state).send())
        case Block():
            return _block(part, error, state)
        case Sequential():
            return down(part.parts, error, state)
    credit = part.credit(error, state)
    return Adjoint({}, credit.dw, credit.send)


def down(parts: Sequence[Part], error: Tensor, state: Any) -> Adjoint:
    """:func:`adjoint` of parts in a row; ``state`` holds that of each by its name."""
    errors: dict[str, Tensor] = {}
    dw: dict[str, Tensor] = {}

    def send() -> Tensor:
        return error

    for name, part in reversed(parts):
        found = adjoint(part, send(), state[name])
        errors |= _named(name, found.errors)
        dw |= prefixed(name, found.dw)
        send = found.send
    return Adjoint(errors, dw, send)


def populations(part: Component) -> dict[str, Projection]:
    """The projections of a part to which :func:`adjoint` gives errors, by the same names."""
    match part:
        case Projection():
            return {"": part}
        case MaskedAttention() | QueryKeyAttention():
            return {"gate": part.gate}
        case Block() | Sequential():
            found: dict[str, Projection] = {}
            for name, child in part.named_children():
                if isinstance(child, Component):
                    found |= _named(name, populations(child))
            return found
    return {}


def _into(part: Projection, error: Tensor, state: Any) -> tuple[Tensor, Callable[[], Tensor]]:
    """Error at the current of a population, and what its synapse sends."""
    delta = part.neuron.surrogate_gradient(error, state.neuron)
    return delta, lambda: part.synapse.send(delta, state.synapse)


def _block(block: Block, error: Tensor, state: Any) -> Adjoint:
    """The five components in reverse, and the shortcuts around them."""
    down_delta, down_send = _into(block.down, error, state["down"])
    up = down_send()
    _, up_send = _into(block.up, up, state["up"])
    out = up_send() + block.down.shortcut * down_delta
    out_delta, out_send = _into(block.out, out, state["out"])
    attention = adjoint(block.attention, out_send(), state["attention"])
    qkv = attention.send()
    errors = {"down": error, "up": up, "out": out, "qkv": qkv}
    errors |= _named("attention", attention.errors)

    def send() -> Tensor:
        _, qkv_send = _into(block.qkv, qkv, state["qkv"])
        return qkv_send() + block.out.shortcut * out_delta

    return Adjoint(errors, prefixed("attention", attention.dw), send)


def _named(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Entries by the names that the parent knows them by."""
    return {f"{name}.{own}" if own else name: entry for own, entry in found.items()}
