"""How well ``fit_retina`` finds known constants again, over several seeds.

    python benchmarks/fit_retina.py [--seeds 5] [--blocks 12] [--cells parasol,alpha] [--spiking]

A parasol cell and a mouse alpha cell whose constants were moved away from the presets are recorded
in a simulation; the fit starts from the presets and chooses the type. Stimulus, spikes and noise
differ between seeds. With ``--spiking`` the cells are integrate-and-fire cells of the retina behind
noise of the luminance, otherwise they fire at random at the rate of the fitted model.
"""

import argparse
import time
from dataclasses import replace
from functools import partial

import torch

from neurobip.physiology.cell_model import CellModel
from neurobip.physiology.fit import FREE, CellFit, fit_retina
from neurobip.physiology.simulate import mixture, poisson_recording, spiking_recording
from neurobip.retina import MOUSE, MOUSE_ANATOMY, PRIMATE, PRIMATE_ANATOMY, grow
from neurobip.stimuli import Screen

SIZE = 11
MOVED = {
    "parasol": (
        PRIMATE_ANATOMY, PRIMATE, 2, 0.1, 0.005,
        {"tau_p": 0.013, "sigma_center": 20.0, "sigma_surround": 80.0, "strength": 0.6,
         "tau_l": 0.035, "tau_v": 0.015, "gain": 5000.0, "field": 45.0},
    ),
    "alpha": (
        MOUSE_ANATOMY, MOUSE, 2, 1.0, 0.01,
        {"tau_p": 0.02, "sigma_center": 32.0, "sigma_surround": 90.0, "strength": 0.6,
         "tau_l": 0.06, "tau_v": 0.04, "gain": 3500.0, "field": 55.0},
    ),
}  # fmt: skip


def record_and_fit(cell: str, seed: int, blocks: int, spiking: bool) -> tuple[CellFit, CellModel]:
    """The fit of one simulated recording, and the model that it was simulated with."""
    anatomy, types, index, degrees, dt, moved = MOVED[cell]
    screen, middle = Screen(SIZE, SIZE, degrees, dt), SIZE // 2
    shared = {name: value for name, value in moved.items() if name != "field"}
    truth, true_type = replace(anatomy, **shared), replace(types[index], field=moved["field"])
    model = CellModel(truth, true_type, degrees, dt, names=FREE, place=(middle, middle))
    with torch.no_grad():
        model.output.copy_(torch.tensor([100.0, 0.2, 0.1]).log())
        model.output[1] = 0.2
    if spiking:
        retina = grow(truth, (true_type,), "light", degrees, dt)
        places = [(0, middle, middle)]
        record = partial(spiking_recording, retina, places=places, dt=dt)
    else:
        record = partial(poisson_recording, model, name=true_type.name)
    train = record(frames=mixture(screen, blocks, seed=seed), seed=seed)
    test = record(frames=mixture(screen, 1, seed=1000 + seed), repeats=30, seed=1000 + seed)
    found = fit_retina(
        train, test=test, degrees_per_pixel=degrees, anatomy=anatomy, cell_types=types
    )
    return found.cells[0], model


def main() -> None:
    """Print one table a cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=12, help="of 8 s to fit on")
    parser.add_argument("--cells", default="parasol,alpha")
    parser.add_argument("--spiking", action="store_true", help="integrate-and-fire cells")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for cell in arguments.cells.split(","):
        fits = []
        for seed in range(arguments.seeds):
            begin = time.perf_counter()
            fit, model = record_and_fit(cell, seed, arguments.blocks, arguments.spiking)
            fits.append(fit)
            print(
                f"{cell} seed {seed}: {fit.cell_type.name}, explained {fit.explained:.3f}, "
                f"LN {fit.baseline_explained:.3f}, {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
        report(cell, fits, model, 8 * arguments.blocks, arguments.spiking)


def report(cell: str, fits: list[CellFit], truth: CellModel, seconds: int, spiking: bool) -> None:
    """True and found constants, and explained variance."""
    output = "integrate-and-fire" if spiking else "Poisson"
    print(f"\n{cell}, {output}, {seconds} s, {len(fits)} seeds")
    print(f"{'constant':16}{'true':>9}{'found':>9}{'sd':>8}{'error':>8}{'stated':>8}  unit")
    for name, true in truth.constants().items():
        if spiking and name in ("slope", "threshold", "softness"):
            continue
        found = torch.tensor([fit.constants[name].value for fit in fits])
        stated = torch.tensor([fit.constants[name].error for fit in fits]).median()
        error = (found - true.value).square().mean().sqrt()
        sd = found.std() if len(fits) > 1 else torch.tensor(0.0)
        print(
            f"{name:16}{true.value:9.3g}{found.mean():9.3g}{sd:8.2g}{error:8.2g}{stated:8.2g}"
            f"  {true.unit}"
        )
    for name in ("explained", "baseline_explained", "correlation", "baseline_correlation"):
        values = torch.tensor([getattr(fit, name) for fit in fits])
        sd = values.std() if len(fits) > 1 else torch.tensor(0.0)
        print(f"{name.replace('_', ' '):24}{values.mean():7.3f} ± {sd:.3f}")
    print()


if __name__ == "__main__":
    main()
