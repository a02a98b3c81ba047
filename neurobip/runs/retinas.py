"""The retinas that can be named on the command line, each with its screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.physiology.rig import Rig
from neurobip.retina import Retina, event_camera, mouse, primate_periphery
from neurobip.stimuli import Screen

SIDE = 41
"""Pixels along each side of the screen."""


@dataclass(frozen=True)
class Chosen:
    """A retina and how it is to be measured.

    Attributes:
        title: in words. rig: the retina with its screen.
        temporal_frequency: of gratings in Hz, low enough for the retina's kinetics.
        noise_seconds: of white noise, enough for the averages at its time step.
        contrast: of drifting gratings.
        impulse: contrast of the flicker by which receptive fields are measured.
        laid: the same retina with mosaics, of a height and width; None where it has none.
    """

    preset: str
    title: str
    rig: Rig
    temporal_frequency: float
    noise_seconds: float
    contrast: float = 0.3
    impulse: float = 0.2
    laid: Callable[..., Retina] | None = None


def rig_of(preset: str) -> Chosen:
    """A retina by its name.

    Raises:
        ConfigError: another name.
    """
    if preset == "primate_periphery":
        screen = Screen(SIDE, SIDE, degrees_per_pixel=0.1, dt=0.005)
        rig = Rig(primate_periphery(degrees_per_pixel=0.1, dt=0.005), screen)
        return Chosen(preset, "primate periphery", rig, 4.0, 20.0, laid=primate_periphery)
    if preset == "mouse":
        screen = Screen(SIDE, SIDE, degrees_per_pixel=1.0, dt=0.01)
        rig = Rig(mouse(degrees_per_pixel=1.0, dt=0.01), screen)
        return Chosen(preset, "mouse", rig, 2.0, 40.0, laid=mouse)
    if preset == "event_camera":
        screen = Screen(SIDE, SIDE, degrees_per_pixel=1.0, dt=0.015)
        rig = Rig(event_camera(), screen, camera=through_camera(0.015), noise=0.05)
        return Chosen(preset, "event camera", rig, 2.0, 40.0, contrast=0.8, impulse=0.45)
    raise ConfigError(f"no retina {preset!r}; event_camera, mouse and primate_periphery fit")


def through_camera(dt: float) -> Callable[[Tensor], Tensor]:
    """What an ideal event camera makes of luminance: its pixels all alike and without noise.

    Shape:
        luminance ``[T, B, 1, H, W]`` to event counts ``[T, B, 2, H, W]``; those between two frames
        belong to the later one.
    """
    from neurobip.datasets.event_camera import EventCamera

    frame_us = 1e6 * dt
    camera = EventCamera(
        mismatch=0.0, leak_hz=0.0, shot_hz=0.0, cutoff_hz=0.0, refractory_us=0.0, dark=0.0002,
        frame_us=frame_us,
    )  # fmt: skip

    def look(frames: Tensor) -> Tensor:
        steps, batch, _, height, width = frames.shape
        counts = torch.zeros(steps * 2 * height * width, batch)
        for b in range(batch):
            events = camera.run(frames[:, b, 0].numpy())
            step = torch.from_numpy(events["t"] / frame_us).ceil().long().clamp(max=steps - 1)
            polarity, y, x = (torch.from_numpy(events[c].astype("int64")) for c in "pyx")
            place = ((step * 2 + polarity) * height + y) * width + x
            counts[:, b] = torch.bincount(place, minlength=len(counts)).float()
        return counts.view(steps, 2, height, width, batch).movedim(-1, 1).contiguous()

    return look
