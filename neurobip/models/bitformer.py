"""BiTFormer: retina, patch tokens, blocks of spike-driven attention, and a readout at each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from neurobip.attention import Block
from neurobip.component import Component, Mode
from neurobip.errors import ConfigError, DataError
from neurobip.models import build
from neurobip.models.bitformer_config import BiTFormerConfig
from neurobip.models.head import Head
from neurobip.models.network import CHUNK, Network
from neurobip.models.stage import Stage
from neurobip.projection import Projection
from neurobip.tracing import tracing


class BiTFormer(Network):
    """A spiking vision transformer that learns from local errors.

    The embedding and every block have a readout of leaky integrators over all of their tokens. The
    readouts give each part of the network its error, and the last one gives the answer. The parts
    are built by :mod:`neurobip.models.build`; those that are optional are None or absent.

    With ``top_down = d`` in the options, the spikes of the last block come back to the embedding
    ``d`` steps later, token by token through plastic weights: ``I[t, n] += W_td z[t - d, n]``. The
    weights learn from the error of the embedding.

    With ``top_down_threshold = d`` the same spikes shift the thresholds of the retina's ganglion
    cells d steps later, by cell type and place, see
    :class:`~neurobip.retina.top_down_threshold.TopDownThreshold`.

    Shape:
        x: ``[B, 2, H, W]`` event counts of one time bin (off, on); output: potentials of all
        readouts ``[R, B, classes]``, embedding first, R = depth + 1 (+ 1 with merged tokens).

    Source: the stated ideas of BiTFormer (CORDIS 101151549): a retina, bottom-up and
    top-down signals, linear complexity, local weight updates.
    """

    encoder_options = (
        "retina", "width", "merge", "merged", "patch", "stride", "padding", "decay_v",
        "surrogate_width",
    )  # fmt: skip
    """Options that an encoder depends on, see :meth:`encode`."""

    blocks: list[Block]  # module lists, typed by what they hold
    readouts: list[Projection]

    def __init__(self, config: BiTFormerConfig) -> None:
        super().__init__()
        self.options = config
        channels, height, width = config.sensor
        self.retina = build.retina(config)
        channels = channels if self.retina is None else self.retina.channels
        self.embed = build.embedding(config, channels)
        patches: Any = self.embed.synapse
        self.grid = patches.grid(height, width)
        self.tokens = self.grid[0] * self.grid[1]
        features = [self.tokens * config.width]
        self.merge = build.merging(config, self.grid)
        if self.merge is not None:
            windows: Any = self.merge.synapse.windows
            features.append(windows[0] * windows[1] * config.merged)
        blocks = (build.block(config) for _ in range(config.depth))
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]
        features += config.depth * features[-1:]
        readouts = (build.readout(config, size) for size in features)
        self.readouts = nn.ModuleList(readouts)  # type: ignore[assignment]
        # Feedback is drawn last and silent, so that the network begins as the one without.
        self.embed.top_down = build.top_down(config)
        if self.retina is not None:
            shift = build.top_down_threshold(config, patches, channels)
            self.retina.ganglion.threshold_shift = shift

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Channels, height and width of the sensor."""
        return self.options.sensor

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.options.classes

    @property
    def answer_steps(self) -> int:  # type: ignore[override]
        """The last time steps, whose potentials are summed to the answer; 0 takes all."""
        return self.options.answer_steps

    @property
    def readout_leak(self) -> float:
        """Share that the membranes of the readouts lose per step."""
        return self.options.readout_decay

    @property
    def loops(self) -> bool:  # type: ignore[override]
        """Whether spikes of the last block come back."""
        shifted = self.retina is not None and self.retina.ganglion.threshold_shift is not None
        return self.embed.top_down is not None or shifted

    def config(self) -> dict[str, Any]:
        """Name and options, as in the section ``model`` of a configuration."""
        return {"name": "bitformer", **self.options.model_dump(mode="json")}

    def checked(self, x: Tensor, sequence: bool) -> Tensor:
        """Event counts in floating point, or bytes where there is a retina.

        Raises:
            DataError: a shape that is not the sensor's, or counts that are negative, infinite or
                NaN.
        """
        if x.ndim != 4 + sequence or tuple(x.shape[-3:]) != self.input_shape:
            sensor = ", ".join(map(str, self.input_shape))
            raise DataError(
                f"BiTFormer: frames have shape {tuple(x.shape)}; expected [B, C, H, W] = [B, "
                f"{sensor}] for a step, and for a sequence, time first, [T, B, {sensor}]"
            )
        counted = x.dtype is torch.uint8 or tracing() or bool(((x >= 0) & (x < torch.inf)).all())
        if not counted:
            raise DataError(
                "BiTFormer: a frame holds NaN, infinite or negative numbers; event counts are 0 or "
                "more. Check the recording or the binning"
            )
        if self.retina is not None and x.dtype is torch.uint8:
            return x  # the retina takes bytes and does not need to look at each
        return x.to(next(self.embed.parameters()).dtype)

    def silence(self, batch: int) -> Tensor:
        """No spike in any token: ``[B, N, D]``."""
        return next(self.embed.parameters()).new_zeros(batch, self.tokens, self.options.width)

    def wire(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Events to the potentials of every readout."""
        before = state or {
            "retina": None,
            "embed": None,
            "merge": None,
            "blocks": {str(i): None for i in range(len(self.blocks))},
            "readouts": {str(i): None for i in range(len(self.readouts))},
        }
        now: dict[str, Any] = {"retina": None, "blocks": {}, "readouts": {}}
        z = self.checked(x, run.method != "step")
        above = self._above(run, x, state) if self.loops else None
        if self.retina is not None:
            z, now["retina"] = run(self.retina, z, before["retina"], above=above)
        z, now["embed"] = run(self.embed, z, before["embed"], above=above)
        stages = [z]
        if self.merge is not None:
            z, now["merge"] = run(self.merge, z, before["merge"])
            stages.append(z)
        for i, block in enumerate(self.blocks):
            z, now["blocks"][str(i)] = run(block, z, before["blocks"][str(i)])
            stages.append(z)
        potentials = []
        for i, (readout, z) in enumerate(zip(self.readouts, stages, strict=True)):
            v, now["readouts"][str(i)] = run(readout, z.flatten(-2), before["readouts"][str(i)])
            potentials.append(v)
        return torch.stack(potentials, -3), now

    def _above(self, run: Mode, x: Tensor, state: Any) -> Tensor:
        """Spikes of the last block at the step before; at first none. A sequence has one step."""
        batch = x.shape[run.method != "step"]
        if state is None:
            above = self.silence(batch)
        else:
            above = state["blocks"][str(len(self.blocks) - 1)]["down"].neuron.z
        return above if run.method == "step" else above[None]

    def answer(self, outputs: Tensor) -> Tensor:
        """The potentials of the last readout.

        Shape:
            outputs ``[T, R, B, classes]``; result ``[T, B, classes]``.
        """
        return outputs.select(-3, -1)

    def stages(self) -> list[Stage]:
        """Embedding, merging and blocks, each with its readout."""
        parts: list[tuple[str, Component]] = [("embed", self.embed)]
        if self.merge is not None:
            parts.append(("merge", self.merge))
        parts += [(f"blocks.{i}", block) for i, block in enumerate(self.blocks)]
        return [
            Stage(
                name, part, self.readouts[i], f"readouts.{i}",
                None if i else self.retina, "retina",
            )
            for i, (name, part) in enumerate(parts)
        ]  # fmt: skip

    def head(self) -> Head:
        """The blocks and their readouts as a network, with the same parameters.

        Raises:
            ConfigError: there is no block.
        """
        depth = len(self.blocks)
        if not depth:
            raise ConfigError("BiTFormer.head: the network has no block, its depth is 0")
        first = len(self.readouts) - depth
        readouts = {str(first + i): self.readouts[first + i] for i in range(depth)}
        return Head(self, list(self.blocks), readouts)

    def encoder_state(self) -> dict[str, Tensor]:
        """Tensors of retina, embedding and merging, by their names in the network.

        Without the readouts of the encoder, which were trained for other classes, and without its
        feedback matrices.
        """
        parts = ("retina.", "embed.", "merge.")
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if name.startswith(parts) and not name.endswith(".feedback")
        }

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Spikes of the tokens before the first block.

        Shape:
            frames ``[T, B, 2, H, W]``; spikes ``[T, B, N, D]``.
        """
        self._check_length(frames)
        parts: list[Component] = [self.embed]
        if self.retina is not None:
            parts.insert(0, self.retina)
        if self.merge is not None:
            parts.append(self.merge)
        states: list[Any] = [None] * len(parts)
        spikes = []
        for z in self.checked(frames, True).split(CHUNK):
            for i, part in enumerate(parts):
                z, states[i] = part(z, states[i])
            spikes.append(z)
        return torch.cat(spikes)
