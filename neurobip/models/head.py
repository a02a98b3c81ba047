"""The head of a network: its blocks, which learn from the features of a frozen encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from neurobip.attention import Block
from neurobip.component import Mode
from neurobip.errors import DataError
from neurobip.models.network import Network
from neurobip.models.stage import Stage
from neurobip.projection import Projection


class Head(Network):
    """The blocks of a network and their readouts.

    A frozen encoder gives the same spikes in every epoch. They are computed once, by
    :meth:`~neurobip.models.network.Network.encode`; the head, which shares its parameters with the
    network and has them under the same names, learns from them as the network would.

    Args:
        network: the network of the blocks, whose classes, leak and answering steps it has.

    Shape:
        x: spikes of the tokens before the first block ``[B, N, D]``; output: potentials of the
        blocks' readouts ``[R, B, classes]``, R = depth.
    """

    input_shape: tuple[int, int]
    blocks: list[Block]  # module containers, typed by what they hold
    readouts: dict[str, Projection]

    def __init__(
        self, network: Network, blocks: list[Block], readouts: dict[str, Projection]
    ) -> None:
        super().__init__()
        up: Any = blocks[0].up.synapse
        readout: Any = next(iter(readouts.values())).synapse
        features = int(up.weight.shape[1])
        self.input_shape = (int(readout.weight.shape[1]) // features, features)
        self._constants = network.classes, network.readout_leak, network.answer_steps
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.readouts = nn.ModuleDict(readouts)  # type: ignore[assignment]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self._constants[0]

    @property
    def readout_leak(self) -> float:
        """Share that the membranes of the readouts lose per step."""
        return self._constants[1]

    @property
    def answer_steps(self) -> int:  # type: ignore[override]
        """The last time steps, whose potentials are summed to the answer; 0 takes all."""
        return self._constants[2]

    def checked(self, x: Tensor, sequence: bool) -> Tensor:
        """Spikes in the precision of the parameters.

        Raises:
            DataError: other axes, or another number of features.
        """
        tokens, features = self.input_shape
        if x.ndim != 3 + sequence or tuple(x.shape[-2:]) != (tokens, features):
            raise DataError(
                f"Head: tokens have shape {tuple(x.shape)}; expected "
                f"{'[T, ' if sequence else '['}B, {tokens}, {features}]"
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
        z = self.checked(x, run.method != "step")
        potentials = []
        for i, (block, name) in enumerate(zip(self.blocks, names, strict=True)):
            z, now["blocks"][str(i)] = run(block, z, before["blocks"][str(i)])
            v, now["readouts"][name] = run(
                self.readouts[name], z.flatten(-2), before["readouts"][name]
            )
            potentials.append(v)
        return torch.stack(potentials, -3), now

    def answer(self, outputs: Tensor) -> Tensor:
        """The potentials of the last readout.

        Shape:
            outputs ``[T, R, B, classes]``; result ``[T, B, classes]``.
        """
        return outputs.select(-3, -1)

    def stages(self) -> list[Stage]:
        """The blocks, each with its readout."""
        return [
            Stage(f"blocks.{i}", block, readout, f"readouts.{name}")
            for i, (block, (name, readout)) in enumerate(
                zip(self.blocks, self.readouts.items(), strict=True)
            )
        ]
