"""Fit of the retina model to recordings of ganglion cells, with a linear–nonlinear baseline.

Use of the data::

    training recording   |---------- fitted ----------|-- validation --|      one long presentation
    test recording                                                  |--|      other frames, repeats

Constants are fitted to the first part; cell type, early stopping and the baseline's regularization
are selected on the validation part; both models are scored on the held-out test recording.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from neurobip.errors import ConfigError, DataError
from neurobip.fitting.cell_model import CellModel, Constant
from neurobip.fitting.explained import explained_variance, normalized_correlation
from neurobip.fitting.likelihood import Segments, maximise
from neurobip.fitting.placing import Candidate, locate_cell, model_window, rank_types
from neurobip.fitting.recordings import Recording
from neurobip.fitting.spike_history import EscapeCell, add_spikes, fit_escape_output
from neurobip.physiology.linear_nonlinear import LinearNonlinear, fit_linear_nonlinear
from neurobip.retina import PRIMATE, PRIMATE_ANATOMY, Anatomy
from neurobip.retina.cell_types import CellType
from neurobip.retina.photoreceptor import luminance

FITTED = (
    "tau_p", "sigma_center", "sigma_surround", "strength", "tau_l", "tau_v", "gain", "field",
)  # fmt: skip
"""Constants that are fitted by default; see :data:`~neurobip.fitting.cell_model.CONSTANTS`."""

Output = Literal["poisson", "escape"]
"""Output stages: Poisson spikes, or integrate-and-fire with escape noise."""


@dataclass(frozen=True)
class Progress:
    """Progress of a fit; losses are negative log likelihoods per frame."""

    cell: str
    cell_type: str
    round: int
    loss: float
    validation: float


@dataclass(frozen=True, eq=False)
class CellFit:
    """One fitted cell.

    Attributes:
        name: name of the cell.
        cell_type, anatomy: with the fitted constants, in µm and seconds.
        constants: fitted constants, with units and standard errors from the Fisher information.
        explained, correlation: on the test repeats, see
            :func:`~neurobip.fitting.explained.explained_variance` and
            :func:`~neurobip.fitting.explained.normalized_correlation`.
        baseline_explained, baseline_correlation: the same for the linear–nonlinear model.
        loss: validation loss per step.
        candidates: validation loss of every cell type before its constants were fitted.
        model, window, factor: fitted model, its crop ``(top, bottom, left, right)`` of the screen
            in pixels, and its steps per frame.
        baseline: the linear–nonlinear model.
    """

    name: str
    cell_type: CellType
    anatomy: Anatomy
    constants: dict[str, Constant]
    explained: float
    correlation: float
    baseline_explained: float
    baseline_correlation: float
    loss: float
    candidates: dict[str, float]
    model: CellModel
    baseline: LinearNonlinear
    window: tuple[int, int, int, int]
    factor: int

    def rate(self, frames: Tensor) -> Tensor:
        """Expected firing rate in Hz during every frame, ``[T]``.

        Shape:
            frames ``[T, 1, C, H, W]`` of the whole screen, at the size of the recording.
        """
        return predict_rate(self.model, frames, self.window, self.factor)


@dataclass(frozen=True, eq=False)
class RetinaFit:
    """The fitted cells of a recording."""

    cells: tuple[CellFit, ...]

    def table(self) -> str:
        """Table of the explained variance of every cell and of its baseline, as text."""
        head = f"{'cell':12} {'type':22} {'model':>7} {'LN':>7}   {'CCnorm':>7} {'LN':>7}"
        rows = [
            f"{c.name:12} {c.cell_type.name:22} {c.explained:7.3f} {c.baseline_explained:7.3f}   "
            f"{c.correlation:7.3f} {c.baseline_correlation:7.3f}"
            for c in self.cells
        ]
        return "\n".join([head, *rows])


def fit_retina(
    stimulus: Recording | Any,
    spike_times: Sequence[Sequence[Any]] | None = None,
    *,
    degrees_per_pixel: float,
    dt: float | None = None,
    test: Recording | None = None,
    anatomy: Anatomy = PRIMATE_ANATOMY,
    cell_types: Sequence[CellType] = PRIMATE,
    constants: Sequence[str] = FITTED,
    validation: float = 0.2,
    held_out: float = 0.2,
    output: Output = "poisson",
    window: int | None = None,
    lags: int | None = None,
    finalists: int = 1,
    rounds: int = 12,
    segment: float = 2.0,
    history: float = 0.5,
    step: float | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> RetinaFit:
    """Fit of every cell of a recording, scored on held-out repeats with a baseline.

    Each cell is located by its spike-triggered average and the cell types are ranked by likelihood.
    Then the constants of the retina, the position and an output stage are fitted by maximum
    likelihood (equations in :mod:`~neurobip.fitting.cell_model`, optimiser in
    :func:`~neurobip.fitting.likelihood.maximise`).

    The output ``poisson`` suits Poisson-like cells and means over many repeats. For cells with
    refractoriness it is biased: the constants of the retina compensate for it. The output
    ``escape`` is fitted given the cell's own preceding spikes
    (:mod:`~neurobip.fitting.spike_history`), needs steps with at most one spike, and predicts the
    mean of simulations.

    Args:
        stimulus: a :class:`Recording`, or frames with ``spike_times`` and ``dt``.
        spike_times: by cell and repeat, relative to the onset of the repeat.
        degrees_per_pixel: visual angle of a pixel. dt: time between frames.
        test: recording of other frames with repeats, of the same cells. Without it the last
            ``held_out`` fraction of the recording, which then needs repeats, is the test part.
        anatomy, cell_types: initial values; give a single type if it is known.
        constants: names of the constants to fit, of :data:`~neurobip.fitting.cell_model.CONSTANTS`.
        validation: fraction of the training recording, at its end, for validation.
        output: ``poisson`` or ``escape``.
        window: pixels on each side of the cell in the model; None extends to 2 standard deviations
            of the surround.
        lags: length of the baseline's filter in frames; None is a quarter of a second.
        finalists: number of the best-ranked types that are fitted; the best fit is returned.
        rounds: maximum number of rounds of the optimiser, of five iterations each.
        segment, history: lengths of the segments that are processed as a batch, and of the past
            that precedes each of them.
        step: longest time step of the model, a longer frame is shown for several steps; None is the
            shortest initial time constant.
        progress: callback after every round.

    Units:
        degrees_per_pixel in degrees; spike_times, segment, history, step, dt in seconds.

    Raises:
        DataError: an invalid recording, no repeats to test on, or a cell without a spike in the
            training part.
        ConfigError: an unknown constant or output, or a step longer than a time constant.
    """
    if output not in get_args(Output):
        raise ConfigError(
            f"fit_retina: output {output!r}; expected {' or '.join(get_args(Output))}"
        )
    if not cell_types or not all(isinstance(cell, CellType) for cell in cell_types):
        raise ConfigError(f"fit_retina: cell_types {cell_types!r:.60}; expected CellType objects")
    if not 0 < validation < 1:
        raise ConfigError(f"fit_retina: validation {validation}; expected a share between 0 and 1")
    if not isinstance(stimulus, Recording):
        if spike_times is None or dt is None:
            raise DataError("fit_retina: frames alone; give spike_times and dt, or a Recording")
        stimulus = Recording(stimulus, dt, spike_times)
    train, test, lead = _divided(stimulus, test, held_out)
    step = step or shortest_time_constant(anatomy, cell_types)
    factor = math.ceil(train.dt / step - 1e-6)
    lags = lags or max(2, round(0.25 / train.dt))
    report = progress or (lambda _: None)
    fits = []
    for cell, name in enumerate(train.names):
        counts, trials = train.counts()[cell].mean(0), test.counts()[cell]
        split = train.steps - round(validation * train.steps)
        if not bool(counts[:split].any()):
            raise DataError(f"fit_retina: cell {name!r} never fires in the training part")
        position = locate_cell(train.frames[:split], counts[:split], lags)
        box = model_window(position, train.frames, window, anatomy, cell_types, degrees_per_pixel)
        data = Segments.cut(
            train.frames, counts, box, split, factor, train.dt, segment, history,
            anatomy.tau_m,
        )  # fmt: skip
        candidates = rank_types(data, anatomy, cell_types, degrees_per_pixel)
        if output == "escape":
            data = add_spikes(data, train.refined(factor).counts()[cell], name)

        def fitted(candidate: Candidate, data: Segments = data, name: str = name) -> Any:
            model = candidate.model(constants)
            if output == "escape":
                model = fit_escape_output(EscapeCell.from_model(model), data)
            return maximise(
                model, data, rounds,
                lambda i, loss, held: report(Progress(name, model.cell.name, i, loss, held)),
            )  # fmt: skip

        best = min((fitted(c) for c in candidates[:finalists]), key=lambda found: found.loss)
        top, bottom, left, right = box
        baseline = fit_linear_nonlinear(
            train.frames[..., top:bottom, left:right], counts, lags, validation=validation
        )
        fitted_types, cell_type = best.model.fitted_types()
        fitted_constants = best.model.constants(best.error)
        for axis, edge in (("row", top), ("column", left)):  # of the screen, not of the window
            fitted_constants[axis] = replace(
                fitted_constants[axis], value=fitted_constants[axis].value + edge
            )
        model = best.model.frozen()
        before, used = len(lead), slice(round(history / test.dt), None)
        shown = torch.cat([lead, test.frames])
        ours = (predict_rate(model, shown, box, factor) * test.dt)[before:][used]
        theirs = baseline.rate(shown[..., top:bottom, left:right])[before:][used]
        scored = trials[:, used]
        fits.append(
            CellFit(
                name, cell_type, fitted_types, fitted_constants,
                explained_variance(scored, ours), normalized_correlation(scored, ours),
                explained_variance(scored, theirs), normalized_correlation(scored, theirs),
                best.loss, {c.cell.name: c.loss for c in candidates}, model, baseline, box, factor,
            )
        )  # fmt: skip
    return RetinaFit(tuple(fits))


def shortest_time_constant(anatomy: Anatomy, cell_types: Sequence[CellType]) -> float:
    """Shortest time constant of a retina, in seconds."""
    shared = [value for name, value in vars(anatomy).items() if name.startswith("tau_")]
    return min(*shared, *(cell.tau for cell in cell_types))


def predict_rate(
    model: CellModel, frames: Tensor, window: tuple[int, int, int, int], factor: int
) -> Tensor:
    """Expected firing rate in Hz during every frame ``[T, 1, C, H, W]`` of the whole screen."""
    top, bottom, left, right = window
    first = luminance(frames[:1])[0].mean((-2, -1), keepdim=True)
    seen = luminance(frames[..., top:bottom, left:right]).repeat_interleave(factor, 0)
    light = first.expand(-1, -1, bottom - top, right - left)
    with torch.no_grad():
        rate = model(seen, model.adapted(light))[:, 0]
    return rate.view(-1, factor).mean(1) / model.scale.dt


def _divided(
    train: Recording, test: Recording | None, held_out: float
) -> tuple[Recording, Recording, Tensor]:
    """Training and test recording without common spikes, and the frames before the test."""
    if test is None:
        stop = train.steps - round(held_out * train.steps)
        if train.repeats < 2 or not 2 <= stop <= train.steps - 2:
            raise DataError(
                "fit_retina: nothing to test on; give 'test', a Recording of other frames with "
                f"repeats, or one with repeats (this has {train.repeats}) and a share 'held_out' "
                f"(this is {held_out}) of its end"
            )
        return train.part(0, stop), train.part(stop, train.steps), train.frames[:stop]
    if test.names != train.names:
        raise DataError(f"fit_retina: cells {train.names} to fit, but {test.names} to test")
    if test.frames.shape[2:] != train.frames.shape[2:] or abs(test.dt / train.dt - 1) > 1e-3:
        raise DataError(
            f"fit_retina: frames {tuple(test.frames.shape)} every {test.dt} s to test, but "
            f"{tuple(train.frames.shape)} every {train.dt} s to fit; size and dt have to agree"
        )
    if test.repeats < 2:
        raise DataError(f"fit_retina: {test.repeats} repeat to test on; at least two are needed")
    return train, test, train.frames[:0]
