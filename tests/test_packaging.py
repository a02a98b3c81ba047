"""The package list, the wheel and the guards against the folders' bare names."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = {
    "neurobip": "neurobip",
    "converters": "neurobip.converters",
    "datasets": "neurobip.datasets",
}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    found = set()
    for folder, name in PLACES.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            below = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join((name, *below)))
    return found


def modules_on_disk() -> set[str]:
    found = set()
    for folder, name in PLACES.items():
        for file in (ROOT / folder).rglob("*.py"):
            below = file.relative_to(ROOT / folder).with_suffix("").parts
            found.add("/".join((*name.split("."), *below)) + ".py")
    return found


def test_package_list_is_the_folders() -> None:
    assert set(project()["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_every_folder_with_modules_is_a_package() -> None:
    for folder in PLACES:
        for file in (ROOT / folder).rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), f"{file.parent} has no __init__.py"


def test_constraints_pin_every_direct_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    meta = project()["project"]
    wanted = meta["dependencies"] + meta["optional-dependencies"]["dev"]
    names = {entry.split(">=")[0].strip().lower() for entry in wanted}
    assert names <= pinned
    assert "torch==2.13.0" in lines


@pytest.mark.parametrize("folder", ["converters", "datasets"])
def test_bare_folder_name_is_refused(folder: str) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {folder}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    assert f"import neurobip.{folder}" in done.stderr


def test_lava_is_still_intels() -> None:
    pytest.importorskip("lava.magma")
    code = (
        "import neurobip.converters.lava, lava, sys;"
        "print(neurobip.converters.lava.__file__); print(list(lava.__path__))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    ours, theirs = done.stdout.splitlines()
    assert "converters" in ours
    assert "site-packages" in theirs and "converters" not in theirs


def test_import_is_light() -> None:
    code = "import neurobip, neurobip.cli, sys; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("torch", "numba", "matplotlib", "lava", "tonic", "sklearn", "pydantic"):
        assert f"'{heavy}'" not in done.stdout, f"import neurobip.cli loads {heavy}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that the checkout stays clean."""
    import shutil

    source = tmp_path_factory.mktemp("source")
    for name in ("neurobip", "converters", "datasets"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "-w", str(out), str(source)], check=True, capture_output=True, text=True
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_every_module(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert modules_on_disk() <= names
    assert "neurobip/py.typed" in names
    assert not any(name.startswith(("tests/", "converters/", "datasets/")) for name in names)


@pytest.mark.slow
def test_wheel_imports_from_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """Unpacked in an empty folder and without the editable finder, every package imports."""
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    names = project()["tool"]["setuptools"]["packages"]
    code = (
        "import sys, importlib\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        f"for name in {names!r}:\n"
        "    module = importlib.import_module(name)\n"
        f"    assert module.__file__.startswith({str(target)!r}), module.__file__\n"
        "print('ok')"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.stdout.strip() == "ok", done.stderr
