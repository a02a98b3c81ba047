"""Training of the twin: what it learns, that seeds decide it, and that it goes on where it was."""

from __future__ import annotations

import math

import pytest
import torch

from neurobip.config import RunConfig, make_config
from neurobip.evaluation.ann_training import Score, Twins, best_of, train_twins

EPOCHS, BATCHES = 5, 6


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return make_config({
        "model": {"sensor": [2, 12, 12], "width": 8, "hidden": 12, "heads": 2, "depth": 1,
                  "patch": 4, "classes": 3},
    })  # fmt: skip


def sample(batches: int, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Three classes: a bar above or below, or one that comes late; each in noise."""
    random = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(batches):
        labels = torch.randint(0, 3, (24,), generator=random)
        frames = (torch.rand(9, 24, 2, 12, 12, generator=random) < 0.05).to(torch.uint8)
        for i, label in enumerate(labels.tolist()):
            rows = slice(2, 4) if label == 0 else slice(8, 10)
            steps = slice(6, 9) if label == 2 else slice(0, 3)
            frames[steps, i, :, rows] += 2
        made.append((frames, labels))
    return made


def trained(config: RunConfig, start: Twins | None = None, done: int = 0, to: int = EPOCHS):
    twins = start or Twins(config, [(0, 3), (3, 6), (6, 9)], BATCHES * EPOCHS)
    train_twins(twins, lambda epoch: sample(BATCHES, epoch), to, start_epoch=done)
    return twins


@pytest.fixture(scope="module")
def whole(config: RunConfig) -> Twins:
    return trained(config)


def test_it_learns_what_is_easy(whole: Twins) -> None:
    scores = whole.scores(sample(4, seed=99))
    assert scores[best_of(scores)].accuracy > 0.9
    assert whole.batches == BATCHES * EPOCHS


def test_twins_begin_alike_and_the_seed_decides(config: RunConfig, whole: Twins) -> None:
    fresh = Twins(config, [(0, 3), (3, 6), (6, 9)], 1)
    first, *others = (twin.state_dict() for twin in fresh.twins)
    assert all(torch.equal(first[name], one[name]) for one in others for name in first)
    again = Twins(config, [(0, 3), (3, 6), (6, 9)], 1)
    assert torch.equal(again.twins[0].embed.weight, first["embed.weight"])
    other = Twins(config.model_copy(update={"seed": 1}), [(0, 3), (3, 6), (6, 9)], 1)
    assert not torch.equal(other.twins[0].embed.weight, first["embed.weight"])
    # Rates tell them apart.
    assert not torch.equal(whole.twins[0].embed.weight, whole.twins[1].embed.weight)


def test_a_broken_training_ends_as_an_unbroken_one(config: RunConfig, whole: Twins) -> None:
    before = trained(config, to=3)
    kept, memory = before.state_dict(), before.optimizer_state()
    after = Twins(config, [(0, 3), (3, 6), (6, 9)], BATCHES * EPOCHS)
    after.load_state_dict(kept)
    after.load_optimizer_state(memory)
    trained(config, after, done=3)
    # Ranges of weights follow them when they are next used.
    assert whole.scores(sample(1)) == after.scores(sample(1))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name


def test_the_best_has_most_right_and_then_the_least_loss() -> None:
    assert best_of([Score(0.5, 0.1), Score(0.8, 2.0), Score(0.8, 1.0)]) == 2
    assert best_of([Score(0.9, math.nan), Score(0.1, 3.0)]) == 1
    assert best_of([Score(0.0, 0.0)] * 3) == 0


def test_a_twin_out_of_range_stays_behind(config: RunConfig) -> None:
    twins = Twins(config, [(0, 9)], 4)
    with torch.no_grad():
        twins.twins[0].readout.bias.fill_(math.inf)
    frames, labels = sample(1)[0]
    losses = twins.learn(frames, labels)
    assert not math.isfinite(losses[0]) and all(map(math.isfinite, losses[1:]))
    assert torch.isfinite(twins.twins[0].embed.weight).all()
