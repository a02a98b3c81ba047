"""The third factor: what a readout has to say about its own potentials."""

import torch
from torch import Tensor


def cross_entropy_error(
    potentials: Tensor, labels: Tensor, gain: float, smoothing: float = 0.0
) -> Tensor:
    """Derivative of the mean cross-entropy of ``softmax(gain * potentials)``.

    Args:
        smoothing: share of the target that is spread over all classes.

    Shape:
        potentials ``[R, B, classes]``, labels ``[B]``; result as potentials. Every readout gets
        the error of its own answer.

    Units:
        ``gain`` is the inverse of the readout's time constant in steps, so that
        ``gain * potentials`` is a moving average of the input current.
    """
    error = torch.softmax(gain * potentials, -1)
    if smoothing:
        error -= smoothing / error.shape[-1]
    rows = torch.arange(len(labels), device=labels.device)
    error[:, rows, labels] -= 1 - smoothing
    return error.mul_(gain / len(labels))


class Reinforce:
    """The scalar that a whole network hears, and what it makes of it at every readout.

    ::

        action ~ softmax(gain * potentials of the last readout)        reward = 1 if right, else 0
        error_s = -(reward - expected) (onehot(action) - softmax_s)    at the readout of stage s

    The label enters by the reward alone. ``expected`` follows the mean reward.

    Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist
    reinforcement learning", eq. 11, with the mean reward as baseline.
    """

    follow = 0.01
    """Share by which the expected reward moves towards that of a step."""

    def __init__(self, expected: float) -> None:
        self.expected = expected

    def act(self, potentials: Tensor, labels: Tensor, gain: float) -> tuple[Tensor, Tensor]:
        """What the network does at each step, and by how much it was better than expected.

        Shape:
            potentials of the last readout ``[R, B, classes]``; actions and advantages ``[R, B]``.
        """
        answers = torch.softmax(gain * potentials, -1)
        actions = torch.multinomial(answers.flatten(0, -2), 1).view(answers.shape[:-1])
        rewards = (actions == labels).to(potentials.dtype)
        advantage = rewards - self.expected
        self.expected += self.follow * (float(rewards.mean()) - self.expected)
        return actions, advantage

    @staticmethod
    def error(potentials: Tensor, actions: Tensor, advantage: Tensor, gain: float) -> Tensor:
        """The error of a readout for what the network did.

        Shape:
            potentials ``[R, B, classes]``; result as potentials.
        """
        error = torch.softmax(gain * potentials, -1)
        error.scatter_add_(-1, actions.unsqueeze(-1), -torch.ones_like(error[..., :1]))
        return error * advantage.unsqueeze(-1) * (gain / potentials.shape[-2])
