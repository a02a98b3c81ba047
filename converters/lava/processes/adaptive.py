"""The adaptive LIF neuron of the ganglion cells."""

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

from neurobip.converters.lava.processes.fixed import decay, saturate
from neurobip.converters.lava.processes.sample import SampleModel
from neurobip.converters.quantization.formats import SHIFT


class AdaptiveLIF(AbstractProcess):
    """LIF whose threshold rises by ``jump`` with every spike and decays back.

    ::

        v <- decay(v, decay_v) + (a_in << 6)
        s_out = v > (vth << 6) + a,   v <- 0 where it spikes
        a <- decay(a, decay_a) + (jump << 6) s_out

    ``decay_v`` has one entry a neuron. In floating point nothing is shifted.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        decay_v: np.ndarray,
        vth: float,
        decay_a: float,
        jump: float,
        reset_interval: int,
        reset_offset: int,
        name: str | None = None,
    ) -> None:
        super().__init__(
            shape=shape,
            vth=vth,
            decay_a=decay_a,
            jump=jump,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            name=name,
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)
        self.a = Var(shape=shape, init=0)
        self.decay_v = Var(shape=shape, init=decay_v)


@implements(proc=AdaptiveLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyAdaptiveLIFModelFixed(SampleModel):
    """Fixed-point adaptive LIF on a CPU."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    v: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    a: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    decay_v: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=12)
    states = ("v", "a")

    def run_spk(self) -> None:
        """One time step."""
        current = self.a_in.recv().astype(np.int64)
        self.begin_step()
        params = self.proc_params
        self.v[:] = saturate(decay(self.v, self.decay_v) + (current << SHIFT))
        spikes = self.v > (params["vth"] << SHIFT) + self.a
        self.v[spikes] = 0
        self.a[:] = saturate(decay(self.a, params["decay_a"]) + (params["jump"] << SHIFT) * spikes)
        self.s_out.send(spikes)


@implements(proc=AdaptiveLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyAdaptiveLIFModelFloat(SampleModel):
    """Floating-point adaptive LIF on a CPU."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    v: np.ndarray = LavaPyType(np.ndarray, float)
    a: np.ndarray = LavaPyType(np.ndarray, float)
    decay_v: np.ndarray = LavaPyType(np.ndarray, float)
    states = ("v", "a")

    def run_spk(self) -> None:
        """One time step."""
        current = self.a_in.recv()
        self.begin_step()
        params = self.proc_params
        self.v[:] = (1 - self.decay_v) * self.v + current
        spikes = self.v > params["vth"] + self.a
        self.v[spikes] = 0
        self.a[:] = (1 - params["decay_a"]) * self.a + params["jump"] * spikes
        self.s_out.send(spikes)
