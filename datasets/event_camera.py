"""A model of an event camera: frames of intensity in, events out.

Every pixel takes the logarithm of its light, low-passes it with a bandwidth that grows with the
light, and fires when the result has moved past a threshold since its last event. It is blind for
a while then, and starts anew from what it sees. Thresholds differ from pixel to pixel, the
remembered level leaks, and some events are noise. The loop over the pixels is in `camera_pixels`.

Source: Hu, Liu, Delbruck 2021 (v2e, arXiv 2006.07722) for the model; Lichtsteiner, Posch, Delbruck
2008 for the pixel; Rebecq et al. 2018 (ESIM) for crossing times between frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite, pi
from typing import NamedTuple

import numpy as np

from neurobip.datasets.camera_pixels import run_pixels, sort_events
from neurobip.datasets.events import EVENT
from neurobip.errors import ConfigError, DataError

#: Thresholds below this share of the nominal one are not built: they would fire without end.
SMALLEST_THRESHOLD = 0.3

#: Above 1 by this much, an intensity is taken for one that was rounded.
ROUNDING = 1e-5

#: Intensities taken from a movie at a time, so that what is made of them stays in the cache.
BLOCK = 2**17

Seed = int | Sequence[int]


class CameraState(NamedTuple):
    """What the pixels know between two frames.

    Shape: thresholds float64 [2, H, W], channel 0 = off, channel 1 = on; all other arrays [H, W].
    Units: level, filtered, moved in natural log intensity; blind_us in µs; hazard without.
    """

    thresholds: np.ndarray
    frames: int
    """Frames seen: the last one was at (frames - 1) * frame_us."""
    level: np.ndarray
    """Log intensity at the last frame."""
    filtered: np.ndarray
    """The photoreceptor's low-passed log intensity at the last frame."""
    moved: np.ndarray
    """How far the filtered level is above the remembered one, leak included."""
    blind_us: np.ndarray
    """How much longer the pixel is blind."""
    hazard: np.ndarray
    """What is left until the next noise event, which is at 0: exponential, mean 1, when drawn."""
    random: np.ndarray
    """State of each pixel's own random numbers, uint64."""


