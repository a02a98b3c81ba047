"""Importing a user's module by name or file, so that a configuration can name what it defines."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from neurobip.errors import ConfigError


def import_all(names: Iterable[str] | None) -> list[ModuleType]:
    """Import modules, each by its name or its file; see :func:`import_one`."""
    return [import_one(name) for name in names or ()]


def import_one(name: str) -> ModuleType:
    """Import a module by its name, or a file ``folder/module.py`` as ``module``.

    Raises:
        ConfigError: there is no such module or file, its name is taken, or it cannot be imported.
    """
    path = Path(name)
    try:
        return _file(path) if path.suffix == ".py" else importlib.import_module(name)
    except ConfigError:
        raise
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0] and error.name != name:
            raise ConfigError(f"--import {name}: {error}") from error
        raise ConfigError(
            f"--import {name}: there is no such module; a file is named with its .py"
        ) from None
    except Exception as error:  # whatever the module does
        raise ConfigError(f"--import {name}: {type(error).__name__}: {error}") from error


def _file(path: Path) -> ModuleType:
    name = path.stem
    if not path.is_file():
        raise ConfigError(f"--import {path}: there is no such file")
    there = sys.modules.get(name)
    if there is not None:
        if getattr(there, "__file__", None) and Path(str(there.__file__)).resolve() == (
            path.resolve()
        ):
            return there
        raise ConfigError(f"--import {path}: there is a module {name} already; rename the file")
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
