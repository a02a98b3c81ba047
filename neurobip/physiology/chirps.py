"""Responses to the full-field chirp."""

from dataclasses import dataclass

from torch import Tensor

from neurobip.physiology.rig import Rig
from neurobip.stimuli import chirp


@dataclass(frozen=True, eq=False)
class ChirpResponse:
    """Spikes of several cells of each type in response to the full-field chirp.

    The light is uniform except for its noise, so that every cell is an independent trial.

    Attributes:
        light: luminance over time, ``[T]``.
        spikes: ``[T, K, cells]``.
        dt: length of a step in seconds.

    Source: Baden et al. 2016, "The functional diversity of retinal ganglion cells in the mouse".
    """

    light: Tensor
    spikes: Tensor
    dt: float

    def rate(self, width: float = 0.05) -> Tensor:
        """Mean rate over cells in bins, in spikes per second, ``[bins, K]``.

        Args:
            width: width of a bin in seconds, rounded to whole steps.
        """
        steps = max(1, round(width / self.dt))
        bins = self.spikes.mean(-1).unfold(0, steps, steps)
        return bins.mean(-1) / self.dt


def chirp_response(rig: Rig, *, cells: int = 16, short: bool = False) -> ChirpResponse:
    """Response of some central cells of each type to the chirp.

    Args:
        rig: retina and screen.
        cells: number of cells, a square number.
        short: sweeps of 3 s instead of 8 s.
    """
    sweep = {"sweep": 3.0, "ramp": 3.0, "step": 1.0, "before": 1.0, "pause": 1.0} if short else {}
    frames = chirp(rig.screen, **sweep)
    side = round(cells**0.5)
    every = 3
    z = rig.record(frames, block=every * (side - 1) + 1).spikes[:, 0]
    return ChirpResponse(frames[:, 0, 0, 0, 0], z[..., ::every, ::every].flatten(2), rig.screen.dt)
