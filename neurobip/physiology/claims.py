"""Claims: expected properties of a retina, with the measured values and whether they hold."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from neurobip.physiology.characterize import Characterization, TypeMeasures
from neurobip.retina.cell_types import CellType


@dataclass(frozen=True)
class Claim:
    """An expected property of a retina.

    Attributes:
        text: the property with its bound.
        holds: whether all types concerned have it.
        figures: range of the measured values.
        failing: names of the types that fail.
    """

    text: str
    holds: bool
    figures: str
    failing: tuple[str, ...] = ()


def claims(c: Characterization) -> list[Claim]:
    """Claims that apply to the cell types of a retina.

    The expected properties of a type follow from its definition: its input signals, the shift of
    its inhibition, the elongation of its field.
    """
    pairs = list(zip(c.cell_types, c.types, strict=True))
    one_sided = [(cell, m) for cell, m in pairs if expected_polarity(cell)]
    mixed = [(cell, m) for cell, m in pairs if not expected_polarity(cell)]
    transient = [
        (cell, m) for cell, m in pairs if all("transient" in signal for signal in cell.excited_by)
    ]
    directed = [(cell, m) for cell, m in pairs if cell.direction is not None]
    others = [(cell, m) for cell, m in pairs if cell.direction is None]
    long = [(cell, m) for cell, m in pairs if cell.elongation > 1]
    tuned = [(cell, m) for cell, m in pairs if m.dog is not None]
    averaged = [(cell, m) for cell, m in pairs if m.sta_correlation is not None]
    modelled = [(cell, m) for cell, m in pairs if m.ln_explained is not None]
    adapting = pairs if c.gain_control else []
    found = [
        _claim("on cells respond to light on, off cells to light off (index above 0.8)", one_sided,
               lambda cell, m: expected_polarity(cell) * m.polarity, lambda v: v > 0.8),
        _claim("on-off cells respond to both (index within 0.5 of 0)", mixed,
               lambda cell, m: abs(m.polarity), lambda v: v < 0.5),
        _claim("responses come earlier as contrast rises (by 5 ms or more)", adapting,
               lambda cell, m: m.advance_ms or 0.0, lambda v: v >= 5),
        _claim("gain falls as contrast rises (to less than 0.9)", adapting,
               lambda cell, m: 1.0 if m.gain_ratio is None else m.gain_ratio, lambda v: v < 0.9),
        _claim("the same contrast gives the same response at 30 times the light (within 0.15)",
               pairs, lambda cell, m: m.light_spread, lambda v: v < 0.15),
        _claim("spatial tuning is a difference of Gaussians (correlation above 0.95)", tuned,
               lambda cell, m: m.dog or 0.0, lambda v: v > 0.95),
        _claim("it is band-pass (coarse gratings give less than 0.9 of the best)", tuned,
               lambda cell, m: m.low_cut, lambda v: v < 0.9),
        _claim("transient cells double the frequency of reversing gratings (F2 / F1 above 1)",
               transient, lambda cell, m: m.doubling, lambda v: v > 1),
        _claim("direction selective cells are (index above 0.5)", directed,
               lambda cell, m: m.direction_index, lambda v: v > 0.5),
        _claim("they prefer the direction of their definition (within 10 degrees)", directed,
               lambda cell, m: direction_error(cell, m), lambda v: v < 10),
        _claim("the others are not direction selective (index below 0.1)", others,
               lambda cell, m: abs(m.direction_index), lambda v: v < 0.1),
        _claim("cells with long fields are orientation selective (index above 0.3)", long,
               lambda cell, m: m.orientation_index, lambda v: v > 0.3),
        _claim("the spike-triggered average is the true receptive field (correlation above 0.9)",
               averaged, lambda cell, m: m.sta_correlation or 0.0, lambda v: v > 0.9),
        _claim("a linear-nonlinear model explains the rate in new noise (variance above 0.4)",
               modelled, lambda cell, m: m.ln_explained or 0.0, lambda v: v > 0.4),
    ]  # fmt: skip
    return [claim for claim in found if claim is not None]


def expected_polarity(cell: CellType) -> int:
    """1 for a type with only on signals as excitation, -1 for only off, 0 for both."""
    polarities = {signal.split()[-1] for signal in cell.excited_by}
    return {"on": 1, "off": -1}[polarities.pop()] if len(polarities) == 1 else 0


def direction_error(cell: CellType, m: TypeMeasures) -> float:
    """Angle between measured and designed preferred direction, in degrees; 180 for none."""
    if m.preferred is None or cell.direction is None:
        return 180.0
    return abs((m.preferred - cell.direction + 180) % 360 - 180)


def _claim(
    text: str,
    pairs: Iterable[tuple[CellType, TypeMeasures]],
    value: Callable[[CellType, TypeMeasures], float],
    fits: Callable[[float], bool],
) -> Claim | None:
    """Claim over the given types; None without types."""
    values = {m.name: value(cell, m) for cell, m in pairs}
    if not values:
        return None
    failing = tuple(name for name, v in values.items() if not fits(v))
    low, high = min(values.values()), max(values.values())
    figures = f"{low:.2f}" if round(low, 2) == round(high, 2) else f"{low:.2f} to {high:.2f}"
    return Claim(text, not failing, figures, failing)
