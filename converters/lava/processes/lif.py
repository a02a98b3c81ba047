"""LIF neurons that Lava itself does not have: soft reset, constant drive, mixed constants."""

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
from neurobip.converters.quantization.formats import LIMIT, SHIFT


class VariantLIF(AbstractProcess):
    """LIF with its constants by neuron, a drive of its current, a soft reset or a refractory time.

    ::

        u <- (1 - decay_u) u + a_in + drive
        v <- (1 - decay_v) v + u + bias
        s_out = v > vth (or v >= vth),   v <- 0 or v - drop where it spikes
        v = 0 and silence for ``refractory`` steps after a spike

    All constants have one entry a neuron; ``drop = None`` resets to zero.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        decay_u: np.ndarray,
        decay_v: np.ndarray,
        vth: np.ndarray,
        bias: np.ndarray,
        drive: np.ndarray,
        drop: np.ndarray | None,
        refractory: int,
        at_threshold: bool,
        reset_interval: int,
        reset_offset: int,
        name: str | None = None,
    ) -> None:
        super().__init__(
            shape=shape,
            soft=drop is not None,
            refractory=refractory,
            at_threshold=at_threshold,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            name=name,
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.rest = Var(shape=shape, init=0)
        self.decay_u = Var(shape=shape, init=decay_u)
        self.decay_v = Var(shape=shape, init=decay_v)
        self.vth = Var(shape=shape, init=vth)
        self.bias = Var(shape=shape, init=bias)
        self.drive = Var(shape=shape, init=drive)
        self.drop = Var(shape=shape, init=0 if drop is None else drop)


class VariantLIFModel(SampleModel):
    """What both kinds of arithmetic share: when a neuron fires, and what follows."""

    rest: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    states = ("u", "v", "rest")

    def integrate(self, a: np.ndarray) -> None:
        """Bring ``u`` and ``v`` one step further."""
        raise NotImplementedError

    def lower(self) -> np.ndarray:
        """The membranes less the drop."""
        raise NotImplementedError

    def level(self) -> np.ndarray:
        """The threshold in the units of the membrane."""
        raise NotImplementedError

    def run_spk(self) -> None:
        """One time step."""
        a = self.a_in.recv()
        self.begin_step()
        self.integrate(a)
        resting = self.rest > 0
        self.v[resting] = 0
        level = self.level()
        fires = self.v >= level if self.proc_params["at_threshold"] else self.v > level
        spikes = fires & ~resting
        self.rest[resting] -= 1
        self.rest[spikes] = self.proc_params["refractory"]
        self.v[spikes] = self.lower()[spikes] if self.proc_params["soft"] else 0
        self.s_out.send(spikes)


@implements(proc=VariantLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyVariantLIFModelFixed(VariantLIFModel):
    """In integers: ``u`` wraps at 24 bits as Lava's does, ``v`` saturates.

    Threshold in units of ``a``; bias, drive and drop in those of the membrane, ``a << 6``.
    """

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    u: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    v: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    decay_u: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=12)
    decay_v: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=12)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=17)
    bias: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    drive: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)
    drop: np.ndarray = LavaPyType(np.ndarray, np.int64, precision=24)

    def integrate(self, a: np.ndarray) -> None:
        """One step, ``du = 4095`` being no memory as in Lava."""
        u = decay(self.u, self.decay_u + 1) + (a.astype(np.int64) << SHIFT) + self.drive
        u[u > LIMIT + 1] -= 2 * (LIMIT + 1)
        u[u <= -LIMIT - 1] += 2 * (LIMIT + 1)
        self.u[:] = u
        self.v[:] = saturate(decay(self.v, self.decay_v) + u + self.bias)

    def lower(self) -> np.ndarray:
        """The membranes less the drop."""
        return saturate(self.v - self.drop)

    def level(self) -> np.ndarray:
        """The threshold in the units of the membrane."""
        return self.vth << SHIFT


@implements(proc=VariantLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyVariantLIFModelFloat(VariantLIFModel):
    """In floating point."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    u: np.ndarray = LavaPyType(np.ndarray, float)
    v: np.ndarray = LavaPyType(np.ndarray, float)
    decay_u: np.ndarray = LavaPyType(np.ndarray, float)
    decay_v: np.ndarray = LavaPyType(np.ndarray, float)
    vth: np.ndarray = LavaPyType(np.ndarray, float)
    bias: np.ndarray = LavaPyType(np.ndarray, float)
    drive: np.ndarray = LavaPyType(np.ndarray, float)
    drop: np.ndarray = LavaPyType(np.ndarray, float)

    def integrate(self, a: np.ndarray) -> None:
        """One step."""
        self.u[:] = (1 - self.decay_u) * self.u + a + self.drive
        self.v[:] = (1 - self.decay_v) * self.v + self.u + self.bias

    def lower(self) -> np.ndarray:
        """The membranes less the drop."""
        return self.v - self.drop

    def level(self) -> np.ndarray:
        """The threshold in the units of the membrane."""
        return self.vth
