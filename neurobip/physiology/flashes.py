"""Flashes: which polarity of light a cell answers, and for how long."""

from dataclasses import dataclass

import torch
from torch import Tensor

from neurobip.physiology.rig import Rig, batch_stimuli
from neurobip.stimuli import flash

ONSET, LENGTH = 0.2, 0.5
"""When a flash comes and how long it stays, in seconds."""

FIRST = 0.25
"""How long spikes are counted from the onset on, in seconds: what comes later may be a rebound."""

PART = 0.15
"""Length of the early and of the late part of a response, in seconds."""


@dataclass(frozen=True, eq=False)
class FlashResponse:
    """What the cells of each type say to a bright and to a dark spot on their center.

    Attributes:
        bright, dark: spikes in the first 250 ms of the flash, ``[K]``, means over repeats.
        polarity: ``(bright - dark) / (bright + dark)``: 1 is on, -1 off, 0 on-off.
        transience: ``1 - late / early``, rates in the last and the first 150 ms of the flash of
            the polarity that the cell prefers: 0 is sustained, 1 transient.
        peak: the highest rate over 50 ms, in spikes per second, ``[K]``.

    Source: indices of polarity and transience as Carcieri et al. 2003, "Classification of retinal
    ganglion cells: a statistical approach", and Baden et al. 2016.
    """

    bright: Tensor
    dark: Tensor
    polarity: Tensor
    transience: Tensor
    peak: Tensor


def flash_response(rig: Rig, *, contrast: float = 0.8, repeats: int = 6) -> FlashResponse:
    """Flash a bright and a dark spot, as large as the center of each type.

    Args:
        contrast: Weber's, of the bright spot; the dark one is as far away in log light.
        repeats: with other noise each.
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
    """Responses to spots, each type's to spots of its own size: ``[T, contrasts, repeats, K]``."""

    drive: Tensor
    spikes: Tensor


def spots(
    rig: Rig, contrasts: tuple[float, ...], *, onset: float, length: float, repeats: int = 1
) -> Spots:
    """Flash spots of four standard deviations of the center of each type.

    Units:
        contrasts are Weber's; onset and length in seconds.
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
    """``part / whole``, and 0 where there is nothing."""
    return torch.where(whole > 0, part / whole.clamp(min=1e-12), torch.zeros_like(part))
