"""Things by name: networks, data sets and learning rules, with the options of each.

A name is looked for in three places:

1. the folder of the kind, ``neurobip/models/<name>.py`` for a network: the one public class or
   function of that file that builds such a thing; dashes and underscores are alike;
2. the entry points of installed packages, group ``neurobip.models`` for a network;
3. ``module:attribute`` of a module that is already imported.

There is no list of names, and a name never imports a user's module: ``--import`` does, or the
user's own Python.

The options of a thing are those of its signature: the fields of a :class:`Section` that it takes,
or its keyword parameters of plain types.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import PydanticUserError, ValidationError, create_model, model_validator
from pydantic.functional_serializers import model_serializer
from pydantic_core import InitErrorDetails, PydanticCustomError

from neurobip.config.fields import checked
from neurobip.config.section import Section
from neurobip.config.sentences import did_you_mean
from neurobip.config.signatures import Parameter, is_plain, parameters, returned
from neurobip.errors import ConfigError

Builder = Callable[..., Any]


class Kind(NamedTuple):
    """What is looked for.

    Attributes:
        what: in words. folder: package with a file for each name. group: of entry points.
        base: ``module:attribute`` of the class that is built.
        given: parameters of a builder that its caller gives, which are no options.
        facts: options that the data give where the configuration is silent.
        members: attributes that a class must have.
    """

    what: str
    folder: str
    group: str
    base: str
    given: frozenset[str] = frozenset()
    facts: frozenset[str] = frozenset()
    members: tuple[str, ...] = ()


MODELS = Kind(
    "network", "neurobip.models", "neurobip.models", "neurobip.models.network:Network",
    facts=frozenset({"sensor", "input_shape", "classes"}),
)  # fmt: skip
DATASETS = Kind(
    "data set", "neurobip.datasets", "neurobip.datasets", "torch.utils.data:Dataset",
    given=frozenset({"root", "samples", "seed", "steps", "window_us", "cache", "progress"}),
    members=("classes", "sensor"),
)  # fmt: skip
RULES = Kind(
    "rule", "neurobip.learning.rules", "neurobip.rules", "neurobip.learning.rule:Rule",
    given=frozenset({
        "network", "lr", "weight_decay", "warmup_steps", "label_steps", "loss", "update", "overlap",
        "precision", "freeze", "total_batches", "rounding", "optimizer",
    }),
)  # fmt: skip


def find(kind: Kind, name: str) -> Builder:
    """The class or function of a name.

    Raises:
        ConfigError: there is none of this name, or it builds something else.
    """
    if ":" in name:
        return _imported(kind, name)
    word = canonical(name)
    if word in _files(kind):
        return _in_file(kind, word)
    for point in entry_points(group=kind.group):
        if canonical(point.name) == word:
            return _checked(kind, point.load(), f"the entry point {point.name}")
    raise ConfigError(
        f"there is no {kind.what} {name!r}; {did_you_mean(word, names(kind))} "
        "(your own: module:attribute of a module that --import names)"
    )


def names(kind: Kind) -> list[str]:
    """All names of the folder and of entry points, sorted."""
    found = {canonical(point.name) for point in entry_points(group=kind.group)}
    for word in _files(kind):
        module = importlib.import_module(f"{kind.folder}.{word}")
        if any(True for _ in _builders(kind, module)):
            found.add(word)
    return sorted(found)


def canonical(name: str) -> str:
    """A name with underscores; ``module:attribute`` is left alone."""
    return name if ":" in name else name.strip().replace("-", "_").lower()


def _files(kind: Kind) -> list[str]:
    """Names of the files in a kind's folder."""
    try:
        package = importlib.import_module(kind.folder)
    except ModuleNotFoundError as error:
        if error.name != kind.folder:
            raise
        return []
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]


def _in_file(kind: Kind, word: str) -> Builder:
    module = importlib.import_module(f"{kind.folder}.{word}")
    found = dict(_builders(kind, module))
    # Of several, the one that has the name of its file.
    chosen = [b for n, b in found.items() if n.replace("_", "").lower() == word.replace("_", "")]
    if len(found) == 1:
        chosen = list(found.values())
    if not chosen:
        raise ConfigError(
            f"there is no {kind.what} {word!r}; {did_you_mean(word, names(kind))}"
            if not found
            else f"{module.__name__} builds {', '.join(found)}; name one of them like the file"
        )
    return chosen[0]


