"""A retina on a recording: what the event camera saw, and what four kinds of cells say of it.

    python examples/retina_on_recording.py                      a simulated saccade over a digit
    python examples/retina_on_recording.py ball.events          a DAVIS240 recording

Prints the rates of the cells and the events a second, and writes a picture.
"""

import argparse
import time

import numpy as np
import torch

from neurobip.datasets import SaccadeDigits, bin_events, read_davis
from neurobip.retina import event_camera
from neurobip.viz.figure import save_figure
from neurobip.viz.retina import retina_pictures

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("recording", nargs="?", help="a DAVIS .events file")
parser.add_argument("--window-ms", type=float, default=15.0, help="length of a time bin")
parser.add_argument("--steps", type=int, help="number of time bins; all of the recording")
parser.add_argument("--out", default="retina.png")
arguments = parser.parse_args()

if arguments.recording:
    events, sensor = read_davis(arguments.recording), (2, 180, 240)
else:
    digits = SaccadeDigits(samples=1)
    events, sensor = digits.events(0), digits.sensor

torch.set_num_threads(1)
window_us = round(1000 * arguments.window_ms)
start = int(events["t"][0])
steps = arguments.steps or int(events["t"][-1] - start) // window_us + 1
frames = bin_events(events, sensor, steps, window_us, start_us=start)
frames = torch.from_numpy(frames).float().unsqueeze(1)  # [T, 1, 2, H, W]

# One bin at a time, as they come from a camera: the state is the same size however long it runs.
retina, state, spikes = event_camera(), None, []
began = time.perf_counter()
with torch.no_grad():
    for frame in frames:
        z, state = retina.step(frame, state)
        spikes.append(z)
seconds = time.perf_counter() - began
spikes = torch.stack(spikes)[:, 0]  # [T, 4, H, W]

shown = int(np.sum(events["t"] < start + steps * window_us))
print(f"{shown} events in {steps} bins of {arguments.window_ms:g} ms, {sensor[1:]} pixels")
for name, cells in zip(retina.names, spikes.unbind(1), strict=True):
    print(
        f"{name:14} {int(cells.sum()):6} spikes, {1e3 * cells.mean() / arguments.window_ms:.3f} Hz"
    )
print(f"{1e3 * seconds / steps:.2f} ms a bin of {arguments.window_ms:g} ms")
save_figure(retina_pictures(frames[:, 0], spikes, step_ms=arguments.window_ms), arguments.out)
print(f"wrote {arguments.out}")
