"""Compatibility of Lava with Python 3.11 and newer; import this before anything of Lava.

Lava 0.10 declares a dataclass with a mutable default, which Python refuses since 3.11 unless the
class has a hash. Its module ``var_model`` is therefore imported while ``dataclass`` gives one.
Importing this module forks nothing and starts no thread, and it leaves torch alone.

It also mends a lost wake-up in Lava's channels, which now and then let a finished run hang when it
was asked to stop; see :func:`announce`.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import warnings
from multiprocessing.synchronize import Semaphore

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
        from lava.magma.compiler.channels.pypychannel import CspRecvPort
    finally:
        dataclasses.dataclass = original
        multiprocessing.set_start_method = set_method


def announce(port: CspRecvPort, req: Semaphore) -> None:
    """Notify the reader at a receiving port of every message that comes in.

    Lava's own loop notifies only when the queue was empty a moment before. Where the reader takes
    the last message in that moment, it is not notified of the next one and waits for ever. It
    happens when two commands follow each other closely, as the last time step and the stop do.
    """
    try:
        while req.acquire() and not port._done:
            port._queue.put_nowait(0)
            observer = port.observer
            if observer is not None:
                observer()
    except EOFError:
        pass


CspRecvPort._req_callback = announce
