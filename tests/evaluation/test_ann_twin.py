"""The twin without spikes: sizes, levels and work, by independent counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neurobip.errors import DataError
from neurobip.evaluation.ann_twin import (
    AnnTwin,
    Quantised,
    TwinAttention,
    binned,
    time_windows,
)
from neurobip.evaluation.controls import count_features
from neurobip.models import BiTFormer, BiTFormerConfig

SMALL = {"sensor": (2, 18, 20), "width": 16, "hidden": 24, "heads": 2, "patch": 5, "classes": 4}
KINDS = [
    {},
    {"attention": "none"},
    {"depth": 1, "merge": 2, "merged": 12},
    {"depth": 0},
    {"attention": "masked"},
    {"retina": "none"},
]


def small(**changes) -> BiTFormerConfig:
    return BiTFormerConfig.model_validate({**SMALL, **changes})


def counts(bins: int = 3, batch: int = 5) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(batch, 2 * bins, 18, 20)


def test_bins_are_those_of_the_logistic_regression() -> None:
    torch.manual_seed(0)
    frames = torch.randint(0, 200, (20, 4, 2, 3, 5), dtype=torch.uint8)
    ours = binned(frames, time_windows(20))
    theirs = torch.from_numpy(count_features(frames.transpose(0, 1).numpy(), 3))
    assert ours.shape == (4, 6, 3, 5) and torch.allclose(ours.flatten(1), theirs)


def test_bins_lie_within_the_periods() -> None:
    assert time_windows(25, [(0, 10), (15, 25)]) == [
        (0, 3), (3, 7), (7, 10), (15, 18), (18, 22), (22, 25)
    ]  # fmt: skip
    assert time_windows(2) == [(0, 1), (1, 2)]
    frames = torch.ones(4, 1, 2, 3, 3, dtype=torch.uint8)
    for windows in ([], [(0, 5)], [(-1, 2)]):
        with pytest.raises(DataError, match="of 4 steps"):
            binned(frames, windows)


@pytest.mark.parametrize("changes", KINDS)
def test_layers_have_the_parameters_of_the_spiking_network(changes) -> None:
    config = small(**changes)
    twin, network = AnnTwin(config, 3), BiTFormer(config)
    assert twin(counts()).shape == (5, 4)

    def learned(part) -> int:
        return sum(p.numel() for p in part.parameters() if p.requires_grad)

    pairs = list(zip(twin.blocks, network.blocks, strict=True))
    if config.attention != "masked":
        assert all(learned(ours) == learned(theirs) for ours, theirs in pairs)
    # Three bins of two polarities in the place of the retina's cell types, and a single readout.
    channels = network.embed.synapse.weight.shape[1]
    seen = (6 - channels) * config.width * config.patch**2
    lower = sum(learned(readout) for readout in network.readouts[:-1])
    others = sum(learned(theirs) - learned(ours) for ours, theirs in pairs)
    missing = learned(network) - twin.parameter_count()
    unlike = learned(network.readouts[-1]) - learned(twin.readout)
    assert missing == lower - seen + others + unlike
    assert unlike == -config.classes  # the spiking readout has no bias


@pytest.mark.parametrize("changes", KINDS)
def test_work_is_what_layers_do(changes) -> None:
    """Every output of a layer is one sum over all that its weights hear."""
    twin = AnnTwin(small(**changes), 3).eval()
    done = []

    def layer(part, _, y) -> None:
        done.append(y.numel() * part.weight[0].numel())

    def attention(part, inputs, y) -> None:
        tokens, heads = y.shape[1], part.heads
        size = y.shape[2] // heads
        done.append(sum(2 * size for _ in range(tokens * heads * size)))

    for part in twin.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            part.register_forward_hook(layer)
        elif isinstance(part, TwinAttention):
            part.register_forward_hook(attention)
    twin(counts(batch=1))
    assert sum(done) == twin.macs()


@pytest.mark.parametrize("bits", [2, 4])
def test_activations_have_few_levels(bits: int) -> None:
    twin = AnnTwin(small(merge=2, merged=16), 3, bits)
    found = {}
    for name, part in twin.named_modules():
        if isinstance(part, Quantised):
            part.register_forward_hook(lambda _m, _x, y, name=name: found.update({name: y}))
    for _ in range(3):
        twin(counts())
    twin.eval()(2 * counts())
    assert len(found) == 3 + 2 * 6
    for name, y in found.items():
        wide = name == "seen" or name.endswith("memory")
        assert y.unique().numel() <= 2 ** (8 if wide else bits), name
        assert y.min() >= 0 and y.unique().numel() > 1, name
    weights = twin.blocks[0].up
    assert weights.weight_fake_quant(weights.weight).unique().numel() <= 255


def test_evaluation_leaves_no_trace() -> None:
    twin = AnnTwin(small(), 3)
    twin(counts())
    twin.eval()
    before = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    once, alone = twin(100 * counts()), twin(100 * counts()[:1])
    assert all(torch.equal(before[name], t) for name, t in twin.state_dict().items())
    assert torch.allclose(once[:1], alone, atol=1e-6)


def test_gradients_reach_every_parameter() -> None:
    twin = AnnTwin(small(merge=2, merged=16), 3)
    with torch.no_grad():
        twin.readout.weight.normal_()
    twin(counts()).square().sum().backward()
    for name, parameter in twin.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_attention_is_the_sum_over_tokens() -> None:
    """Against a plain loop, where rounding is as fine as to be none."""
    attention = AnnTwin(small(), 3).blocks[0].attention
    for part in (attention.memory, attention.read):
        part.fake.disable_fake_quant()
    x = torch.rand(2, 7, 48)
    q, k, v = (part.reshape(2, 7, 2, 8) for part in x.split(16, -1))
    expected = torch.zeros(2, 7, 2, 8)
    for n in range(7):
        for m in range(7):
            score = (q[:, n] * k[:, m]).sum(-1, keepdim=True)
            expected[:, n] += score * v[:, m] / 7
    assert torch.allclose(attention(x), expected.flatten(-2), atol=1e-5)
