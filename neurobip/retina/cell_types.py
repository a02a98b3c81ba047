"""Ganglion cell types as data: what a cell hears, from where, and how fast it is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default

from neurobip.errors import ConfigError


@dataclass(frozen=True)
class CellType:
    """One type of ganglion cell.

    ::

        current = sum_s hears_s G(field) * signal_s - sum_s inhibited_s G(inhibition) * signal_s

    over the graded signals s of the inner retina. They are rectified before they are pooled, so
    that a large cell hears texture of either phase.

    Args:
        name: how it is called in tables and plots.
        hears: weight of each signal that excites it, in thresholds per unit of contrast.
        inhibited: weight of each signal that inhibits it.
        field: standard deviation of its dendritic field.
        elongation: how many times longer than wide the field is.
        orientation: of an elongated field's long axis; 0 is horizontal, 90 vertical.
        inhibition: standard deviation of the field of what inhibits it, if not that of ``field``.
        shift: distance of that field from the cell.
        direction: towards which it is shifted; 0 is to the right, 90 up.
        tau: time constant of the membrane.
        spacing: distance between neighbours of the type; None is a cell at every pixel.

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
            raise ConfigError(f"{where}: hears nothing; name a signal, such as 'sustained on'")
        for signal, weight in (*self.excited_by.items(), *self.inhibited_by.items()):
            if not 0 <= weight < math.inf:
                raise ConfigError(
                    f"{where}: weight {weight} of {signal!r}; expected 0 or more. What inhibits "
                    "goes into 'inhibited'"
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
                f"{where}: orientation {self.orientation}, direction {self.direction}; degrees fit"
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
    """A cell that is silenced by what lay on its preferred side a moment ago.

    Motion in the null direction comes from there, so that inhibition is there before it.

    Args:
        direction: the preferred one, in degrees.
        shift: how far off the inhibition is gathered, in µm.
        veto: strength of inhibition beside that of excitation.

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
    """A cell with a long field, inhibited by the same signals all around.

    Args:
        orientation: of the long axis, in degrees; 0 is horizontal.
        field: standard deviation across the long axis, in µm.
        inhibition: strength of inhibition beside that of excitation.

    Source: Nath & Schwartz 2016, "Cardinal orientation selectivity is represented by two distinct
    ganglion cell types in mouse retina".
    """
    return CellType(
        name, excited_by, field, tau, spacing,
        inhibited_by={s: inhibition * w for s, w in excited_by.items()},
        elongation=elongation, orientation=orientation, inhibitory_field=field * elongation,
    )  # fmt: skip


def check_types(cell_types: Sequence[CellType]) -> None:
    """Check that a retina can be told by these types.

    Raises:
        ConfigError: there is none, one is no :class:`CellType`, or two have one name.
    """
    if not cell_types:
        raise ConfigError("a retina without a cell type tells nothing; give at least one")
    for cell in cell_types:
        if not isinstance(cell, CellType):
            raise ConfigError(f"cell type {cell!r:.60}; a CellType fits, see MOUSE for ten")
    names = [cell.name for cell in cell_types]
    if again := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two cell types are called {again[0]!r}; give each its own name")
