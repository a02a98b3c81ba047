"""The retina: images or events to the spikes of ganglion cells."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neurobip.component import Adjoint, Circuit, Component, Mode, prefixed
from neurobip.errors import DataError
from neurobip.projection import Projection
from neurobip.retina.cell_types import CellType
from neurobip.retina.mosaic import Mosaic
from neurobip.tracing import tracing


class Retina(Circuit):
    """Retina model: light or camera events to the spikes of every type of ganglion cell.

    ::

        images -> photoreceptor \\
                                 > bipolar (center, surround) -> amacrine -> ganglion -> spikes
        events ----------------/

    All constants are fixed unless :func:`~neurobip.constants.make_trainable` makes parameters of
    them. The only weights that learn by default are those of a top-down threshold shift, if the
    ganglion cells have one. The state has a constant number of scalars per pixel. The functions of
    :mod:`~neurobip.retina.presets` build complete retinas.

    Args:
        bipolar: projection of center and surround onto bipolar cells; its input is events, or the
            output of the photoreceptors.
        ganglion: projection onto the ganglion populations of :attr:`cell_types`.
        cell_types: one per output channel.
        photoreceptor: converts images to contrast; without it the input is events.
        amacrine: stages between bipolar and ganglion cells, in order.
        mosaics: positions of the cells of each type; without them, a cell at every pixel.

    Shape:
        x: ``[B, C, H, W]`` of one time step: event counts (off, on), or luminance of one channel or
        of three cone types; spikes ``[B, K, H, W]``, one channel per cell type.

    Raises:
        DataError: wrong number of channels, an image size other than that of the mosaics, a single
            pixel, which has no surround, or event counts that are negative, infinite or NaN.
    """

    amacrine: "list[Component]"  # an nn.ModuleList, typed by its elements

    def __init__(
        self,
        bipolar: Projection,
        ganglion: Projection,
        cell_types: Sequence[CellType],
        *,
        photoreceptor: Component | None = None,
        amacrine: Sequence[Component] = (),
        mosaics: Sequence[Mosaic] | None = None,
    ) -> None:
        super().__init__()
        self.photoreceptor = photoreceptor
        self.bipolar = bipolar
        self.amacrine = torch.nn.ModuleList(amacrine)  # type: ignore[assignment]
        self.ganglion = ganglion
        self.cell_types, self.mosaics = tuple(cell_types), mosaics

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cell types, in the order of the output channels."""
        return tuple(cell.name for cell in self.cell_types)

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return len(self.cell_types)

    @property
    def inputs(self) -> int:
        """Number of input channels."""
        return self.bipolar.synapse.mix.shape[1]  # type: ignore[union-attr, index, return-value]

    def index(self, cell_type: str) -> int:
        """Output channel of a cell type.

        Raises:
            DataError: no cell type of that name.
        """
        if cell_type not in self.names:
            raise DataError(f"no cell type {cell_type!r}; there are {', '.join(self.names)}")
        return self.names.index(cell_type)

    def wire(
        self, run: Mode, x: Tensor, state: Any, above: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """From the input of a step to the ganglion spikes of that step.

        Shape:
            above: later spikes, as the gain of the ganglion cells takes them, or None.
        """
        signals, now = self._signals(run, x, state)
        before = None if state is None else state["ganglion"]
        z, now["ganglion"] = run(self.ganglion, signals, before, above=above)
        return z, now

    def adjoint(self, error: Tensor, state: Any) -> Adjoint:
        """VJP of one time step, back to the ganglion cells.

        Shape:
            error ``[B, K, H, W]``: the derivative of the loss with respect to the spikes; what is
            sent is that with respect to the graded signals.
        """
        mask = getattr(self.ganglion.synapse, "mask", None)
        if mask is not None:  # where there is no cell, there is no membrane near its threshold
            error = error * mask
        cells = self.ganglion.adjoint(error, state["ganglion"])
        return Adjoint(prefixed("ganglion", cells.populations), cells.send)

    def currents(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Currents into the ganglion cells, before their membranes; differentiable.

        Shape:
            x_seq ``[T, B, C, H, W]``; returns currents ``[T, B, K, H, W]`` and the state of all
            stages before the ganglion cells.

        Units:
            currents in firing thresholds.
        """
        signals, now = self.signals(x_seq, state)
        return self.ganglion.synapse.current(signals), now  # type: ignore[union-attr, operator]

    def signals(self, x_seq: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Graded signals of the inner retina, the input of the ganglion cells.

        Shape:
            x_seq ``[T, B, C, H, W]``; returns ``[T, B, S, H, W]``, and the state as
            :meth:`currents`.
        """
        return self._signals(Mode("forward"), x_seq, state)

    def _signals(self, run: Mode, x: Tensor, state: Any) -> tuple[Tensor, dict[str, Any]]:
        """Graded signals of the inner retina, and the states of its stages."""
        x = self._checked(x, 4 if run.method == "step" else 5)
        before = state or {}
        now: dict[str, Any] = {}
        if self.photoreceptor is not None:
            x, now["photoreceptor"] = run(self.photoreceptor, x, before.get("photoreceptor"))
        x, now["bipolar"] = run(self.bipolar, x, before.get("bipolar"))
        if len(self.amacrine):
            inner, now["amacrine"] = before.get("amacrine") or {}, {}
            for i, part in enumerate(self.amacrine):
                x, now["amacrine"][str(i)] = run(part, x, inner.get(str(i)))
        return x, now

    def _checked(self, x: Tensor, axes: int) -> Tensor:
        """Input after validation, in the precision of the retina."""
        if not isinstance(x, Tensor):
            raise DataError(
                f"Retina: input is a {type(x).__name__}; expected a tensor, see "
                "torch.from_numpy"
            )
        kind = "event counts (off, on)" if self.photoreceptor is None else "luminance"
        shape = f"[B, {self.inputs}, H, W]" if axes == 4 else f"[T, B, {self.inputs}, H, W]"
        if x.ndim != axes or x.shape[-3] != self.inputs:
            raise DataError(
                f"Retina: input of shape {tuple(x.shape)}; this retina takes {kind} {shape}"
            )
        if x.shape[-2] * x.shape[-1] < 2:
            raise DataError(
                f"Retina: images of {x.shape[-2]} x {x.shape[-1]} pixels; a single pixel has no "
                "surround. Give at least two pixels"
            )
        if self.mosaics is not None:
            first = self.mosaics[0]
            if tuple(x.shape[-2:]) != (first.height, first.width):
                raise DataError(
                    f"Retina: images of {x.shape[-2]} x {x.shape[-1]} pixels; its mosaics are for "
                    f"{first.height} x {first.width}"
                )
        precision = self.bipolar.synapse.mix.dtype  # type: ignore[union-attr]
        if self.photoreceptor is not None:
            # The photoreceptor checks the range; integer images are passed on unchanged.
            return x.to(precision) if x.is_floating_point() else x  # type: ignore[arg-type]
        if not x.is_floating_point() and x.dtype is not torch.uint8:
            x = x.to(precision)  # type: ignore[arg-type]
        counted = x.dtype is torch.uint8 or tracing() or bool(((x >= 0) & (x < torch.inf)).all())
        if not counted:
            raise DataError(
                f"Retina: event counts from {x.min().item():g} to {x.max().item():g}; they are 0 "
                "or more, and none is NaN or infinite"
            )
        return x.to(precision)  # type: ignore[arg-type]
