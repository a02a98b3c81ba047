"""numba's compiler, with what it compiles kept on disk wherever there is a place for it."""

import warnings
from collections.abc import Callable
from typing import Any

import numba


def njit(**options: Any) -> Callable[[Any], Any]:
    """As ``numba.njit(cache=True, **options)``, which an installation may have no place for.

    numba keeps compiled loops next to their source, else in the user's cache folder. A container
    may allow it neither, and importing the package has to work there too.
    """

    def decorate(function: Any) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:
            warnings.warn(
                "compiled loops can be kept neither in the installation nor in the home folder, so "
                "that every process compiles them again; let NUMBA_CACHE_DIR name a folder that "
                "can be written",
                stacklevel=1,
            )
            return numba.njit(**options)(function)

    return decorate
