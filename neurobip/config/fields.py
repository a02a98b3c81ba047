"""The numbers that keys take."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _no_bool(value: Any) -> Any:
    # pydantic takes true for 1; in a configuration it is a slip.
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Index = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Seed = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, lt=2**63)]
Positive = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
Decay = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=1)]


def update_times(value: Any) -> Any:
    """When weights move: a word, or a number of steps."""
    # One sentence instead of pydantic's one for each side of a union.
    steps = isinstance(value, int) and not isinstance(value, bool) and value >= 2
    if not steps and value not in ("online", "sequence"):
        raise ValueError("expected online (at every step), sequence, or a number of steps from 2")
    return value


def checked(annotation: Any) -> Any:
    """The type of a keyword parameter, with true and false refused where a number is expected."""
    return Annotated[annotation, BeforeValidator(_no_bool)] if annotation in (int, float) else (
        annotation
    )
