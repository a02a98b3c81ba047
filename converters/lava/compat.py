"""Lets Lava be imported on Python 3.11 and newer; import this before anything of Lava.

Lava 0.10 declares a dataclass with a mutable default, which Python refuses since 3.11 unless the
class has a hash. Its module ``var_model`` is therefore imported while ``dataclass`` gives one.
Importing this module forks nothing and starts no thread, and it leaves torch alone.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import warnings

from neurobip.errors import ConversionError

with warnings.catch_warnings():
    # Invalid escapes in Lava's docstrings, and what numpy and scipy say of its older idioms.
    warnings.simplefilter("ignore")
    original, set_method = dataclasses.dataclass, multiprocessing.set_start_method
    dataclasses.dataclass = functools.partial(original, unsafe_hash=True)  # type: ignore[assignment]
    # Lava chooses fork when it is imported, which Python refuses where a loader chose before it.
    multiprocessing.set_start_method = functools.partial(set_method, force=True)  # type: ignore[assignment]
    try:
        import lava.magma.compiler.var_model  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"Lava is not installed here (no module {error.name!r}); run 'neurobip install-lava'"
        ) from None
    else:
        import lava.magma.compiler.compiler
        import lava.magma.runtime.runtime  # noqa: F401
    finally:
        dataclasses.dataclass = original
        multiprocessing.set_start_method = set_method
