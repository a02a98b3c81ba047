"""What drives a ganglion cell most, found by gradient ascent through the retina.

    python examples/most_exciting_stimuli.py                     midget, parasol and mouse cells
    python examples/most_exciting_stimuli.py --norm 8            with more contrast to spend

Every stimulus has the same contrast energy as its controls: the receptive field, as measured in
small noise, and noise itself. Prints the drives in thresholds, and writes a picture.
"""

import argparse
import time

import torch

from neurobip.physiology.most_exciting import most_exciting_stimulus
from neurobip.retina import mouse, primate_periphery
from neurobip.viz.figure import save_figure
from neurobip.viz.most_exciting import most_exciting

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--norm", type=float, default=4.0, help="root of the summed squared contrast")
parser.add_argument("--size", type=int, default=21, help="height and width of the image")
parser.add_argument("--steps", type=int, default=32, help="frames of 8 ms")
parser.add_argument("--out", default="most_exciting.png")
arguments = parser.parse_args()

DT = 0.008  # seconds; no longer than the membrane of a parasol cell remembers
CELLS = {
    "primate": ("midget on", "midget off", "parasol off"),
    "mouse": ("transient off alpha", "local edge", "direction right", "direction up"),
}
torch.set_num_threads(1)
retinas = {"primate": primate_periphery(dt=DT), "mouse": mouse(dt=DT)}

began = time.perf_counter()
print(f"{'cell type':28} {'drive':>7} {'field':>7} {'noise':>7} {'cosine':>7} {'motion':>14}")
found = []
for species, names in CELLS.items():
    for name in names:
        best = most_exciting_stimulus(
            retinas[species], name, steps=arguments.steps, size=(arguments.size, arguments.size),
            norm=arguments.norm, starts=2,
        )  # fmt: skip
        found.append(best)
        field = "none" if best.drive_of_field is None else f"{best.drive_of_field:.3f}"
        cosine = "none" if best.correlation is None else f"{best.correlation:.3f}"
        direction, strength = best.motion
        print(
            f"{species + ' ' + name:28} {best.drive:7.3f} {field:>7} {best.drive_of_noise:7.3f} "
            f"{cosine:>7} {f'{strength:.2f} at {direction:3.0f}°':>14}"
        )
print(
    f"{len(found)} cell types, norm {arguments.norm:g}, {arguments.steps} frames of "
    f"{1000 * DT:g} ms, {time.perf_counter() - began:.0f} s"
)
save_figure(most_exciting(found, step_ms=1000 * DT), arguments.out)
print(f"wrote {arguments.out}")
