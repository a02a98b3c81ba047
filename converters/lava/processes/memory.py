"""Linear attention as a connection process: it stores keys and values and is read by queries."""

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

from neurobip.converters.lava.processes.sample import SampleModel
from neurobip.converters.quantization.formats import CURRENT, LIMIT


class LinearMemory(AbstractProcess):
    """Spikes of queries, keys and values ``[width * tokens]`` to the current ``[width * tokens]``.

    ::

        S <- S - (S >> decay_shift) + (sum_n k[n]^T v[n] << fraction)     (by head, 24 bits)
        a_out[n] = q[n] S >> shift                                        (at most 17 bits)

    ``decay_shift = 0`` keeps nothing. In floating point nothing is shifted, and what is read is
    multiplied by ``gain``. As every connection of Lava, it sends what it accumulated
    in the step before.
    """

    def __init__(
        self,
        *,
        width: int,
        tokens: int,
        heads: int,
        decay_shift: int,
        gain: float,
        fraction: int,
        shift: int,
        reset_interval: int,
        reset_offset: int,
        name: str | None = None,
    ) -> None:
        super().__init__(
            heads=heads,
            tokens=tokens,
            decay_shift=decay_shift,
            gain=gain,
            fraction=fraction,
            shift=shift,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            name=name,
        )
        shape = (width * tokens,)
        self.q_in = InPort(shape=shape)
        self.k_in = InPort(shape=shape)
        self.v_in = InPort(shape=shape)
        self.a_out = OutPort(shape=shape)
        self.a_buff = Var(shape=shape, init=0)
        self.stored = Var(shape=(heads, width // heads, width // heads), init=0)


@implements(proc=LinearMemory, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLinearMemoryModelFixed(SampleModel):
    """Fixed-point linear memory on a CPU."""

    q_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    k_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    v_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=17)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=17)
    stored: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    states = ("stored",)

    def run_spk(self) -> None:
        """One time step."""
        self.a_out.send(self.a_buff)
        p = self.proc_params
        q, k, v = (
            port.recv().astype(np.int64).reshape(p["heads"], -1, p["tokens"])
            for port in (self.q_in, self.k_in, self.v_in)
        )
        self.begin_step()
        kept = self.stored - (self.stored >> p["decay_shift"])
        written = k @ v.transpose(0, 2, 1) << p["fraction"]
        self.stored[:] = np.minimum(kept + written, LIMIT)
        read = self.stored.transpose(0, 2, 1) @ q >> p["shift"]
        self.a_buff[:] = np.minimum(read, CURRENT).reshape(-1)


@implements(proc=LinearMemory, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyLinearMemoryModelFloat(SampleModel):
    """Floating-point linear memory on a CPU."""

    q_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    k_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    v_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    a_buff: np.ndarray = LavaPyType(np.ndarray, float)
    stored: np.ndarray = LavaPyType(np.ndarray, float)
    states = ("stored",)

    def run_spk(self) -> None:
        """One time step."""
        self.a_out.send(self.a_buff)
        p = self.proc_params
        q, k, v = (
            port.recv().reshape(p["heads"], -1, p["tokens"])
            for port in (self.q_in, self.k_in, self.v_in)
        )
        self.begin_step()
        kept = 1 - 2.0 ** -p["decay_shift"]
        self.stored[:] = kept * self.stored + k @ v.transpose(0, 2, 1)
        self.a_buff[:] = p["gain"] * (self.stored.transpose(0, 2, 1) @ q).reshape(-1)
