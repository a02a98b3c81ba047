"""How well ``fit_retina`` finds known constants again, over several seeds.

    python benchmarks/fit_retina.py [--seeds 5] [--blocks 12] [--cells parasol,alpha] [--spiking]
                                    [--output poisson,escape]

A parasol cell and a mouse alpha cell whose constants were moved away from the presets are recorded
in a simulation; the fit starts from the presets and chooses the type. Stimulus, spikes and noise
differ between seeds. With ``--spiking`` the cells are integrate-and-fire cells of the retina with
noise of the luminance, otherwise they fire at random at the rate of the fitted model. Every output
stage of ``--output`` is fitted to the same recordings; ``escape``, which takes the cell's
last spikes, is compared with a generalised linear model that takes them too.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from neurobip.fitting.cell_model import CellModel
from neurobip.fitting.explained import explained_variance, normalized_correlation
from neurobip.fitting.fit import FITTED, CellFit, fit_retina
from neurobip.fitting.glm import fit_glm
from neurobip.fitting.recordings import Recording
from neurobip.fitting.simulate import mixed_stimulus, poisson_recording, spiking_recording
from neurobip.fitting.spike_history import EscapeCell
from neurobip.retina import MOUSE, MOUSE_ANATOMY, PRIMATE, PRIMATE_ANATOMY, build_retina
from neurobip.stimuli import Screen

SIZE, HISTORY = 11, 0.5
SCORES = ("explained", "baseline_explained", "correlation", "baseline_correlation")
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


def simulated(
    cell: str, seed: int, blocks: int, spiking: bool
) -> tuple[Recording, Recording, CellModel]:
    """A recording to fit, one to test on, and the cell that they were simulated with."""
    anatomy, types, index, degrees, dt, moved = MOVED[cell]
    screen, middle = Screen(SIZE, SIZE, degrees, dt), SIZE // 2
    shared = {name: value for name, value in moved.items() if name != "field"}
    truth, true_type = replace(anatomy, **shared), replace(types[index], field=moved["field"])
    model = CellModel(truth, true_type, degrees, dt, names=FITTED, position=(middle, middle))
    with torch.no_grad():
        model.output.copy_(torch.tensor([100.0, 0.2, 0.1]).log())
        model.output[1] = 0.2
    if spiking:
        retina = build_retina(truth, (true_type,), "light", degrees, dt)
        positions = [(0, middle, middle)]
        record = partial(spiking_recording, retina, positions=positions, dt=dt)
    else:
        record = partial(poisson_recording, model, name=true_type.name)
    train = record(frames=mixed_stimulus(screen, blocks, seed=seed), seed=seed)
    test = record(frames=mixed_stimulus(screen, 1, seed=1000 + seed), repeats=30, seed=1000 + seed)
    return train, test, model


def scored(fit: CellFit, train: Recording, test: Recording) -> dict[str, float]:
    """Scores of a fit on the test, and of the generalised linear model where that is fair."""
    found = {name: getattr(fit, name) for name in SCORES}
    if isinstance(fit.model, EscapeCell):
        top, bottom, left, right = fit.window
        shown, tested = (r.frames[..., top:bottom, left:right] for r in (train, test))
        glm = fit_glm(shown, train.counts()[0, 0], len(fit.baseline.filter))
        used = slice(round(HISTORY / test.dt), None)
        trials, rate = test.counts()[0][:, used], glm.rate(tested)[used]
        found["GLM explained"] = explained_variance(trials, rate)
        found["GLM correlation"] = normalized_correlation(trials, rate)
    return found


def main() -> None:
    """Print one table a cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=12, help="of 8 s to fit on")
    parser.add_argument("--cells", default="parasol,alpha")
    parser.add_argument("--spiking", action="store_true", help="integrate-and-fire cells")
    parser.add_argument("--output", help="by comma; both for spiking cells, else poisson")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    blocks, spiking = arguments.blocks, arguments.spiking
    outputs = arguments.output or ("poisson,escape" if spiking else "poisson")
    if "escape" in outputs and not spiking:
        parser.error("cells that fire at random at a rate have no escape noise; give --spiking")
    for cell in arguments.cells.split(","):
        for output in outputs.split(","):
            fits, scores = [], []
            for seed in range(arguments.seeds):
                begin = time.perf_counter()
                train, test, model = simulated(cell, seed, blocks, spiking)
                anatomy, types, _, degrees, *_ = MOVED[cell]
                fit = fit_retina(
                    train, test=test, degrees_per_pixel=degrees, anatomy=anatomy,
                    cell_types=types, output=output, history=HISTORY,
                ).cells[0]  # fmt: skip
                fits.append(fit)
                scores.append(scored(fit, train, test))
                print(
                    f"{cell} seed {seed}: {fit.cell_type.name}, explained {fit.explained:.3f}, "
                    f"LN {fit.baseline_explained:.3f}, {time.perf_counter() - begin:.0f} s",
                    flush=True,
                )
            fires = "integrate-and-fire" if spiking else "Poisson"
            print(f"\n{cell}, {fires}, fitted as {output}, {8 * blocks} s, {len(fits)} seeds")
            truth = EscapeCell.from_model(model) if output == "escape" else model
            # The noise of a spiking cell is in what it sees; it has a threshold of 1 and no slope.
            unknown = ("softness",) if output == "escape" else ("slope", "threshold", "softness")
            report(fits, scores, truth, unknown if spiking else ())


def report(
    fits: list[CellFit], scores: list[dict[str, float]], truth: CellModel, unknown: Sequence[str]
) -> None:
    """True and found constants, and explained variance."""
    print(f"{'constant':16}{'true':>9}{'found':>9}{'sd':>8}{'error':>8}{'stated':>8}  unit")
    for name, true in truth.constants().items():
        if name in unknown:
            continue
        found = torch.tensor([fit.constants[name].value for fit in fits])
        stated = torch.tensor([fit.constants[name].error for fit in fits]).median()
        error = (found - true.value).square().mean().sqrt()
        sd = found.std() if len(fits) > 1 else torch.tensor(0.0)
        print(
            f"{name:16}{true.value:9.3g}{found.mean():9.3g}{sd:8.2g}{error:8.2g}{stated:8.2g}"
            f"  {true.unit}"
        )
    for name in scores[0]:
        values = torch.tensor([score[name] for score in scores])
        sd = values.std() if len(fits) > 1 else torch.tensor(0.0)
        print(f"{name.replace('_', ' '):24}{values.mean():7.3f} ± {sd:.3f}")
    print()


if __name__ == "__main__":
    main()
