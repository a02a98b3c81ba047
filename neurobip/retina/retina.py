"""The whole retina: events in, spikes of four kinds of ganglion cells out."""

from typing import Any

from torch import Tensor

from neurobip.component import Circuit, Run
from neurobip.projection import Projection
from neurobip.retina.bipolar import Bipolar
from neurobip.retina.ganglion import ganglion
from neurobip.retina.horizontal import center_surround


class Retina(Circuit):
    """Two projections: events to bipolar cells, bipolar cells to ganglion cells.

    The weights are fixed by anatomy, nothing in here learns. State is twelve numbers a pixel:
    four of the bipolar stage, membrane and adaptation of four ganglion cells.

    Args:
        contrast: change of log intensity that one event stands for.
        sigma_center, sigma_surround: size of the receptive field, in pixels.
        gain_sustained, gain_transient: drive of a ganglion cell, in thresholds.
        decay_a, jump: adaptation of the ganglion threshold, see
            :class:`~neurobip.neurons.ALIF`.

    Shape:
        x: ``[B, 2, H, W]`` event counts (off, on) of one time bin; spikes ``[B, 4, H, W]`` in
        the order of :data:`~neurobip.retina.CELL_TYPES`.
    """

    channels = 4

    def __init__(
        self,
        *,
        contrast: float = 0.35,
        sigma_center: float = 0.6,
        sigma_surround: float = 2.0,
        gain_sustained: float = 4.0,
        gain_transient: float = 8.0,
        sigma_transient: float = 1.0,
        decay_a: float = 0.125,
        jump: float = 0.25,
    ) -> None:
        super().__init__()
        self.bipolar = Projection(
            center_surround(
                contrast=contrast, sigma_center=sigma_center, sigma_surround=sigma_surround, size=9
            ),
            Bipolar(),
        )
        self.ganglion = ganglion(
            gain_sustained=gain_sustained,
            gain_transient=gain_transient,
            sigma_transient=sigma_transient,
            size=5,
            decay_a=decay_a,
            jump=jump,
        )

    def wire(self, run: Run, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """From the events of a time bin to the ganglion spikes of that bin."""
        before = state or dict.fromkeys(("bipolar", "ganglion"))
        now = {}
        graded, now["bipolar"] = run(self.bipolar, x, before["bipolar"])
        z, now["ganglion"] = run(self.ganglion, graded, before["ganglion"])
        return z, now
