"""The tail of a network: its blocks alone, behind a front that has learned before and stands."""

from typing import Any

import torch
from torch import Tensor, nn

from neurobip.attention import Block
from neurobip.component import Circuit, Mode
from neurobip.config import ModelConfig
from neurobip.errors import DataError
from neurobip.models.answer import decide
from neurobip.models.stage import Stage
from neurobip.projection import Projection


class Tail(Circuit):
    """The blocks of a :class:`~neurobip.models.bitformer.BiTFormer` and their readouts.

    Where the front is frozen its spikes are the same in every epoch. They are made once, by
    :meth:`~neurobip.models.bitformer.BiTFormer.tokens_of`, and the tail, which shares its
    parameters with the network and knows them by the same names, learns from them as the network
    would.

    Shape:
        x: spikes of the tokens in front of the first block ``[B, N, D]``; output: potentials of
        the blocks' readouts ``[R, B, classes]``, R = depth.
    """

    blocks: "list[Block]"  # module containers, typed by what they hold
    readouts: "dict[str, Projection]"

    def __init__(
        self, config: ModelConfig, blocks: list[Block], readouts: dict[str, Projection]
    ) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.readouts = nn.ModuleDict(readouts)  # type: ignore[assignment]

    def checked(self, x: Tensor, axes: int) -> Tensor:
        """Spikes as the first block takes them.

        Args:
            axes: 3 for one step, ``[B, N, D]``, 4 or more for a sequence, time first.

        Raises:
            DataError: other axes, or another number of features.
        """
        axes = min(axes, 4)
        if x.ndim != axes or x.shape[-1] != self.config.token_width:
            raise DataError(
                f"Tail: tokens have shape {tuple(x.shape)}; expected "
                f"{'[T, ' if axes == 4 else '['}B, N, {self.config.token_width}]"
            )
        return x.to(next(self.blocks[0].parameters()).dtype)

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Spikes of tokens to the potentials of every block's readout."""
        names = list(self.readouts)
        before = state or {
            "blocks": {str(i): None for i in range(len(names))},
            "readouts": dict.fromkeys(names),
        }
        now: dict[str, Any] = {"blocks": {}, "readouts": {}}
        z = self.checked(x, 3 if run.verb == "step" else 4)
        potentials = []
        for i, (block, name) in enumerate(zip(self.blocks, names, strict=True)):
            z, now["blocks"][str(i)] = run(block, z, before["blocks"][str(i)])
            v, now["readouts"][name] = run(
                self.readouts[name], z.flatten(-2), before["readouts"][name]
            )
            potentials.append(v)
        return torch.stack(potentials, -3), now

    def stages(self) -> list[Stage]:
        """The blocks, each with its readout."""
        width = self.config.token_width
        return [
            Stage(f"blocks.{i}", block, width, f"readouts.{name}", readout)
            for i, (block, (name, readout)) in enumerate(
                zip(self.blocks, self.readouts.items(), strict=True)
            )
        ]

    def decide(self, potentials: Tensor) -> Tensor:
        """The answer to a whole sequence, that of the network."""
        return decide(potentials, self.config.answer_steps)
