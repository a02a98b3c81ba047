"""BiTFormer: retina, patch tokens, blocks of spike-driven attention, and a readout at each."""

from typing import Any

import torch
from torch import Tensor, nn

from neurobip.attention import (
    Block,
    Coincidence,
    LinearMemory,
    MaskedAttention,
    NoAttention,
    QueryCount,
    QueryKeyAttention,
    cortical,
    wiring,
)
from neurobip.component import Circuit, Component, Mode
from neurobip.config import ModelConfig
from neurobip.errors import DataError
from neurobip.models.answer import decide
from neurobip.models.head import Tail
from neurobip.models.stage import Stage
from neurobip.neurons import LI, LIF
from neurobip.projection import Projection, state_at
from neurobip.retina import EVENT_CAMERA, EVENT_MOTION, event_camera
from neurobip.retina.top_down import TopDownThreshold
from neurobip.synapses import Delayed, Indexed, Linear, Merge, Patches

PIECE = 8
"""Steps that run at once where no graph is kept."""


class BiTFormer(Circuit):
    """A spiking vision transformer that learns from local errors.

    The embedding and every block own a readout of leaky integrators over all of their tokens.
    The readouts give each part of the network its error, and the last one gives the answer.

    With ``top_down = d`` in the configuration, the spikes of the last block come back to the
    embedding ``d`` steps later, token by token through plastic weights:
    ``I[t, n] += W_td z[t - d, n]``. The weights learn from the error of the embedding, to which
    they bring what the network above has made of the past.

    With ``top_down_threshold = d`` the same spikes set the gain of the retina's ganglion cells d steps
    later, by cell type and place, see :class:`~neurobip.retina.top_down.TopDownThreshold`.

    Shape:
        x: ``[B, 2, H, W]`` event counts of one time bin (off, on); output: potentials of all
        readouts ``[R, B, classes]``, embedding first, R = depth + 1.

    Source: the stated ideas of BiTFormer (CORDIS 101151549): a retina in front, bottom-up and
    top-down signals, linear complexity, local weight updates.
    """

    blocks: "list[Block]"  # module lists, typed by what they hold
    readouts: "list[Projection]"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels, height, width = config.sensor
        cell_types = {"event": EVENT_CAMERA, "motion": EVENT_MOTION}.get(config.retina)
        self.retina = None if cell_types is None else event_camera(cell_types)
        patches = Patches(
            channels if self.retina is None else self.retina.channels,
            config.width,
            patch=config.patch,
            stride=config.stride,
            padding=config.padding,
            decay_trace=config.decay_v,
        )
        self.grid = patches.grid(height, width)
        self.embed = Projection(patches, self._population(config.width))
        self.tokens = self.grid[0] * self.grid[1]
        self.merge: Projection | None = None
        features = [self.tokens * config.width]
        if config.merge:
            merge = Merge(
                config.width,
                config.merged,
                window=config.merge,
                grid=self.grid,
                decay_trace=config.decay_v,
            )
            self.merge = Projection(merge, self._population(config.merged))
            features.append(merge.windows[0] * merge.windows[1] * config.merged)
        blocks = (self._block() for _ in range(config.depth))
        self.blocks = nn.ModuleList(blocks)  # type: ignore[assignment]
        features += config.depth * features[-1:]
        readouts = (self._readout(inputs) for inputs in features)
        self.readouts = nn.ModuleList(readouts)  # type: ignore[assignment]
        if config.top_down:
            # Last and silent, so that the network begins as the one without.
            self.embed.top_down = Delayed(
                config.width,
                config.width,
                delay=config.top_down - 1,  # a step passes before what is above can be heard
                scale=0.0,
                decay_trace=config.decay_v,
            )
        if config.top_down_threshold and self.retina is not None:
            self.retina.ganglion.threshold_shift = TopDownThreshold(
                config.width,
                self.retina.channels,
                centers=patches.centers(height, width),
                image=(height, width),
                delay=config.top_down_threshold - 1,
            )

    def _population(self, size: int) -> LIF:
        return LIF(size, decay_v=self.config.decay_v, width=self.config.surrogate_width)

    def _linear(self, inputs: int, outputs: int, scale: float = 1.0) -> Linear:
        return Linear(inputs, outputs, scale=scale, decay_trace=self.config.decay_v)

    def _block(self) -> Block:
        c, width = self.config, self.config.token_width
        # With small weights behind the shortcuts, a block starts as the identity.
        return Block(
            qkv=self._qkv(),
            attention=self._attention(),
            out=Projection(self._connect(1, (0,), 0.2), self._population(width), c.shortcut),
            up=Projection(self._linear(width, c.hidden), self._population(c.hidden)),
            down=Projection(
                self._linear(c.hidden, width, 0.2), self._population(width), c.shortcut
            ),
            heard=c.heard,
        )

    def _qkv(self) -> Projection:
        """The projection onto those of queries, keys and values that the attention takes."""
        c, width = self.config, self.config.token_width
        # All three are drawn, so that networks of one seed differ in their attention alone.
        synapse = self._connect(3, tuple("qkv".index(x) for x in c.heard))
        return Projection(synapse, self._population(len(c.heard) * width))

    def _connect(self, parts: int, kept: tuple[int, ...], scale: float = 1.0) -> Linear | Indexed:
        """From the channels to so many populations of as many, of which some are kept."""
        c, width = self.config, self.config.token_width
        connectivity = c.connectivity
        if connectivity != "full":
            return cortical(
                width, width, wiring(connectivity, width, c.heads),
                scale=scale, parts=parts, kept=kept, decay_trace=c.decay_v,
            )  # fmt: skip
        synapse = self._linear(width, parts * width, scale)
        drawn = synapse.weight.detach().chunk(parts)
        synapse.weight = nn.Parameter(torch.cat([drawn[i] for i in kept]))
        return synapse

    def _attention(self) -> Component:
        c, width = self.config, self.config.token_width
        if c.attention == "none":
            return NoAttention()
        if c.attention == "masked":
            return MaskedAttention(Projection(Coincidence(0.5), self._population(width)))
        if c.attention == "query-key":
            count = QueryCount(width, c.heads, 0.5)
            return QueryKeyAttention(Projection(count, self._population(c.heads)))
        memory = LinearMemory(width, c.heads, decay_shift=c.memory_shift, gain_shift=3)
        return Projection(memory, self._population(width))

    def _readout(self, inputs: int) -> Projection:
        c = self.config
        synapse = Linear(inputs, c.classes, scale=0.0, decay_trace=c.readout_decay)
        return Projection(synapse, LI(c.readout_decay))

    def checked(self, x: Tensor, axes: int) -> Tensor:
        """Frames as the first layer takes them: in floating point, or bytes for a retina.

        Args:
            axes: 4 for those of one step, ``[B, C, H, W]``, 5 for a sequence, time first.

        Raises:
            DataError: a shape that is not the sensor's, or counts that are negative, infinite or
                NaN.
        """
        if x.ndim != axes or tuple(x.shape[-3:]) != self.config.sensor:
            sensor = ", ".join(map(str, self.config.sensor))
            raise DataError(
                f"BiTFormer: frames have shape {tuple(x.shape)}; expected [B, C, H, W] = [B, "
                f"{sensor}] for a step, and for a sequence, time first, [T, B, {sensor}]"
            )
        if x.dtype is not torch.uint8 and not bool(((x >= 0) & (x < torch.inf)).all()):
            raise DataError(
                "BiTFormer: a frame holds NaN, infinite or negative numbers; event counts are 0 or "
                "more. Check the recording or the binning"
            )
        if self.retina is not None and x.dtype is torch.uint8:
            return x  # the retina takes bytes as they are, and need not look at each
        return x.to(next(self.embed.parameters()).dtype)

    def quiet(self, batch: int) -> Tensor:
        """No spike in any token: ``[B, N, D]``."""
        return next(self.embed.parameters()).new_zeros(batch, self.tokens, self.config.width)

    def _above(self, state: Any, batch: int) -> Tensor:
        """Spikes of the last block at the step before, ``[B, N, D]``; at first none."""
        if state is None:
            return self.quiet(batch)
        return state["blocks"][str(len(self.blocks) - 1)]["down"].neuron.z

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
        z = self.checked(x, 4 if run.verb == "step" else 5)
        above = self._above(state, len(x)) if self.config.loops else None
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

    def scan(self, x_seq: Tensor, state: Any = None, **_: Tensor) -> tuple[Tensor, Any]:
        """A sequence with the state of every step; step by step where feedback closes a loop."""
        return (Component if self.config.loops else Circuit).scan(self, x_seq, state)

    def forward(self, x_seq: Tensor, state: Any = None, **_: Tensor) -> tuple[Tensor, Any]:
        """A sequence; without a graph in pieces, so that memory does not grow with its length."""
        if self.config.loops:
            return Component.forward(self, x_seq, state)
        if torch.is_grad_enabled():
            return Circuit.forward(self, x_seq, state)
        self._check_length(x_seq)
        pieces = []
        for piece in x_seq.split(PIECE):
            potentials, state = Circuit.forward(self, piece, state)
            pieces.append(potentials)
        return torch.cat(pieces), state

    def stages(self) -> list[Stage]:
        """The parts that learn by themselves: embedding and blocks, each with its readout."""
        parts: list[tuple[str, Circuit]] = [("embed", self.embed)]
        if self.merge is not None:
            parts.append(("merge", self.merge))
        parts += [(f"blocks.{i}", block) for i, block in enumerate(self.blocks)]
        return [
            Stage(
                name, part, self.config.token_width if i else self.config.width,
                f"readouts.{i}", self.readouts[i],
                None if i else self.retina, "retina",
            )
            for i, (name, part) in enumerate(parts)
        ]  # fmt: skip

    def tail(self) -> Tail:
        """The blocks and their readouts as a network of their own, with the same parameters.

        Raises:
            ValueError: there is no block.
        """
        if not self.config.depth:
            raise ValueError("BiTFormer.tail: the network has no block, its depth is 0")
        front = len(self.readouts) - self.config.depth
        behind = {str(front + i): self.readouts[front + i] for i in range(self.config.depth)}
        return Tail(self.config, list(self.blocks), behind)

    def front_state(self) -> dict[str, Tensor]:
        """The tensors of what comes before the blocks, by their names, as the network holds them.

        Without the readouts there, which answer to another question, and without the feedback by
        which it has learned.
        """
        parts = ("retina.", "embed.", "merge.")
        return {
            name: tensor
            for name, tensor in self.state_dict().items()
            if name.startswith(parts) and not name.endswith(".feedback")
        }

    @torch.no_grad()
    def tokens_of(self, frames: Tensor) -> Tensor:
        """What the front makes of a sequence: the spikes that the first block hears.

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
        for z in self.checked(frames, 5).split(PIECE):
            for i, part in enumerate(parts):
                z, states[i] = part(z, states[i])
            spikes.append(z)
        return torch.cat(spikes)

    def readout_gradients(self, errors: Tensor, state: Any) -> dict[str, Tensor]:
        """Local gradients of the readouts alone.

        Shape:
            errors: ``[R, B, classes]``, one error for each readout's potentials.
        """
        dw: dict[str, Tensor] = {}
        for stage, error in zip(self.stages(), errors, strict=True):
            dw |= stage.readout_credit(error, state_at(state, stage.readout_name))
        return dw

    def local_gradients(self, errors: Tensor, state: Any) -> dict[str, Tensor]:
        """Local gradients of every plastic parameter at this one time step.

        Each readout's error goes into its own readout and into the one part below it, and stops
        there: no error passes from block to block.

        Shape:
            errors: ``[R, B, classes]``, one error for each readout's potentials.
        """
        dw: dict[str, Tensor] = {}
        for stage, error in zip(self.stages(), errors, strict=True):
            part, readout = state_at(state, stage.name), state_at(state, stage.readout_name)
            front = state["retina"] if stage.front and self.config.top_down_threshold else None
            dw |= stage.credit(error, part, readout, front)
        return dw

    def decide(self, potentials: Tensor) -> Tensor:
        """The answer to a whole sequence, see :func:`~neurobip.models.answer.decide`.

        Shape:
            potentials ``[T, R, B, classes]`` to labels ``[B]``.
        """
        return decide(potentials, self.config.answer_steps)
