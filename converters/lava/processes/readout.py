"""The readout: leaky integrators whose membrane is the output."""

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


class Readout(AbstractProcess):
    """``v <- decay(v, decay_v) + (a << fraction) + bias``, sent as a graded spike at every step.

    ``decay_v`` and ``bias`` have one entry a neuron; in floating point there is no ``fraction``.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        decay_v: np.ndarray,
        bias: np.ndarray,
        fraction: int,
        reset_interval: int,
        reset_offset: int,
        name: str | None = None,
    ) -> None:
        super().__init__(
            shape=shape,
            fraction=fraction,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            name=name,
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=0)
        self.decay_v = Var(shape=shape, init=decay_v)
        self.bias = Var(shape=shape, init=bias)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyReadoutModelFixed(SampleModel):
    """Fixed-point readout on a CPU."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    v: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    decay_v: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=12)
    bias: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    states = ("v",)

    def run_spk(self) -> None:
        """One time step."""
        a = self.a_in.recv().astype(np.int64) << self.proc_params["fraction"]
        self.begin_step()
        self.v[:] = saturate(decay(self.v, self.decay_v) + a + self.bias)
        self.s_out.send(self.v)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyReadoutModelFloat(SampleModel):
    """Floating-point readout on a CPU."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    v: np.ndarray = LavaPyType(np.ndarray, float)
    decay_v: np.ndarray = LavaPyType(np.ndarray, float)
    bias: np.ndarray = LavaPyType(np.ndarray, float)
    states = ("v",)

    def run_spk(self) -> None:
        """One time step."""
        a = self.a_in.recv()
        self.begin_step()
        self.v[:] = (1 - self.decay_v) * self.v + a + self.bias
        self.s_out.send(self.v)
