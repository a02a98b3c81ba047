"""Events a second that the model of an event camera makes, and that a plain loop over frames makes.

    python benchmarks/camera.py [--repeats 9]

No peer has such a model in Python, so ours stands beside the way it is commonly written, in numpy
over whole frames (as in v2e): how many thresholds has each pixel crossed since the last frame, and
one event for each, its time between the two frames. Both get one movie and one set of thresholds
and give the same number of events at each pixel; refractory time is off, which the loop has not.
The floor reads the movie once and writes the events once, at the rate of a large copy.
"""

import argparse

import numpy as np
from harness import Table, alternate, keep, ratio
from machine import rates

from neurobip.datasets.events import make_events
from neurobip.datasets.pixel import Pixel, respond, thresholds

FRAME_US = 1000.0


def movie(frames: int, height: int, width: int) -> np.ndarray:
    """Log intensity of bars that drift over a sensor, ``[K, H, W]``."""
    rows, columns = np.mgrid[:height, :width]
    phase = 2 * np.pi * np.arange(frames)[:, None, None] / 60
    return 1.2 * np.sin(0.25 * columns + 0.1 * rows - phase)


def by_frames(log_intensity: np.ndarray, frame_us: float, threshold: np.ndarray) -> np.ndarray:
    """Events by crossings between frames, every pixel of a frame at once."""
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
                t = ((k - 1 + np.clip(share, 0, 1)) * frame_us).astype(np.int64)
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
    heads = ["sensor", "events", "here, M/s", "by frames, M/s", "ratio", "times the floor"]
    table = Table("event camera, one thread", heads)
    bandwidth = rates(1).bandwidth
    raw = {}
    for height, width in ((34, 34), (128, 128), (260, 346)):
        scene = movie(arguments.frames, height, width)
        threshold = thresholds(Pixel(), height, width, np.random.default_rng(0))
        chosen = {
            "here": lambda scene=scene, limit=threshold: respond(scene, FRAME_US, limit),
            "by frames": lambda scene=scene, limit=threshold: by_frames(scene, FRAME_US, limit),
        }
        ours, plain = chosen["here"](), chosen["by frames"]()
        apart = np.abs(counts(ours, height, width) - counts(plain, height, width))
        if apart.max() > 1 or apart.sum() > 1e-3 * len(ours):
            raise SystemExit(f"{height} x {width}: the two make different events")
        taken = alternate(chosen, arguments.repeats, warm_ups=1)
        speeds = [len(ours) / taken[name].median / 1e6 for name in chosen]
        times = ratio(taken["by frames"], taken["here"])
        cells = [f"{width} x {height}", str(len(ours)), *(f"{s:.1f}" for s in speeds)]
        floor = (scene.nbytes + ours.nbytes) / bandwidth
        table.rows.append([*cells, f"{times:.1f}", f"{taken['here'].median / floor:.1f}"])
        raw[f"{width} x {height}"] = {"events": len(ours), "timings": taken}
    keep("camera", [table], sensors=raw)


if __name__ == "__main__":
    main()
