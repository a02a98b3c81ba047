"""A stage: a part of a network with a readout of its own, which learns by itself."""

from typing import Any, NamedTuple

from torch import Tensor

from neurobip.component import Circuit, Component
from neurobip.projection import Projection, prefixed


class Stage(NamedTuple):
    """One part of a network and the readout that teaches it; no error leaves a stage.

    Attributes:
        name, readout_name: dotted names of the two in the network.
        part: what learns; its output has ``width`` features a token.
        readout: hears all tokens of the part.
        front: what comes before the part, if anything. Of it only what hears later spikes learns,
            from the error that the part sends down to it.
        front_name: dotted name of the front in the network.
    """

    name: str
    part: Circuit
    width: int
    readout_name: str
    readout: Projection
    front: Component | None = None
    front_name: str = ""

    def owns(self, parameter: str) -> bool:
        """Whether a parameter of the network, by its dotted name, learns in this stage."""
        names = (self.name, self.readout_name, *([self.front_name] if self.front else []))
        return parameter.startswith(tuple(f"{name}." for name in names))

    def scan(
        self, x_seq: Tensor, state: Any = None, **beside: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Any]]:
        """Run a sequence, with the state of every step where something learns.

        Shape:
            x_seq ``[T, B, ...]``; returns the spikes of the part ``[T, B, N, D]``, the potentials
            of the readout ``[T, B, classes]``, and the states of front (of the last step), part
            and readout (with time in front).
        """
        before = state or dict.fromkeys(("front", "part", "readout"))
        now: dict[str, Any] = {"front": None}
        z = x_seq
        if self.front is not None:
            z, now["front"] = self.front(z, before["front"], **beside)
        z, now["part"] = self.part.scan(z, before["part"], **beside)
        potentials, now["readout"] = self.readout.scan(z.flatten(-2), before["readout"])
        return z, potentials, now

    def credit(
        self, error: Tensor, part: Any, readout: Any, front: Any = None, **beside: Any
    ) -> dict[str, Tensor]:
        """Local gradients by their names in the network.

        Shape:
            error: the derivative of the loss with respect to the potentials, of one step or, time
            in front, of several; the states of part and readout likewise. front: the state of a
            front that learns, at one step, which is all that error is then of. ``beside`` is what
            else the credit of the part takes, such as a block's eligibility.
        """
        teacher = self.readout.credit(error, readout)
        below = self.part.credit(teacher.send().unflatten(-1, (-1, self.width)), part, **beside)
        dw = prefixed(self.readout_name, teacher.dw) | prefixed(self.name, below.dw)
        if front is not None and self.front is not None:
            image = below.send()
            image = image[0] if image.ndim > 4 else image
            dw |= prefixed(self.front_name, self.front.credit(image, front).dw)
        return dw

    def readout_credit(self, error: Tensor, readout: Any) -> dict[str, Tensor]:
        """Local gradients of the readout alone, by their names in the network."""
        return prefixed(self.readout_name, self.readout.credit(error, readout).dw)
