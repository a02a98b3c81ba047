"""Rooms: imports between the packages point one way, and never in a circle."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurobip

HOME = Path(neurobip.__file__).parent
FOLDERS = {
    "neurobip": HOME,
    "neurobip.converters": HOME.parent / "converters",
    "neurobip.datasets": HOME.parent / "datasets",
}
LEVELS = {"cli": 4, "zoo": 3, "runs": 2, "converters": 1, "datasets": 1, "evaluation": 1}
"""A package may import those on its own level and below; all that is not named is the core, 0."""

Edge = tuple[str, str]

pytestmark = pytest.mark.skipif(
    not FOLDERS["neurobip.converters"].is_dir(), reason="not run from the sources"
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module with its syntax tree."""
    for name, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((name, *parts)).removesuffix(".__init__"), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Modules of neurobip that a module imports anywhere but for type checkers alone."""
    for_types: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for_types |= {id(inner) for part in node.body for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "neurobip":
                yield from (f"neurobip.{name.name}" for name in node.names)
            elif node.module.startswith("neurobip."):
                yield node.module
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"a relative import in line {node.lineno}; name the module")
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("neurobip."))


def package(module: str) -> str:
    """The part of neurobip that a module is in: a folder, or a file of its own."""
    return (module.split(".") + [""])[1]


def edges() -> dict[Edge, list[str]]:
    """Imports from package to package, with the modules that make them."""
    found: dict[Edge, list[str]] = defaultdict(list)
    for name, tree in modules():
        for target in imported(tree):
            one, other = package(name), package(target)
            if one and one != other:  # neurobip itself, the public face, may import anything
                found[one, other].append(f"{name} imports {target}")
    return found


def circles(found: set[Edge]) -> list[Edge]:
    """Imports that are part of a circle."""
    below: dict[str, set[str]] = defaultdict(set)
    for one, other in found:
        below[one].add(other)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in below[waiting.pop()] - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    return [(one, other) for one, other in sorted(found) if one in reached(other)]


def test_no_import_points_up() -> None:
    wrong = [
        line
        for (one, other), lines in edges().items()
        for line in lines
        if LEVELS.get(other, 0) > LEVELS.get(one, 0)
    ]
    assert not wrong, "\n".join(wrong)


def test_packages_do_not_import_in_a_circle() -> None:
    found = edges()
    assert not circles(set(found)), "\n".join(
        line for edge in circles(set(found)) for line in found[edge][:3]
    )


def test_the_walk_sees_imports_and_circles() -> None:
    found = edges()
    assert ("cli", "runs") in found and ("runs", "converters") in found
    assert ("runs", "cli") not in found
    late = ast.parse("def f():\n    from neurobip.cli.main import run\nimport neurobip.runs.run")
    assert sorted(imported(late)) == ["neurobip.cli.main", "neurobip.runs.run"]
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import neurobip.cli.main\n"
    assert not list(imported(ast.parse(types)))
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}) == [
        ("a", "b"), ("b", "c"), ("c", "a")
    ]  # fmt: skip
