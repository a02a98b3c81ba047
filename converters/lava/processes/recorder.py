"""Recorder of a population: writes its output into a file while the network runs.

Lava's own sinks hand their data back one number at a time, which for a whole network takes longer
than the simulation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Recorder(AbstractProcess):
    """Stores each step as a row of ``file``, and the number of steps in ``progress[slot]``.

    Both files are .npy arrays that exist already: numbers ``[steps, size]`` and int64 ``[slots]``.
    """

    def __init__(
        self, *, size: int, file: Path, progress: Path, slot: int, name: str | None = None
    ) -> None:
        super().__init__(file=str(file), progress=str(progress), slot=slot, name=name)
        self.a_in = InPort(shape=(size,))


class RecorderModel(PyLoihiProcessModel):
    """Writes through memory maps that are opened in the recorder's own process."""

    rows: np.ndarray | None = None

    def run_spk(self) -> None:
        """One time step."""
        if self.rows is None:
            self.rows = np.load(self.proc_params["file"], mmap_mode="r+")
            self.progress = np.load(self.proc_params["progress"], mmap_mode="r+")
        self.rows[self.time_step - 1] = self.a_in.recv()
        self.progress[self.proc_params["slot"]] = self.time_step


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRecorderModelFixed(RecorderModel):
    """Records integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyRecorderModelFloat(RecorderModel):
    """Records floating point."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