def _builders(kind: Kind, module: Any) -> Iterator[tuple[str, Builder]]:
    """The public classes and functions of a module that build things of a kind."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if misfit(kind, value) is None:
            yield name, value


def _imported(kind: Kind, name: str) -> Builder:
    module_name, _, attribute = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None:
        raise ConfigError(
            f"the module {module_name!r} of {kind.what} {name!r} is not imported; add --import "
            f"{module_name}, or import it before"
        )
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            known = [n for n, _ in _builders(kind, module)]
            raise ConfigError(
                f"{module_name} has no {attribute!r}; {did_you_mean(attribute, known)}"
            )
        value = getattr(value, part)
    return _checked(kind, value, name)


def _checked(kind: Kind, value: Any, where: str) -> Builder:
    reason = misfit(kind, value)
    if reason is not None:
        raise ConfigError(f"{where} is no {kind.what}: {reason}")
    return value  # type: ignore[no-any-return]


def misfit(kind: Kind, value: Any) -> str | None:
    """Why something does not build a thing of a kind from a configuration; None if it does."""
    module, _, attribute = kind.base.partition(":")
    base = getattr(importlib.import_module(module), attribute)
    if inspect.isclass(value):
        if not issubclass(value, base) or value is base:
            return f"the class does not derive from {base.__module__}.{base.__name__}"
        if inspect.isabstract(value):
            return "the class is abstract"
        lacks = [member for member in kind.members if not hasattr(value, member)]
        if lacks:
            return f"the class has no attribute {' or '.join(lacks)}"
    elif inspect.isfunction(value):
        made = returned(value)
        if not (inspect.isclass(made) and issubclass(made, base)):
            return f"say what the function returns, such as -> {base.__name__}"
    else:
        return "it is neither a class nor a function"
    for parameter in parameters(value):
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return f"it takes *{parameter.name}, which a configuration cannot give"
        if _needs(kind, parameter):
            return (
                f"its parameter {parameter.name} has no default and no plain type, so that a "
                "configuration cannot give it"
            )
    return None


def _needs(kind: Kind, parameter: Parameter) -> bool:
    """Whether a parameter must be given and cannot be."""
    if parameter.kind is inspect.Parameter.VAR_KEYWORD or parameter.name in kind.given:
        return False
    return parameter.required and not is_plain(parameter.type) and not is_section(parameter.type)


def is_section(annotation: Any) -> bool:
    """Whether a type is a :class:`Section` of options."""
    fits = inspect.isclass(annotation) and issubclass(annotation, Section)
    return fits and not issubclass(annotation, Named)


def section_of(builder: Builder) -> tuple[str | None, type[Section]] | None:
    """The parameter of a builder that takes all options as one section, and its class."""
    for parameter in parameters(builder):
        if is_section(parameter.type):
            return parameter.name, parameter.type
    return None


class Named(Section):
    """A thing by its name, whose options are further keys.

    A section of the thing's own, with its name and options, comes out of validation: the options
    are attributes as ``name`` is.
    """

    kind: ClassVar[Kind]
    default: ClassVar[str | None] = None
    builder: ClassVar[Builder | None] = None

    name: str

    @classmethod
    def of(cls, values: Any) -> type[Self]:
        """The section of the thing that some values name.

        Raises:
            ConfigError: there is no such thing.
        """
        if cls.builder is not None:
            return cls
        name = values.get("name", cls.default) if isinstance(values, Mapping) else values
        made: Any = _section(cls, find(cls.kind, str(name)))  # type: ignore[arg-type]
        return made  # type: ignore[no-any-return]

    @model_validator(mode="wrap")
    @classmethod
    def _by_name(cls, values: Any, handler: Any) -> Any:
        if isinstance(values, cls) or cls.builder is not None:
            return handler(values)
        if not isinstance(values, str | Mapping):
            raise PydanticCustomError(
                "name", "expected a name, or a mapping with a name and options"
            )
        bare = isinstance(values, str)
        tree: dict[str, Any] = {"name": cls.default}
        tree |= {"name": values} if isinstance(values, str) else values
        try:
            section = cls.of(tree)
        except ConfigError as error:
            problem = PydanticCustomError("name", "{words}", {"words": str(error)})
            detail = InitErrorDetails(
                type=problem, loc=() if bare else ("name",), input=tree["name"]
            )
            raise ValidationError.from_exception_data(cls.__name__, [detail]) from None
        tree["name"] = canonical(str(tree["name"]))
        return section.model_validate(tree)

    @model_serializer(mode="wrap")
    def _without_silent_facts(self, handler: Any) -> dict[str, Any]:
        """What the data give is no part of a configuration that is silent about it."""
        silent = self.kind.facts - self.model_fields_set
        values = {"name": self.name, **handler(self)}
        return {key: value for key, value in values.items() if key not in silent}

    @classmethod
    def takes(cls) -> set[str]:
        """Names of the parameters of the builder."""
        return {p.name for p in parameters(cls.builder)}

    @classmethod
    def takes_all(cls) -> bool:
        """Whether the builder takes any keyword, ``**settings``."""
        return any(p.kind is p.kind.VAR_KEYWORD for p in parameters(cls.builder))

    def options(self, **facts: Any) -> dict[str, Any]:
        """The options, with facts where the configuration is silent about them.

        Raises:
            ConfigError: an option without a default is given by neither.
        """
        found = {}
        for key in own_options(type(self)):
            if key not in self.model_fields_set and key in facts:
                found[key] = facts[key]
            else:
                found[key] = getattr(self, key)
        for parameter in parameters(type(self).builder):
            if parameter.required and found.get(parameter.name, 0) is None:
                raise ConfigError(
                    f"{self.name}: {parameter.name} is missing, and there are no data that give it"
                )
        return found

    def build(self, *arguments: Any, facts: Mapping[str, Any] | None = None, **given: Any) -> Any:
        """The named thing, built with the options.

        Args:
            arguments, given: what the caller gives besides options; of ``given`` what the
                builder takes. facts: see :meth:`options`.
        """
        builder = type(self).builder
        assert builder is not None, "an unnamed section is never made"
        options = self.options(**(facts or {}))
        if not self.takes_all():
            given = {key: value for key, value in given.items() if key in self.takes()}
        if (whole := section_of(builder)) is not None:
            name, section = whole
            keys = section.model_fields.keys()
            given[str(name)] = section(**{k: v for k, v in options.items() if k in keys})
            options = {k: v for k, v in options.items() if k not in keys}
        return builder(*arguments, **given, **options)


@cache
def _section(base: type[Named], builder: Builder) -> type[Named]:
    """The section of a builder's name and options: of the base, and of its own section."""
    kind, bases = base.kind, [base]
    fields: dict[str, Any] = {}
    for parameter in parameters(builder):
        name = parameter.name
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        if name in kind.given or name in base.model_fields:
            continue
        if is_plain(parameter.type) and hasattr(base, name):
            raise ConfigError(
                f"{kind.what} {builder.__name__}: its option {name} has the name of an attribute "
                "of every section; rename it"
            )
        if is_section(parameter.type):
            bases.append(parameter.type)
        elif is_plain(parameter.type):
            annotation, default = checked(parameter.type), parameter.default
            if parameter.required:
                default = ...
                if name in kind.facts:  # the data give it, later
                    annotation, default = annotation | None, None
            fields[name] = (annotation, default)
    create: Any = create_model
    try:
        made = create(
            builder.__name__, __base__=tuple(bases), __module__=builder.__module__, **fields
        )
    except (PydanticUserError, NameError) as error:
        raise ConfigError(f"{kind.what} {builder.__name__}: its options: {error}") from None
    made.builder = builder
    return made  # type: ignore[no-any-return]


def own_options(section: type[Named]) -> list[str]:
    """Keys of a section that its thing brings."""
    base = next(c for c in section.__mro__ if c is not section and issubclass(c, Named))
    return [key for key in section.model_fields if key not in base.model_fields]
