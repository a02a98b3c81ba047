"""Reward: one scalar a sample, instead of the error of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from neurobip.component import Adjoint
from neurobip.errors import DataError
from neurobip.learning.loss import CrossEntropy
from neurobip.learning.signals.signal import LearningSignal, Signal, Task
from neurobip.models.stage import StageRun
from neurobip.neurons import LI
from neurobip.projection import PopulationError, prefixed, projections, state_at


class PolicyGradient(LearningSignal):
    """Policy gradient: the answer of the network is an action, whose reward every readout gets.

    ::

        action ~ softmax(scale * potentials of the last readout)       reward = 1 if right, else 0
        error_s = -(reward - expected) (onehot(action) - softmax_s)    at the readout of stage s

    Within a stage errors go by the VJP of the step. The label enters by the reward alone.
    ``expected`` follows the mean reward. Actions are drawn from torch's global generator.

    Args:
        classes: their number; the reward expected at first is that of a guess.

    Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning", eq. 11, with the mean reward as baseline.
    """

    joint = True
    expectation_rate = 0.01
    """Share by which the expected reward moves towards that of a step."""

    expected: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("expected", torch.tensor(1 / classes, dtype=torch.float64))

    def errors(self, runs: Mapping[int, StageRun], target: Tensor, task: Task) -> Signal:
        """The errors of some time steps; the expected reward moves."""
        outputs = runs[task.stages - 1].output
        actions = sample_actions(torch.softmax(task.scale * outputs, -1))
        rewards = (actions == class_targets(target)).to(outputs.dtype)
        advantage = rewards - float(self.expected)
        self.expected += self.expectation_rate * (float(rewards.mean()) - self.expected)
        found: list[Adjoint] = []
        for i, run in runs.items():
            if run.stage.readout is None and i < task.stages - 1:
                continue
            error = policy_error(run.output, actions, advantage, task.scale)
            readout = run.readout_adjoint(error)
            found.append(readout)
            if not run.stage.frozen:
                found.append(run.adjoint(readout.send()))
        return Signal.of(*found)


class GlobalReward(LearningSignal):
    """Global reward: all populations get one scalar, the reward compared with its expectation.

    ::

        answer  ~ softmax of the output
        success = reward - expected        reward = 1 if the answer is right, else -1

    Every population gets ``-success``, the same in all cells. A readout that does not spike gets
    the error by which its answer becomes likelier, times the same scalar (a policy gradient).
    Answers are drawn at every step, from torch's global generator.

    Args:
        expected: the reward that success is measured against; without one it is the network's own
            expectation, ``2 sum_c p_c^2 - 1`` with p the softmax. Against a constant, a network
            that is mostly right goes on to strengthen whatever fires.

    Memory: none. Cost: ``O(B classes)`` a step.

    Source: Fremaux & Gerstner 2016, "Neuromodulated spike-timing-dependent plasticity, and theory
    of three-factor learning rules": success, and why it has to be measured against an expectation;
    Williams 1992 for the readout.
    """

    joint = True

    def __init__(self, expected: float | None = None) -> None:
        super().__init__()
        self.expected = expected

    def errors(self, runs: Mapping[int, StageRun], target: Tensor, task: Task) -> Signal:
        """The errors of some time steps."""
        last = runs[task.stages - 1]
        p = torch.softmax(task.scale * last.output, -1)
        actions = torch.stack([sample_actions(step) for step in p])
        expected = 2 * (p * p).sum(-1) - 1 if self.expected is None else self.expected
        success = 2 * (actions == class_targets(target)).to(p.dtype) - 1 - expected
        answering = last.stage.readout or list(projections(last.stage.part))[-1][1]
        populations: dict[str, PopulationError] = {}
        for run in runs.values():
            parts: list[tuple[str, Any, Any]] = [(run.stage.name, run.stage.part, run.states.part)]
            if run.stage.readout is not None:
                parts.append((run.stage.readout_name, run.stage.readout, run.states.readout))
            for prefix, part, states in parts:
                for own, projection in projections(part):
                    (name,) = prefixed(prefix, {own: None})
                    held = state_at(states, own)
                    z = held.neuron.z
                    if isinstance(projection.neuron, LI):
                        if projection is not answering:
                            continue
                        answer_error = CrossEntropy().error(z, actions, task.scale)
                        error = success.unsqueeze(-1) * answer_error
                    else:
                        share = -success / z.shape[1]
                        error = share.view(*share.shape, *(1,) * (z.ndim - 2)).expand_as(z)
                    populations[name] = PopulationError(projection, error, held)
        return Signal(populations, {}, {})


def sample_actions(p: Tensor) -> Tensor:
    """Random actions by their probabilities.

    Shape:
        p ``[..., classes]``; actions ``[...]``.
    """
    return torch.multinomial(p.flatten(0, -2), 1).view(p.shape[:-1])


def class_targets(target: Tensor) -> Tensor:
    """Targets as class numbers, the rewarded actions.

    Raises:
        DataError: values instead of class numbers.
    """
    if target.is_floating_point():
        raise DataError("a reward is for class numbers; these targets are values")
    return target


def policy_error(outputs: Tensor, actions: Tensor, advantage: Tensor, scale: float) -> Tensor:
    """The error of a readout for the actions of the network.

    Shape:
        outputs ``[T, B, classes]``, actions and advantage ``[T, B]``; result as outputs.
    """
    error = torch.softmax(scale * outputs, -1)
    error.scatter_add_(-1, actions.unsqueeze(-1), -torch.ones_like(error[..., :1]))
    return error * advantage.unsqueeze(-1) * (scale / outputs.shape[-2])
