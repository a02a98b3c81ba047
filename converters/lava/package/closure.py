"""Modules of neurobip that a module needs, found without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path


def closure(roots: Iterable[str]) -> dict[str, Path]:
    """The modules of neurobip that some modules import, directly or not, and these themselves.

    Read from the source: imports within functions count, those for type checkers alone do not.

    Returns:
        the file of each module by its dotted name, with the packages that hold them.
    """
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        path = None if name in found else source(name)
        if path is None:
            continue
        found[name] = path
        waiting.append(name.rpartition(".")[0])
        waiting.extend(imported(ast.parse(path.read_text(encoding="utf-8"))))
    return dict(sorted(found.items()))


def source(name: str) -> Path | None:
    """The file of a module of neurobip, None for anything else, such as a name in a module."""
    parent = name.rpartition(".")[0]
    if name != "neurobip":
        if not name.startswith("neurobip.") or source(parent) is None:
            return None
        above = find_spec(parent)
        if above is None or above.submodule_search_locations is None:
            return None
    spec = find_spec(name)
    return Path(spec.origin) if spec and spec.origin else None


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names in the import statements of a module; of ``from a import b``, a and a.b."""
    if isinstance(tree, ast.If) and isinstance(tree.test, ast.Name):
        if tree.test.id == "TYPE_CHECKING":
            return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom) and tree.module:
        yield tree.module
        yield from (f"{tree.module}.{alias.name}" for alias in tree.names)
    for child in ast.iter_child_nodes(tree):
        yield from imported(child)
