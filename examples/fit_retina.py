"""Fit the retina to the spikes of a ganglion cell, and see whether it finds what the cell was.

    python examples/fit_retina.py [--seed 0] [--seconds 48]

The recording is simulated: a mouse alpha cell whose constants were moved away from the preset looks
at white noise and natural images, once for the fit and 30 times at other frames for the test. For
your own, give ``fit_retina`` arrays or what ``neurobip.fitting.nwb.read_nwb`` reads from a file.
This cell fires at random at its rate; for one that its last spikes hold back, ``output="escape"``.
"""

import argparse
from dataclasses import replace

import torch

from neurobip.fitting.cell_model import CellModel
from neurobip.fitting.fit import Progress, fit_retina
from neurobip.fitting.simulate import mixed_stimulus, poisson_recording
from neurobip.retina import MOUSE, MOUSE_ANATOMY
from neurobip.stimuli import Screen

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--seconds", type=int, default=48, help="of recording to fit on")
arguments = parser.parse_args()
torch.set_num_threads(1)
FITTED = ("tau_l", "sigma_center", "strength", "field")

# The cell: a smaller field and a weaker surround than the preset's, and a faster high-pass.
screen = Screen(height=9, width=9, degrees_per_pixel=1.5, dt=0.01)
anatomy = replace(MOUSE_ANATOMY, sigma_center=32.0, strength=0.5, tau_l=0.055)
alpha = next(cell for cell in MOUSE if cell.name == "transient off alpha")
cell = CellModel(
    anatomy, replace(alpha, field=55.0), screen.degrees_per_pixel, screen.dt,
    names=FITTED, position=(4, 5),
)  # fmt: skip
with torch.no_grad():  # slope 200 Hz per threshold (its logarithm), threshold, softness (likewise)
    cell.output.copy_(torch.tensor([5.3, 0.2, -2.3]))

# What was recorded: one long showing, and a short one many times.
seed, blocks = arguments.seed, max(1, arguments.seconds // 8)
train = poisson_recording(cell, mixed_stimulus(screen, blocks, seed=seed), seed=seed)
held_out = mixed_stimulus(screen, 1, seed=seed + 100)
test = poisson_recording(cell, held_out, repeats=30, seed=seed + 100)
print(f"{int(train.counts().sum())} spikes in {train.duration:.0f} s\n")


def show(now: Progress) -> None:
    """One line a round."""
    print(f"round {now.round}: {now.cell_type}, loss {now.loss:.4f}, held out {now.validation:.4f}")


# The fit starts from the preset, without knowing which type it is.
fit = fit_retina(
    train, test=test, degrees_per_pixel=screen.degrees_per_pixel, anatomy=MOUSE_ANATOMY,
    cell_types=MOUSE, constants=FITTED, progress=show,
)  # fmt: skip

print(f"\n{'constant':14}{'true':>9}{'fitted':>9}{'stated error':>14}")
for name, true in cell.constants().items():
    found = fit.cells[0].constants[name]
    print(f"{name:14}{true.value:9.3g}{found.value:9.3g}{found.error:14.2g}  {found.unit}")
print("\nexplained variance on held-out repeats, and normalised correlation")
print(fit.table())
