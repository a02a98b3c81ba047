"""The section: what every part of a configuration is, in YAML and in Python."""

from __future__ import annotations

import inspect
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from neurobip.config.sentences import sentences
from neurobip.errors import ConfigError

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _Meta(ModelMetaclass):
    """Raises a ConfigError with the sentences of a file, and shows plain types."""

    def __call__(cls, **values: Any) -> Any:
        try:
            return cls.model_validate(values)  # type: ignore[attr-defined]
        except ValidationError as error:
            section: Any = cls
            raise ConfigError(f"{cls.__name__}: {sentences(error, section, values)}") from None

    def __dir__(cls) -> list[str]:
        """Without the names that only the validation needs, which fill a page of ``help``."""
        return [
            name
            for name in super().__dir__()
            if not name.startswith(("model_", "__pydantic", "_"))
            and not hasattr(BaseModel, name)
        ] + ["__doc__", "__module__", "__signature__"]


class Section(BaseModel, metaclass=_Meta):
    """A part of the configuration: unknown keys are refused, values do not change.

    Raises:
        ConfigError: a key that is unknown or a value that does not fit, in one line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__signature__ = signature(cls)


def signature(section: type[BaseModel]) -> inspect.Signature:
    """The keys of a section as keyword parameters, with the types as one would write them."""
    return inspect.Signature([
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(section, name, field),
            annotation=plain(field.annotation),
        )
        for name, field in section.model_fields.items()
    ])  # fmt: skip


def _default(section: Any, name: str, field: Any) -> Any:
    if field.default_factory is not None:
        return _Made(field.default_factory)
    if not field.is_required():
        return field.default
    named = getattr(section, "default", None) if name == "name" else None
    return inspect.Parameter.empty if named is None else named


class _Made:
    """A default that is made anew each time, as it reads in a signature."""

    def __init__(self, factory: Any) -> None:
        self.factory = factory

    def __repr__(self) -> str:
        return f"{self.factory.__name__}()"


def plain(annotation: Any) -> Any:
    """A type without what only the validation needs."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return plain(arguments[0])
    if origin in (Union, UnionType):
        return Union[tuple(plain(a) for a in arguments)]  # noqa: UP007 (of a computed tuple)
    if origin in (list, tuple, dict, set, frozenset):
        return origin[tuple(plain(a) for a in arguments)]
    return annotation
