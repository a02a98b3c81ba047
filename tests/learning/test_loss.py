"""Losses: each error is the derivative of its value, and targets that do not fit are refused."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.errors import ConfigError, DataError
from neurobip.learning import CrossEntropy, Hinge, SquaredError
from neurobip.learning.loss import named_loss
from neurobip.learning.rules import bptt, local, ottt, sltt
from neurobip.learning.targets import Targets

from .networks import assert_equal, prepared

T, B, C = 4, 5, 3
LOSSES = {
    "cross entropy": CrossEntropy(),
    "smoothed": CrossEntropy(0.2),
    "squared error": SquaredError(),
    "hinge": Hinge(),
}


def targets(kind: str) -> torch.Tensor:
    """Targets of a batch, as a user gives them."""
    generator = torch.Generator().manual_seed(0)
    match kind:
        case "[B]":
            return torch.arange(B) % C
        case "[T, B]":
            return torch.randint(0, C, (T, B), generator=generator)
        case "[B, C]":
            return torch.rand(B, C, generator=generator).softmax(-1).double()
    return torch.rand(T, B, C, generator=generator).softmax(-1).double()


KINDS = ["[B]", "[T, B]", "[B, C]", "[T, B, C]"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1.0, 0.125])
def test_the_error_is_the_derivative_of_each_steps_mean(loss, kind, scale):
    torch.manual_seed(1)
    outputs = (3 * torch.randn(T, B, C, dtype=torch.float64)).requires_grad_()
    target = Targets(targets(kind), T, B).chunk(0, T)
    # Sum over steps of the mean over samples.
    LOSSES[loss].objective(outputs, target, scale).mul(T).backward()
    found = LOSSES[loss].error(outputs.detach(), target, scale)
    torch.testing.assert_close(found, outputs.grad)
    assert bool(found.any())


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_of_the_cross_entropy_is_that_of_torch_without_smoothing(kind):
    torch.manual_seed(1)
    outputs, given = torch.randn(T, B, C, dtype=torch.float64), targets(kind)
    target = Targets(given, T, B).chunk(0, T)
    by_hand = torch.stack([
        F.cross_entropy(0.5 * outputs[t], given[t] if kind.startswith("[T") else given)
        for t in range(T)
    ]).mean()  # fmt: skip
    for loss in (CrossEntropy(), CrossEntropy(0.3)):
        torch.testing.assert_close(loss.value(outputs, target, 0.5), by_hand)
    smoothed = CrossEntropy(0.3).objective(outputs, target, 0.5)
    flat = target.expand(T, *target.shape[1:]).flatten(0, 1)
    expected = F.cross_entropy(0.5 * outputs.flatten(0, 1), flat, label_smoothing=0.3)
    torch.testing.assert_close(smoothed, expected)


def test_squared_error_and_hinge_by_hand():
    outputs = torch.tensor([[[2.0, -1.0], [0.5, 0.25]]])
    labels = torch.tensor([[0, 1]])
    # Scores 1, -0.5 and 0.25, 0.125 at a scale of one half.
    squared = 0.5 * ((0 + 0.25) + (0.25**2 + 0.875**2)) / 2
    assert float(SquaredError().value(outputs, labels, 0.5)) == pytest.approx(squared)
    hinge = ((0 + 0.5) + (1.25 + 0.875)) / 2
    assert float(Hinge().value(outputs, labels, 0.5)) == pytest.approx(hinge)


def test_losses_by_name():
    assert named_loss("cross_entropy", 0.1) == CrossEntropy(0.1)
    assert named_loss("squared_error") == SquaredError()
    assert named_loss("hinge") == Hinge()
    with pytest.raises(ConfigError, match="label_smoothing 0.1 is for cross_entropy"):
        named_loss("hinge", 0.1)
    with pytest.raises(ConfigError, match="loss 'mse'; expected cross_entropy, squared_error"):
        named_loss("mse")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_instant_rule_with_any_loss_and_targets_is_bptt_cut_at_every_step(loss, kind):
    network, frames, _ = prepared("two layers", steps=T, samples=B)
    given, settings = targets(kind), {"loss": LOSSES[loss], "warmup_steps": 1}
    found = sltt(network, **settings).gradients(frames, given)
    assert_equal(found, bptt(network, window=1, **settings).gradients(frames, given))


@pytest.mark.parametrize("make", [ottt, local, bptt])
@pytest.mark.parametrize("loss", [CrossEntropy(), SquaredError()], ids=["cross", "squared"])
def test_rules_learn_targets_by_step(make, loss):
    """A class that changes half way through the sequence, as the input does."""
    network, _, labels = prepared("two layers", samples=12)
    changing = torch.stack([labels] * 8 + [(labels + 1) % 3] * 8)
    frames = F.one_hot(changing, 3).repeat_interleave(2, -1).double()
    rule = make(network, lr=2e-2, loss=loss, update="sequence")
    first = rule.learn(frames, changing)
    for _ in range(80):
        last = rule.learn(frames, changing)
    assert last.loss < 0.7 * first.loss
    with torch.no_grad():
        answers = network(frames)[0].argmax(-1)
    assert bool((answers[7] == changing[7]).all()) and bool((answers[-1] == changing[-1]).all())


def test_values_equal_to_one_hot_labels_give_the_gradients_of_labels():
    network, frames, labels = prepared("two layers")
    one_hot = F.one_hot(labels, 3).double()
    for loss in (CrossEntropy(), CrossEntropy(0.1), SquaredError()):
        rule = ottt(network, loss=loss)
        assert_equal(rule.gradients(frames, one_hot), rule.gradients(frames, labels))
        by_step = one_hot.expand(len(frames), -1, -1)
        assert_equal(rule.gradients(frames, by_step), rule.gradients(frames, labels))
    result = ottt(network).learn(frames, one_hot)
    assert result.samples == len(labels)


WRONG = {
    "negative label": (torch.tensor([0, 1, -1, 0, 1]), "labels from -1 to 1 for 3 classes"),
    "label of no class": (torch.tensor([0, 1, 3, 0, 1]), "labels from 0 to 3 for 3 classes"),
    "too few": (torch.zeros(4).long(), r"with targets \(4,\); expected \[B\] or \[T, B\]"),
    "batch first": (torch.zeros(5, 8).long(), r"targets \(5, 8\)"),
    "three axes": (torch.zeros(8, 5, 3).long(), r"targets \(8, 5, 3\)"),
    "a number": (torch.tensor(1), r"targets \(\)"),
    "values of other classes": (torch.zeros(5, 4), "targets of 4 values for 3 outputs"),
    "values without classes": (torch.zeros(5), r"expected \[B, classes\] or \[T, B, classes\]"),
    "values of other steps": (torch.zeros(7, 5, 3), r"targets \(7, 5, 3\)"),
    "yes or no": (torch.zeros(5).bool(), "torch.bool; expected class numbers or values"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("make", [ottt, local, bptt])
def test_targets_that_do_not_fit_are_refused(name, make):
    network, frames, _ = prepared("two layers")
    wrong, message = WRONG[name]
    rule = make(network)
    before = [p.detach().clone() for p in network.parameters()]
    for work in (rule.learn, rule.gradients):
        with pytest.raises(DataError, match=message):
            work(frames, wrong)
    assert all(map(torch.equal, before, network.parameters()))


@pytest.mark.parametrize("name", ["negative label", "label of no class", "too few", "yes or no",
                                  "values of other classes"])  # fmt: skip
def test_a_step_refuses_them_too(name):
    network, frames, _ = prepared("two layers")
    with pytest.raises(DataError):
        ottt(network).step(frames[0], WRONG[name][0])