@dataclass(frozen=True)
class EventCamera:
    """What all pixels of a camera have in common, and the clock of its frames.

    Intensity I is in 0..1, white being 1. With `dark`, what a pixel sees without light:

        level          L = ln(I + dark)
        bandwidth      corner of the low pass = cutoff_hz * (I + dark) / (1 + dark)
        threshold      nominal * (1 + mismatch * normal), drawn once for each pixel and polarity
        leak           the remembered level falls by leak_hz * threshold_on in a second
        noise          shot_hz * (1 - (1 - shot_bright) * I) events in a second

    The logarithm of light and dark current together is what a photodiode gives. v2e goes linearly
    below an intensity of 20 of 255 instead, and uses I + 20 for the bandwidth: the same `dark`.
    Events of leak and noise are like others: they reset their pixel and make it blind. The leak is
    the same for all pixels, so that mismatch spreads its rates.

    Units: thresholds and level in natural log intensity; mismatch as a fraction (standard
        deviation); refractory_us and frame_us in µs; leak_hz and shot_hz in events per pixel and
        second, on and off together; cutoff_hz in Hz at I = 1, 0 = no low pass; shot_bright and
        dark as fractions.
    Raises: ConfigError for a value that no camera has.
    Source: Hu, Liu, Delbruck 2021, section 4.
    """

    threshold_on: float = 0.35
    threshold_off: float = 0.35
    mismatch: float = 0.1
    refractory_us: float = 1000.0
    leak_hz: float = 0.1
    shot_hz: float = 0.2
    shot_bright: float = 0.25
    cutoff_hz: float = 300.0
    dark: float = 20 / 255
    frame_us: float = 1000.0

    def __post_init__(self) -> None:
        above = ("threshold_on", "threshold_off", "dark", "frame_us")
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            fits = isinstance(value, int | float) and isfinite(value) and value >= 0
            if not fits or (name in above and value == 0):
                bound = "more than 0" if name in above else "0 or more"
                raise ConfigError(f"EventCamera: {name}={value!r}; a number of {bound} fits")
        if self.shot_bright > 1:
            raise ConfigError(
                f"EventCamera: shot_bright={self.shot_bright}; 0 to 1 fits, the share of the noise "
                "that is left in the brightest light"
            )

    def start(
        self, height: int, width: int, pattern_seed: Seed = 0, noise_seed: Seed = 0
    ) -> CameraState:
        """A camera before its first frame.

        A pixel whose remembered level leaks has done so for long: it is anywhere in its cycle.

        Args: pattern_seed decides the thresholds, which are the fixed pattern of one camera;
            noise_seed all the rest.
        Raises: DataError for a sensor without pixels.
        """
        if not (0 < height <= 2**15 and 0 < width <= 2**15):
            raise DataError(f"event camera: {height} x {width} pixels; 1 to {2**15} each way fit")
        size = (height, width)
        # Two branches, for equal seeds must not draw the noise from the numbers of the pattern.
        fixed = np.random.default_rng(np.random.SeedSequence(pattern_seed, spawn_key=(0,)))
        rng = np.random.default_rng(np.random.SeedSequence(noise_seed, spawn_key=(1,)))
        spread = self.mismatch * fixed.standard_normal((2, *size))
        nominal = np.array([self.threshold_off, self.threshold_on])[:, None, None]
        thresholds = nominal * np.maximum(1.0 + spread, SMALLEST_THRESHOLD)
        phase = rng.random(size)
        return CameraState(
            thresholds=thresholds,
            frames=0,
            level=np.zeros(size),
            filtered=np.zeros(size),
            moved=phase * thresholds[1] if self.leak_hz > 0 else np.zeros(size),
            blind_us=np.zeros(size),
            hazard=rng.exponential(size=size),
            random=rng.integers(0, 2**64, size, dtype=np.uint64),
        )

    def step(
        self, frames: np.ndarray, state: CameraState | None = None
    ) -> tuple[np.ndarray, CameraState]:
        """The events between the last frame that was seen and the last of these.

        A movie in parts gives the events that it gives at once, noise included. The first frame
        of all is at t = 0 and gives none.

        Shape: frames [K, H, W], K >= 1 -> [events] of `EVENT`, sorted by time.
        Units: frames float in 0..1 or uint8 in 0..255, linear in the light; t in µs.
        Raises: DataError for frames of another shape or type, without pixels, of another size
            than the state's, or with an intensity that is negative, above white or not a number.
        """
        frames = _checked(frames)
        state = state or self.start(*frames.shape[1:])
        if state.level.shape != frames.shape[1:]:
            raise DataError(
                f"event camera: frames of {frames.shape[1:]} for a state of {state.level.shape}; "
                "one camera has one size. Start anew for another"
            )
        # The compiled loop writes into its own copy; the caller's state stays as it was.
        written = ("level", "filtered", "moved", "blind_us", "hazard", "random")
        state = state._replace(**{name: getattr(state, name).copy() for name in written})
        parts = []
        size = max(1, BLOCK // frames[0].size)
        for k in range(0, len(frames), size):
            events, state = self._advance(frames[k : k + size], state)
            parts.append(events)
        return (parts[0] if len(parts) == 1 else np.concatenate(parts)), state

    def run(self, movie: np.ndarray, pattern_seed: Seed = 0, noise_seed: Seed = 0) -> np.ndarray:
        """The events of a whole movie, by a camera that starts with it.

        Shape: movie [K, H, W], K >= 2 -> [events] of `EVENT`, sorted by time.
        Units: as `step`.
        Raises: DataError as `step`, and for fewer than 2 frames.
        """
        movie = _checked(movie, 2)
        _, height, width = movie.shape
        return self.step(movie, self.start(height, width, pattern_seed, noise_seed))[0]

    def optics(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """What the pixels make of their light before they compare anything.

        The low pass is of first order, with the corner w = 2 pi cutoff_hz (I + dark) / (1 + dark)
        of a frame in the time dt before it. Its input L moves linearly there, so that the output

            y[k] = L[k] + keep * (y[k-1] - L[k]) + (lag - keep) * (L[k-1] - L[k])
            keep = exp(-w dt),  lag = (1 - keep) / (w dt)

        is exact at the frames. v2e goes the share min(w dt, 1) of the way from y[k-1] to L[k].

        Shape: frames [K, H, W] as `step` -> (I, L, keep, lag), float64 [K, H, W] each.
        """
        is_bytes = frames.dtype == np.uint8
        light = np.arange(256) / 255.0 if is_bytes else frames.astype(np.float64, copy=False)
        total = light + self.dark
        level = np.log(total)
        if self.cutoff_hz > 0:
            # In place, for new arrays cost as much as what is put into them.
            total *= -2e-6 * pi * self.cutoff_hz / (1 + self.dark) * self.frame_us
            lag = np.expm1(total)
            keep = lag + 1.0
            lag /= total
        else:
            keep = lag = np.zeros_like(level)
        if is_bytes:
            places = frames.astype(np.intp)
            return light[places], level[places], keep[places], lag[places]
        return light, level, keep, lag

    def _advance(self, frames: np.ndarray, state: CameraState) -> tuple[np.ndarray, CameraState]:
        light, level, keep, lag = (part.reshape(len(frames), -1) for part in self.optics(frames))
        if state.frames == 0:
            for array in (state.level, state.filtered):
                array[:] = level[0].reshape(array.shape)
        # Half of the noise is on: the smaller a pixel's threshold, the more of it (as in v2e).
        noise_off = 0.5e-6 * self.shot_hz * self.threshold_off / state.thresholds[0].ravel()
        noise_on = 0.5e-6 * self.shot_hz * self.threshold_on / state.thresholds[1].ravel()
        arrays = (state.level, state.filtered, state.moved, state.blind_us, state.hazard)
        times, places = run_pixels(
            light, level, keep, lag, state.thresholds.reshape(2, -1), state.frames,
            *(array.reshape(-1) for array in arrays), state.random.reshape(-1),
            noise_off + noise_on, noise_on, 1.0 - self.shot_bright,
            self.leak_hz * self.threshold_on * 1e-6,
            float(self.refractory_us), float(self.frame_us),
        )  # fmt: skip
        events = np.empty(len(times), EVENT)
        start = int(max(state.frames - 1, 0) * self.frame_us)
        sort_events(times, places, start, frames.shape[2], *(events[name] for name in "txyp"))
        return events, state._replace(frames=state.frames + len(frames))


def _checked(frames: np.ndarray, least: int = 1) -> np.ndarray:
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 and frames.dtype.kind != "f":
        raise DataError(
            f"event camera: frames of {frames.dtype}; uint8 in 0..255 or float in 0..1 fits"
        )
    if frames.ndim != 3 or min(frames.shape) == 0:
        raise DataError(
            f"event camera: frames of shape {frames.shape}; [K, H, W] with one pixel or more fits. "
            "Take one channel of colours, and add an axis to a single frame"
        )
    if len(frames) < least:
        raise DataError(
            f"event camera: {len(frames)} frame; {least} or more fit, light changes between frames"
        )
    # `not` catches what is not a number, too.
    if frames.dtype != np.uint8 and not (frames.min() >= 0 and frames.max() <= 1 + ROUNDING):
        k, i, j = np.argwhere(~((frames >= 0) & (frames <= 1 + ROUNDING)))[0]
        raise DataError(
            f"event camera: frame {k} has intensity {frames[k, i, j]} at x={j}, y={i}; 0 to 1 "
            "fits, linear in the light. Divide by the brightest"
        )
    return frames
