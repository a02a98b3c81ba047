"""Gate at the end of a sample: spikes sent for a later step do not reach the next sample."""

from __future__ import annotations

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class SampleGate(AbstractProcess):
    """Lets spikes pass at once, but not those that would arrive after the end of their sample.

    It comes before a connection whose ``delay`` the graph declares: what it holds at the end of a
    sample, and what a population with a bias sends before its first one begins, is no part of the
    graph. On a chip, ``delay`` idle steps between samples do the same.
    """

    def __init__(
        self,
        *,
        size: int,
        delay: int,
        reset_interval: int,
        reset_offset: int,
        name: str | None = None,
    ) -> None:
        super().__init__(
            delay=delay, reset_interval=reset_interval, reset_offset=reset_offset, name=name
        )
        self.s_in = InPort(shape=(size,))
        self.s_out = OutPort(shape=(size,))


class SampleGateModel(PyLoihiProcessModel):
    """The same in both kinds of arithmetic."""

    def run_spk(self) -> None:
        """One time step."""
        p = self.proc_params
        step = self.time_step - p["reset_offset"]
        spikes = self.s_in.recv()
        passing = step >= 0 and step % p["reset_interval"] + p["delay"] < p["reset_interval"]
        self.s_out.send(spikes if passing else np.zeros_like(spikes))


@implements(proc=SampleGate, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySampleGateModelFixed(SampleGateModel):
    """Spikes and payloads in integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)


@implements(proc=SampleGate, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PySampleGateModelFloat(SampleGateModel):
    """Spikes and payloads in floating point."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
