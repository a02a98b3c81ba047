"""The transformer block: attention and an MLP, each on an identity shortcut."""

from typing import Any

from torch import Tensor

from neurobip.component import Adjoint, Circuit, Component, Mode, prefixed
from neurobip.projection import Projection


class Block(Circuit):
    """Five components in a row, all of them spiking.

    ::

        qkv = LIF(W_qkv x)               a = attention(qkv)
        o   = LIF(W_out a + shortcut x)
        h   = LIF(W_up o)                z = LIF(W_down h + shortcut o)

    Args:
        takes: which of queries, keys and values the attention takes from ``qkv``, in this order:
            ``"qkv"``, ``"qk"`` or ``"v"``.

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
        takes: str = "qkv",
    ) -> None:
        super().__init__()
        self.takes = takes
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

    def adjoint(self, error: Tensor, state: Any) -> Adjoint:
        """VJP of one step: that of the five components in reverse, and of the shortcuts."""
        down = self.down.adjoint(error, state["down"])
        up = self.up.adjoint(down.send(), state["up"])
        skipped = down.populations[""].delta
        out = self.out.adjoint(up.send().add_(skipped, alpha=self.down.shortcut), state["out"])
        attention = self.attention.adjoint(out.send(), state["attention"])
        qkv = self.qkv.adjoint(attention.send(), state["qkv"])
        parts = {"qkv": qkv, "attention": attention, "out": out, "up": up, "down": down}
        populations: dict[str, Any] = {}
        for name, part in parts.items():
            populations |= prefixed(name, part.populations)

        def send() -> Tensor:
            return qkv.send().add_(out.populations[""].delta, alpha=self.out.shortcut)

        return Adjoint(populations, send, prefixed("attention", attention.dw))
