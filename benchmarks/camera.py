"""Events a second that the model of an event camera makes, and that a plain loop over frames makes.

    python benchmarks/camera.py [--repeats 9]

neurobip's runs with everything on (mismatch, refractory time, leak, shot noise, bandwidth), without
the two noises, and bare: thresholds alone. The bare one is compared with the way in which such
models are commonly written, in numpy over whole frames (as in v2e): how many thresholds has each
pixel crossed since the last frame, and one event for each, its time between the two frames. Both
give the same number of events at each pixel. All take the same movie of linear intensity and give
sorted events; taking logarithms and sorting count. The floor reads the movie once and writes the
events once, at the rate of a large copy.
"""

import argparse

import numpy as np
from harness import Claim, Table, alternate, keep, ratio
from machine import rates

from neurobip.datasets.event_camera import EventCamera
from neurobip.datasets.events import make_events

FULL = EventCamera()
QUIET = EventCamera(leak_hz=0.0, shot_hz=0.0)
BARE = EventCamera(refractory_us=0.0, leak_hz=0.0, shot_hz=0.0, cutoff_hz=0.0)
PROMISED = 5.0
"""Million events a second with everything on, 346 x 260 pixels, one thread."""


def movie(frames: int, height: int, width: int) -> np.ndarray:
    """Intensity of drifting bars, float32 ``[K, H, W]``: white has 11 times the light of black."""
    rows, columns = np.mgrid[:height, :width]
    phase = 2 * np.pi * np.arange(frames)[:, None, None] / 60
    return np.exp(1.2 * (np.sin(0.25 * columns + 0.1 * rows - phase) - 1)).astype(np.float32)


def by_frames(light: np.ndarray, camera: EventCamera, threshold: np.ndarray) -> np.ndarray:
    """Events by crossings between frames, every pixel of a frame at once."""
    light = light / 255 if light.dtype == np.uint8 else light.astype(float)
    log_intensity = np.log(light + camera.dark)
    reference = log_intensity[0].copy()
    parts = []
    for k in range(1, len(log_intensity)):
        before, now = log_intensity[k - 1], log_intensity[k]
        moved = now - reference
        for polarity, sign in ((1, 1.0), (0, -1.0)):
            step = threshold[polarity]
            crossed = np.floor(np.maximum(sign * moved, 0.0) / step + 1e-12).astype(int)
            for i in range(1, int(crossed.max(initial=0)) + 1):
                y, x = np.nonzero(crossed >= i)
                level = reference[y, x] + sign * i * step[y, x]
                share = (level - before[y, x]) / (now[y, x] - before[y, x])
                t = ((k - 1 + np.clip(share, 0, 1)) * camera.frame_us).astype(np.int64)
                parts.append(make_events(t, x, y, np.full(len(t), polarity)))
            reference = reference + sign * crossed * step
    events = np.concatenate(parts)
    return events[np.argsort(events["t"], kind="stable")]


def counts(events: np.ndarray, height: int, width: int) -> np.ndarray:
    """Events of each pixel and polarity."""
    found = np.zeros((2, height, width), int)
    np.add.at(found, (events["p"].astype(int), events["y"], events["x"]), 1)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--frames", type=int, default=300)
    arguments = parser.parse_args()
    names = ["all on", "no noise", "bare", "by frames"]
    table = Table(
        "event camera, one thread, million events a second",
        ["sensor", "events", *names, "bare times by frames", "all on times the floor"],
    )
    bandwidth = rates(1).bandwidth
    raw, claims = {}, []
    for height, width, kind in (
        (34, 34, np.float32), (128, 128, np.float32), (260, 346, np.float32), (260, 346, np.uint8)
    ):  # fmt: skip
        scene = movie(arguments.frames, height, width)
        scene = np.round(255 * scene).astype(np.uint8) if kind is np.uint8 else scene
        threshold = BARE.start(height, width).thresholds
        chosen = {
            "all on": lambda scene=scene: FULL.run(scene),
            "no noise": lambda scene=scene: QUIET.run(scene),
            "bare": lambda scene=scene: BARE.run(scene),
            "by frames": lambda scene=scene, limit=threshold: by_frames(scene, BARE, limit),
        }
        made = {name: work() for name, work in chosen.items()}
        apart = np.abs(
            counts(made["bare"], height, width) - counts(made["by frames"], height, width)
        )
        if apart.max() > 1 or apart.sum() > 1e-3 * len(made["bare"]):
            raise SystemExit(f"{height} x {width}: the two make different events")
        taken = alternate(chosen, arguments.repeats, warm_ups=1)
        speed = {name: len(made[name]) / taken[name].median / 1e6 for name in names}
        times = ratio(taken["by frames"], taken["bare"])
        floor = (scene.nbytes + made["all on"].nbytes) / bandwidth
        sensor = f"{width} x {height}, {scene.dtype}"
        cells = [sensor, str(len(made["all on"])), *(f"{speed[name]:.1f}" for name in names)]
        table.rows.append([*cells, f"{times:.1f}", f"{taken['all on'].median / floor:.1f}"])
        raw[sensor] = {"events": {n: len(e) for n, e in made.items()}, "timings": taken}
        if (height, width) == (260, 346):
            what = f"event camera, everything on, {sensor}, one thread: million events a second"
            claims.append(Claim(what, speed["all on"], PROMISED))
    keep("camera", [table], claims, sensors=raw)


if __name__ == "__main__":
    main()
