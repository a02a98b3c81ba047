"""The transformer block: attention and an MLP, each on an identity shortcut."""

from typing import Any

from torch import Tensor

from neurobip.attention.eligibility import MemoryEligibility
from neurobip.component import Circuit, Component, Credit, Mode
from neurobip.projection import Projection, prefixed


class Block(Circuit):
    """Five components in a row, all of them spiking.

    ::

        qkv = LIF(W_qkv x)               a = attention(qkv)
        o   = LIF(W_out a + shortcut x)
        h   = LIF(W_up o)                z = LIF(W_down h + shortcut o)

    Credit is the components' credit in reverse order, within the one time step.

    Args:
        heard: which of queries, keys and values the attention takes and ``qkv`` makes, in this
            order: ``"qkv"``, ``"qk"`` or ``"v"``.

    Shape:
        x and output: ``[B, N, D]`` spikes.
    """

    def __init__(
        self,
        qkv: Projection,
        attention: Component,
        out: Projection,
        up: Projection,
        down: Projection,
        heard: str = "qkv",
    ) -> None:
        super().__init__()
        self.heard = heard
        self.qkv, self.attention, self.out, self.up, self.down = qkv, attention, out, up, down

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The five components in a row, and the shortcuts around them."""
        before = state or dict.fromkeys(("qkv", "attention", "out", "up", "down"))
        now = {}
        qkv, now["qkv"] = run(self.qkv, x, before["qkv"])
        a, now["attention"] = run(self.attention, qkv, before["attention"])
        o, now["out"] = run(self.out, a, before["out"], skip=x)
        h, now["up"] = run(self.up, o, before["up"])
        z, now["down"] = run(self.down, h, before["down"], skip=o)
        return z, now

    def credit(
        self, error: Tensor, state: Any, eligibility: MemoryEligibility | None = None
    ) -> Credit:
        """The adjoint of :meth:`step`, at each step by itself: the parts' credit in reverse.

        Args:
            eligibility: with it keys and values get credit for all that the memory holds of them,
                instead of for this step alone.
        """
        down = self.down.credit(error, state["down"])
        up = self.up.credit(down.send(), state["up"])
        o_error = up.send().add_(down.delta, alpha=self.down.shortcut)
        out = self.out.credit(o_error, state["out"])
        attention = self.attention.credit(out.send(), state["attention"])
        qkv = self.qkv.credit(attention.send(), state["qkv"])
        if eligibility is not None:
            memory = state["attention"].synapse
            for name, rows in eligibility.credit(attention.delta, state["qkv"], memory).items():
                qkv.dw[name][-len(rows) :] = rows
        parts = {"qkv": qkv, "attention": attention, "out": out, "up": up, "down": down}
        dw: dict[str, Tensor] = {}
        for name, credit in parts.items():
            dw |= prefixed(name, credit.dw)
        return Credit(down.delta, dw, lambda: qkv.send().add_(out.delta, alpha=self.out.shortcut))
