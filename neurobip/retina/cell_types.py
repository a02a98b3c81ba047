"""Ganglion cell types as data: input weights, receptive field and membrane time constant."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default

from neurobip.errors import ConfigError


@dataclass(frozen=True)
class CellType:
    """A type of ganglion cell.

    ::

        current =   sum_s excited_by[s]   G(field)            * signal_s
                  - sum_s inhibited_by[s] G(inhibitory_field) * signal_s

    over the graded signals s of the inner retina, G a Gaussian. Signals are rectified before they
    are pooled, so that a large cell responds to fine texture of either phase (nonlinear subunits).

    Args:
        name: label in tables and plots.
        excited_by: weights of the excitatory signals, in thresholds per unit of contrast.
        inhibited_by: weights of the inhibitory signals.
        field: standard deviation of its dendritic field.
        elongation: how many times longer than wide the field is.
        orientation: of an elongated field's long axis; 0 is horizontal, 90 vertical.
        inhibitory_field: standard deviation of the inhibitory field; None takes ``field``.
        shift: distance of the inhibitory field from the cell.
        direction: direction of that shift; 0 is to the right, 90 up.
        tau: time constant of the membrane.
        spacing: distance between neighbouring cells of the type; None puts a cell at every pixel.

    Units:
        µm on the retina, degrees, seconds; see :class:`~neurobip.retina.scale.Scale`.

    Raises:
        ConfigError: a size or time constant that is not positive, or a negative weight.
    """

    name: str
    excited_by: Mapping[str, float]
    field: float
    tau: float
    spacing: float | None = None
    inhibited_by: Mapping[str, float] = default(default_factory=dict)
    elongation: float = 1.0
    orientation: float = 0.0
    inhibitory_field: float | None = None
    shift: float = 0.0
    direction: float | None = None

    def __post_init__(self) -> None:
        where = f"cell type {self.name!r}"
        if not self.excited_by:
            raise ConfigError(
                f"{where}: excited_by is empty; name a signal, such as 'sustained on'"
            )
        for signal, weight in (*self.excited_by.items(), *self.inhibited_by.items()):
            if not 0 <= weight < math.inf:
                raise ConfigError(
                    f"{where}: weight {weight} of {signal!r}; expected 0 or more. Inhibitory "
                    "weights belong in 'inhibited_by'"
                )
        sizes = {
            "field": self.field,
            "tau": self.tau,
            "elongation": self.elongation,
            "inhibitory_field": self.inhibitory_field,
            "spacing": self.spacing,
        }
        for name, size in sizes.items():
            if size is not None and not 0 < size < math.inf:
                raise ConfigError(f"{where}: {name} = {size}; expected a number above 0")
        if not all(map(math.isfinite, (self.orientation, self.direction or 0.0))):
            raise ConfigError(
                f"{where}: orientation {self.orientation}, direction {self.direction}; expected "
                "degrees"
            )
        if not 0 <= self.shift < math.inf or (self.shift and self.direction is None):
            raise ConfigError(f"{where}: shift = {self.shift} needs a direction and is 0 or more")


def direction_selective(
    name: str,
    direction: float,
    *,
    excited_by: Mapping[str, float],
    field: float,
    tau: float,
    shift: float,
    veto: float,
    spacing: float | None = None,
) -> CellType:
    """Direction selective cell type: delayed inhibition, shifted towards the preferred side.

    A stimulus that moves in the null direction crosses the inhibitory field first, so that the
    delayed inhibition coincides with the excitation and vetoes it.

    Args:
        direction: preferred direction.
        shift: distance of the inhibitory field from the cell.
        veto: strength of inhibition relative to excitation.

    Units:
        direction in degrees; field and shift in µm; tau in seconds.

    Source: Barlow & Levick 1965; Euler, Detwiler & Denk 2002.
    """
    inhibited_by = {f"starburst {s.split()[-1]}": veto * w for s, w in excited_by.items()}
    return CellType(
        name,
        excited_by,
        field,
        tau,
        spacing,
        inhibited_by=inhibited_by,
        shift=shift,
        direction=direction,
    )


def orientation_selective(
    name: str,
    orientation: float,
    *,
    excited_by: Mapping[str, float],
    field: float,
    tau: float,
    elongation: float = 4.0,
    inhibition: float = 1.0,
    spacing: float | None = None,
) -> CellType:
    """Orientation selective cell type: elongated excitatory field, round inhibitory field.

    Args:
        orientation: of the long axis; 0 is horizontal.
        field: standard deviation across the long axis.
        inhibition: strength of inhibition relative to excitation.

    Units:
        orientation in degrees; field in µm; tau in seconds.

    Source: Nath & Schwartz 2016, "Cardinal orientation selectivity is represented by two distinct
    ganglion cell types in mouse retina".
    """
    return CellType(
        name, excited_by, field, tau, spacing,
        inhibited_by={s: inhibition * w for s, w in excited_by.items()},
        elongation=elongation, orientation=orientation, inhibitory_field=field * elongation,
    )  # fmt: skip


def check_types(cell_types: Sequence[CellType]) -> None:
    """Validate the cell types of a retina.

    Raises:
        ConfigError: no cell type, an element that is no :class:`CellType`, or duplicate names.
    """
    if not cell_types:
        raise ConfigError("a retina without cell types has no output; give at least one")
    for cell in cell_types:
        if not isinstance(cell, CellType):
            raise ConfigError(f"cell type {cell!r:.60}; expected a CellType, see MOUSE for ten")
    names = [cell.name for cell in cell_types]
    if again := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two cell types are named {again[0]!r}; names have to be unique")
