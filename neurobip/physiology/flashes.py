"""Flashed spots: response polarity and transience."""

from dataclasses import dataclass

import torch
from torch import Tensor

from neurobip.physiology.rig import Rig, batch_stimuli
from neurobip.stimuli import flash

ONSET, LENGTH = 0.2, 0.5
"""Onset and duration of a flash, in seconds."""

FIRST = 0.25
"""Window after onset in which spikes are counted, in seconds; later spikes may be rebound."""

PART = 0.15
"""Duration of the early and of the late part of a response, in seconds."""


@dataclass(frozen=True, eq=False)
class FlashResponse:
    """Responses of each type to a bright and a dark spot on the receptive field center.

    Attributes:
        bright, dark: spikes in the first 250 ms of the flash, means over repeats, ``[K]``.
        polarity: ``(bright - dark) / (bright + dark)``: 1 is on, -1 off, 0 on-off.
        transience: ``1 - late / early`` of the rates in the last and first 150 ms of a flash of
            the preferred polarity: 0 is sustained, 1 transient.
        peak: highest rate over 50 ms, in spikes per second, ``[K]``.

    Source: indices of polarity and transience as Carcieri et al. 2003, "Classification of retinal
    ganglion cells: a statistical approach", and Baden et al. 2016.
    """

    bright: Tensor
    dark: Tensor
    polarity: Tensor
    transience: Tensor
    peak: Tensor


def flash_response(rig: Rig, *, contrast: float = 0.8, repeats: int = 6) -> FlashResponse:
    """Responses to a bright and a dark flashed spot, as large as the center of each type.

    Args:
        rig: retina and screen.
        contrast: Weber contrast of the bright spot; the dark one has the inverse luminance ratio.
        repeats: presentations with independent light noise.
    """
    dt = rig.screen.dt
    equal = (contrast, -contrast / (1 + contrast))
    z = spots(rig, equal, onset=ONSET, length=LENGTH, repeats=repeats).spikes
    z = z.mean(2)  # [T, bright or dark, K]
    on, first, off, part = (round(t / dt) for t in (ONSET, ONSET + FIRST, ONSET + LENGTH, PART))
    bright, dark = counts = z[on:first].sum(0)
    preferred = z[on:off].gather(1, counts.argmax(0).expand(off - on, 1, -1))[:, 0]
    early, late = preferred[:part].sum(0), preferred[-part:].sum(0)
    width = max(1, round(0.05 / dt))
    peak = preferred.unfold(0, width, 1).mean(-1).amax(0) / dt
    return FlashResponse(
        bright, dark, ratio(bright - dark, bright + dark), ratio(early - late, early), peak
    )


@dataclass(frozen=True, eq=False)
class Spots:
    """Currents and spikes for spots of each type's own size: ``[T, contrasts, repeats, K]``."""

    drive: Tensor
    spikes: Tensor


def spots(
    rig: Rig, contrasts: tuple[float, ...], *, onset: float, length: float, repeats: int = 1
) -> Spots:
    """Responses to flashed spots with a diameter of four standard deviations of the center.

    Args:
        rig: retina and screen.
        contrasts: Weber contrasts.
        onset, length: start and duration of the flash.
        repeats: presentations with independent light noise.

    Units:
        onset and length in seconds.
    """
    diameters = [round(4 * float(sigma), 6) for sigma in rig.centers()]
    sizes = sorted(set(diameters))
    frames = batch_stimuli(
        [
            flash(rig.screen, contrast=c, diameter=size, onset=onset, length=length,
                  duration=onset + length)
            for size in sizes
            for c in contrasts
        ]
    )  # fmt: skip
    recording = rig.record(frames.repeat_interleave(repeats, 1))
    own = torch.tensor([sizes.index(diameter) for diameter in diameters])

    def of_own(read: Tensor) -> Tensor:
        each = read[..., 0, 0].unflatten(1, (len(sizes), len(contrasts), repeats))
        return each[:, own, :, :, torch.arange(len(own))].movedim(0, -1)

    return Spots(of_own(recording.drive), of_own(recording.spikes))


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """``part / whole``, and 0 where the whole is 0."""
    return torch.where(whole > 0, part / whole.clamp(min=1e-12), torch.zeros_like(part))
