"""Reading a configuration: YAML in, one line that names the key where something does not fit."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from neurobip.config.run import RunConfig
from neurobip.config.sentences import sentences
from neurobip.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number and each key comes once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} comes twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else repr(key))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a YAML configuration, with ``key=value`` overrides such as ``learn.lr=0.002``.

    Raises:
        ConfigError: the file is missing or no YAML, a key is unknown, a value does not fit; the
            message is one line and names the dotted key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; give a YAML configuration") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from None
    tree = _parse(text, str(path))
    if tree is None:
        raise ConfigError(f"{path}: the file is empty; it needs at least one section, such as data")
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: the top level is a {type(tree).__name__}; expected the keys "
            f"{', '.join(RunConfig.model_fields)}"
        )
    return make_config(tree, overrides, where=str(path))


def make_config(
    tree: Mapping[str, Any], overrides: Iterable[str] = (), where: str = "configuration"
) -> RunConfig:
    """Check a nested mapping, after ``key=value`` overrides; see :func:`load_config`."""
    changed = copy.deepcopy(dict(tree))
    for override in overrides:
        _set(changed, override)
    try:
        return RunConfig.model_validate(changed)
    except ValidationError as error:
        raise ConfigError(f"{where}: {sentences(error, RunConfig, changed)}") from None


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}{place}: not valid YAML: {problem}") from None


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {override!r}: expected key=value, such as learn.lr=0.002")
    place: Any = tree
    for i, part in enumerate(parts[:-1]):
        if place.get(part) is None:
            place[part] = {}
        elif isinstance(place[part], str):  # a bare name, as in learn.rule=eprop
            place[part] = {"name": place[part]}
        place = place[part]
        if not isinstance(place, dict):
            raise ConfigError(f"override {override!r}: {'.'.join(parts[: i + 1])} has no keys")
    place[parts[-1]] = _parse(value, f"override {override!r}")
