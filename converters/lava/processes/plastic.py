"""Synapses that learn by Lava's three-factor rule, from spikes and errors of one time step."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.learning.constants import GradedSpikeCfg
from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
from lava.magma.core.learning.random import AbstractRandomGenerator
from lava.magma.core.model.py.connection import (
    LearningConnectionModelBitApproximate,
    LearningConnectionModelFloat,
    PyLearningConnection,
)
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.connection import LearningConnectionProcess
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurobip.converters.lava.learning.rule import changed
from neurobip.converters.lava.processes.sample import SampleModel

FOREVER = 2**53
"""A time constant whose exponential is 1 in double precision."""


def three_factor_rule(
    keep: float, impulse: float, exponent: int = 0, seed: int = 0
) -> Loihi3FLearningRule:
    """``dw = 2**exponent * x1 * y1`` in every time step.

    Args:
        keep: share of the trace ``x1`` that is left after a step.
        impulse: what a spike adds to it.
        exponent: of the product, -7 to 8; in integers Lava divides it by 8 besides.
        seed: of Lava's stochastic rounding.
    """
    rule = Loihi3FLearningRule(
        dw=f"2^{exponent} * u0 * x1 * y1",
        x1_impulse=impulse,
        # A tau of 0 would mean to Lava that there is no trace at all.
        x1_tau=-1 / np.log(keep) if keep > 0 else 1e-3,
        t_epoch=1,
        rng_seed=seed,
    )
    # Lava lets the third factor decay a little between its arrival and its use.
    rule.y1_tau = FOREVER
    return rule


class PlasticSynapses(LearningConnectionProcess):
    """Any linear map of spikes whose weights learn, shared between places or not.

    ::

        a_out = sum of weights[which] * s_in[column], by row        (of the step before)
        dw[which] = sum of x1[column] * y1[row]

    The trace ``x1`` takes the spikes ``lag`` steps after they were sent on, when the third factor
    of their own time step has arrived as ``y1``. It is reset with every sample, the weights are
    not. They are written to ``file``, an .npy array ``[rows, weights]``: to its last row at every
    step, to the others after every ``stride`` steps.

    A chip differs in two ways: it holds the trace next to the weights, so that spikes reach both at
    once and the trace is ``lag`` steps ahead of the error; and places that share a weight are
    processed by one core, one after the other.
    """

    def __init__(
        self,
        *,
        weights: np.ndarray,
        row: np.ndarray,
        column: np.ndarray,
        which: np.ndarray,
        targets: int,
        sources: int,
        exponent: int,
        lag: int,
        learning_rule: Loihi3FLearningRule,
        file: Path,
        first: int,
        stride: int,
        reset_interval: int,
        reset_offset: int,
        name: str | None = None,
    ) -> None:
        super().__init__(
            shape=(targets, sources),
            learning_rule=learning_rule,
            graded_spike_cfg=GradedSpikeCfg.USE_REGULAR_IMPULSE,
            row=row,
            column=column,
            which=which,
            exponent=exponent,
            lag=lag,
            file=str(file),
            first=first,
            stride=stride,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            name=name,
        )
        # Lava would hold two more matrices as large as the map.
        self.tag_1 = Var(shape=(1,), init=0)
        self.tag_2 = Var(shape=(1,), init=0)
        self.s_in = InPort(shape=(sources,))
        self.a_out = OutPort(shape=(targets,))
        self.a_buff = Var(shape=(targets,), init=0)
        self.weights = Var(shape=weights.shape, init=weights)


class PlasticModel(PyLearningConnection, SampleModel):
    """What both kinds of arithmetic share, a mix-in before Lava's learning models."""

    a_buff: np.ndarray
    states = ("x1",)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.row, self.column = proc_params["row"], proc_params["column"]
        silence = np.zeros(proc_params["shape"][1], dtype=bool)
        self.late = deque([silence] * proc_params["lag"])
        self.rows: np.ndarray | None = None

    def run_spk(self) -> None:
        """One time step: send, receive spikes, and give the delayed ones to the trace."""
        self.a_out.send(self.a_buff)
        spikes = self.s_in.recv().astype(bool)
        sent = self.weights[self.proc_params["which"]] * spikes[self.column]
        total = np.bincount(self.row, sent, minlength=len(self.a_buff))
        self.a_buff = (total * 2.0 ** self.proc_params["exponent"]).astype(self.a_buff.dtype)
        self.late.append(spikes)
        self.begin_step()
        self.recv_traces(self.late.popleft())

    def run_lrn(self) -> None:
        """The learning phase, and a record of the weights."""
        super().run_lrn()
        p = self.proc_params
        if self.rows is None:
            self.rows = np.load(p["file"], mmap_mode="r+")
        self.rows[-1] = self.weights
        done = self.time_step - p["first"]
        if done > 0 and done % p["stride"] == 0 and done // p["stride"] < len(self.rows):
            self.rows[done // p["stride"] - 1] = self.weights

    def _extract_applier_evaluated_traces(self, x_history: Any, y_history: Any) -> dict[str, Any]:
        # By synapse. Lava would build matrices of all pairs of sources here.
        return {"x1_u": x_history[-1, 0][self.column], "y1_u": y_history[-1, 0][self.row]}

    def products(self, x_history: np.ndarray, y_history: np.ndarray) -> np.ndarray:
        """The changes by the rule, summed over the places that share a weight."""
        factors = self._extract_applier_args(x_history, y_history) | {"shape": self.row.shape}
        (applier,) = self._learning_rule_appliers.values()
        dw = applier.apply(np.zeros(len(self.row), dtype=np.int64), **factors)
        return np.bincount(self.proc_params["which"], dw, minlength=len(self.weights))


@implements(proc=PlasticSynapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyPlasticModelFloat(PlasticModel, LearningConnectionModelFloat):
    """In floating point."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    a_buff: np.ndarray = LavaPyType(np.ndarray, float)
    weights: np.ndarray = LavaPyType(np.ndarray, float)

    def _apply_learning_rules(self, x_history: np.ndarray, y_history: np.ndarray) -> None:
        self.weights = self.weights + self.products(x_history, y_history)


class SynapseRandom(AbstractRandomGenerator):
    """A random number for every synapse; Lava's own generator has one for all of them."""

    def __init__(self, seed: int, size: int) -> None:
        self._numbers, self._size = np.random.default_rng(seed), size
        self.random_stochastic_round = np.zeros(size)

    def advance(self) -> None:
        """Draw the numbers of a time step."""
        self.random_stochastic_round = self._numbers.random(self._size)


@implements(proc=PlasticSynapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPlasticModelFixed(PlasticModel, LearningConnectionModelBitApproximate):
    """In integers: traces of 7 bits, even weights of 8 bits, both rounded stochastically.

    Random numbers are drawn from the first spikes of the first sample on, so that a part of a
    network learns as it does in the whole.
    """

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=1)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    a_buff: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    weights: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=8)

    def _init_randoms(self) -> None:
        super()._init_randoms()
        seed = self._learning_rule.rng_seed + 4
        size = int(self.proc_params["which"].max(initial=-1)) + 1
        self._conn_var_random = SynapseRandom(seed, size)

    def _update_trace_randoms(self) -> None:
        if self.time_step >= self.proc_params["reset_offset"]:
            super()._update_trace_randoms()

    def _update_synaptic_variable_random(self) -> None:
        if self.time_step >= self.proc_params["reset_offset"]:
            super()._update_synaptic_variable_random()

    def _apply_learning_rules(self, x_history: np.ndarray, y_history: np.ndarray) -> None:
        numbers = self._conn_var_random.random_stochastic_round
        self.weights = changed(self.weights, self.products(x_history, y_history), numbers)
