"""Accuracy counts what it should."""

import math

import pytest
import torch

from neurobip.evaluation import accuracy
from neurobip.models.network import Network


class Fixed(Network):
    """Answers with the number of events in the first pixel."""

    classes = 4

    def forward(self, frames):
        answer = frames.sum(0)[:, 0, 0, 0].long()
        return torch.nn.functional.one_hot(answer, 4).float().expand(len(frames), -1, -1), None


def test_confusion_and_share():
    frames = torch.zeros(1, 5, 2, 2, 2)
    frames[0, :, 0, 0, 0] = torch.tensor([0, 1, 1, 3, 2])
    labels = torch.tensor([0, 1, 2, 3, 2])
    result = accuracy(Fixed(), [(frames[:, :3], labels[:3]), (frames[:, 3:], labels[3:])])
    assert result.accuracy == 4 / 5 and result.samples == 5
    assert result.confusion[2].tolist() == [0, 1, 1, 0]
    assert result.confusion.sum() == 5
    # A potential of 1 for the answer, 0 for the other three classes; one of five answers is wrong.
    e = torch.e
    expected = 4 / 5 * math.log((e + 3) / e) + 1 / 5 * math.log(e + 3)
    assert result.loss == pytest.approx(expected)


def test_the_loss_is_that_of_the_steps_that_answer():
    class Late(Network):
        classes = 2
        answer_steps = 2

        def forward(self, frames):
            outputs = torch.zeros(4, 1, 2)
            outputs[:2, ..., 1], outputs[2:, ..., 0] = 9.0, 3.0
            return outputs, None

    result = accuracy(Late(), [(torch.zeros(4, 1, 2, 2, 2), torch.tensor([0]))])
    assert result.accuracy == 1
    assert result.loss == pytest.approx(math.log(1 + math.exp(-3)))


def test_no_sample_is_named():
    with pytest.raises(ValueError, match="no sample"):
        accuracy(Fixed(), [])
