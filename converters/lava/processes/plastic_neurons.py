"""Populations with a learning signal: from an error or a label to ``-third_factor * sensitivity``.

It goes to their own plastic synapses as ``y1``, and through feedback synapses to earlier
populations.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.decorator import implements
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.proc.lif.models import PyLifResetModelFloat
from lava.proc.lif.process import LIFReset

from neurobip.converters.lava.learning.rule import learning_signal
from neurobip.converters.lava.processes.readout import (
    PyReadoutModelFixed,
    PyReadoutModelFloat,
    Readout,
)
from neurobip.converters.lava.processes.sample import SampleModel


class LearningReadout(Readout):
    """Readout with the learning signal label less softmax, ``held`` steps later.

    ``a_third_factor_in`` takes the label as a one in its place, and zeros without a label.
    """

    def __init__(self, *, gain: float, shift: int, held: int, **parameters: Any) -> None:
        super().__init__(**parameters)
        for name, value in (("gain", gain), ("shift", shift), ("held", held)):
            self.proc_params[name] = value
        shape = parameters["shape"]
        self.a_third_factor_in = InPort(shape=shape)
        self.s_out_y1 = OutPort(shape=shape)


class LearningReadoutModel(SampleModel):
    """What both kinds of arithmetic share, a mix-in before a readout's model."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.held = deque([np.zeros(proc_params["shape"])] * proc_params["held"])

    def run_spk(self) -> None:
        """One time step."""
        super().run_spk()
        self.held.append(self.v.copy())
        self.s_out_y1.send(self.learning_signal(self.held.popleft(), self.a_third_factor_in.recv()))

    def learning_signal(self, v: np.ndarray, target: np.ndarray) -> np.ndarray:
        """``-third_factor`` for the potentials of a step and its label."""
        raise NotImplementedError


@implements(proc=LearningReadout)
class PyLearningReadoutModelFloat(LearningReadoutModel, PyReadoutModelFloat):
    """In floating point, as :class:`neurobip.learning.loss.CrossEntropy`."""

    implements_process = None  # Lava else takes it for a model of the parent's process.
    a_third_factor_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out_y1: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)

    def learning_signal(self, v: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Label less softmax, times the gain."""
        if not target.any():
            return np.zeros_like(v)
        gain = self.proc_params["gain"]
        powers = np.exp(gain * (v - v.max()))
        return gain * (target - powers / powers.sum())


@implements(proc=LearningReadout)
class PyLearningReadoutModelFixed(LearningReadoutModel, PyReadoutModelFixed):
    """In integers, see :mod:`neurobip.converters.lava.learning.rule`."""

    implements_process = None  # Lava else takes it for a model of the parent's process.
    a_third_factor_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=7)
    s_out_y1: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=7)

    def learning_signal(self, v: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Label less softmax, of which 127 is the whole."""
        p = self.proc_params
        return learning_signal(v.astype(np.int64), target.astype(np.int64), p["gain"], p["shift"])


class LearningLIF(LIFReset):
    """Lava's LIF whose sensitivity is held for ``held`` steps, until its third factor arrives."""

    def __init__(self, *, held: int, width: float, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.proc_params["held"], self.proc_params["width"] = held, width
        shape = parameters["shape"]
        self.a_third_factor_in = InPort(shape=shape)
        self.s_out_y1 = OutPort(shape=shape)


@implements(proc=LearningLIF)
class PyLearningLIFModelFloat(PyLifResetModelFloat):
    """In floating point."""

    implements_process = None  # Lava else takes it for a model of the parent's process.
    a_third_factor_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out_y1: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.held = deque([np.zeros(proc_params["shape"])] * proc_params["held"])

    def spiking_activation(self) -> np.ndarray:
        """The spikes; keeps the sensitivity of the membranes before their reset."""
        distance = np.abs(self.v - self.vth) / self.proc_params["width"]
        self.held.append(np.maximum(0, 1 - distance))
        return super().spiking_activation()

    def run_spk(self) -> None:
        """One time step."""
        super().run_spk()
        self.s_out_y1.send(self.held.popleft() * self.a_third_factor_in.recv())
