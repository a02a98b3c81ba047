"""Bipolar cells: center and surround to four graded, rectified signals a pixel."""

from __future__ import annotations

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurobip.converters.lava.processes.fixed import decay, saturate, share
from neurobip.converters.lava.processes.sample import SampleModel
from neurobip.converters.quantization.formats import SHIFT


class Bipolar(AbstractProcess):
    """Currents ``[2 * pixels]`` (center, surround) to payloads ``[4 * pixels]``.

    ::

        c <- decay(c, decay_c) + (center << 6)      s <- decay(s, decay_c) + (surround << 6)
        h <- decay(h, decay_h) + share(s, decay_h)  o  = c - h
        l <- decay(l, decay_l) + share(o, decay_l)
        sustained = o - share(l, leak)              transient = o - l

    The output is ``[sustained]+, [-sustained]+, [transient]+, [-transient]+``, each ``>> shift``
    and at most ``ceiling``. In floating point nothing is shifted, and there is no ceiling.
    """

    def __init__(
        self,
        *,
        pixels: int,
        decay_c: float,
        decay_h: float,
        decay_l: float,
        leak: float,
        shift: int,
        ceiling: int,
        reset_interval: int,
        reset_offset: int,
        name: str | None = None,
    ) -> None:
        super().__init__(
            decay_c=decay_c,
            decay_h=decay_h,
            decay_l=decay_l,
            leak=leak,
            shift=shift,
            ceiling=ceiling,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            name=name,
        )
        self.a_in = InPort(shape=(2 * pixels,))
        self.s_out = OutPort(shape=(4 * pixels,))
        self.c = Var(shape=(pixels,), init=0)
        self.s = Var(shape=(pixels,), init=0)
        self.h = Var(shape=(pixels,), init=0)
        self.low = Var(shape=(pixels,), init=0)


@implements(proc=Bipolar, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyBipolarModelFixed(SampleModel):
    """Fixed-point bipolar cells on a CPU."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    c: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    s: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    h: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    low: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    states = ("c", "s", "h", "low")

    def run_spk(self) -> None:
        """One time step."""
        center, surround = self.a_in.recv().astype(np.int64).reshape(2, -1) << SHIFT
        self.begin_step()
        p = self.proc_params
        self.c[:] = saturate(decay(self.c, p["decay_c"]) + center)
        self.s[:] = saturate(decay(self.s, p["decay_c"]) + surround)
        self.h[:] = saturate(decay(self.h, p["decay_h"]) + share(self.s, p["decay_h"]))
        o = saturate(self.c - self.h)
        self.low[:] = saturate(decay(self.low, p["decay_l"]) + share(o, p["decay_l"]))
        sustained, transient = o - share(self.low, p["leak"]), o - self.low
        signals = np.concatenate([sustained, -sustained, transient, -transient])
        self.s_out.send(np.minimum(signals.clip(min=0) >> p["shift"], p["ceiling"]))


@implements(proc=Bipolar, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyBipolarModelFloat(SampleModel):
    """Floating-point bipolar cells on a CPU."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    c: np.ndarray = LavaPyType(np.ndarray, float)
    s: np.ndarray = LavaPyType(np.ndarray, float)
    h: np.ndarray = LavaPyType(np.ndarray, float)
    low: np.ndarray = LavaPyType(np.ndarray, float)
    states = ("c", "s", "h", "low")

    def run_spk(self) -> None:
        """One time step."""
        center, surround = self.a_in.recv().reshape(2, -1)
        self.begin_step()
        p = self.proc_params
        self.c[:] = (1 - p["decay_c"]) * self.c + center
        self.s[:] = (1 - p["decay_c"]) * self.s + surround
        self.h[:] = (1 - p["decay_h"]) * self.h + p["decay_h"] * self.s
        o = self.c - self.h
        self.low[:] = (1 - p["decay_l"]) * self.low + p["decay_l"] * o
        sustained, transient = o - p["leak"] * self.low, o - self.low
        signals = np.concatenate([sustained, -sustained, transient, -transient])
        self.s_out.send(signals.clip(min=0))
