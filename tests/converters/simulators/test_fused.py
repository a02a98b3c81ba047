"""The fused LIF step equals the one in torch, number by number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.neuron_nodes import LIFNode
from neurobip.converters.simulators.fused import lif_step, takes
from neurobip.converters.simulators.integer import integer_step


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    decay_u=st.sampled_from([0, 1, 700, 4094, 4095]),
    decay_v=st.sampled_from([0, 1, 700, 4095]),
    threshold=st.sampled_from([1, 300, 131071]),
    largest=st.sampled_from([3, 2**17 - 1, 2**18, 2**21]),
    shape=st.sampled_from([(1, 1, 1, 1), (3, 2, 3, 5), (2, 7, 1, 1), (0, 2, 2, 2)]),
    bias=st.booleans(),
    double=st.booleans(),
)
def test_as_in_torch(seed, decay_u, decay_v, threshold, largest, shape, bias, double) -> None:
    generator = torch.Generator().manual_seed(seed)
    constant = np.random.default_rng(seed).integers(-4095, 4096, shape[1]).astype(np.int32)
    neuron = LIFNode(decay_u, decay_v, threshold, constant << 5 if bias else None, 5 if bias else 0)
    fused = slow = None
    for _ in range(7):
        a = torch.randint(-largest, largest + 1, shape, generator=generator)
        a = a.double() if double else a.float()
        z, fused = lif_step(neuron, a, fused, True)
        wanted, slow = integer_step(neuron, a.double(), slow, True)
        assert torch.equal(z, wanted)
        assert torch.equal(fused[1].double(), slow[1])
        if decay_u < 4095:
            assert torch.equal(fused[0].double(), slow[0])


def test_a_strided_current() -> None:
    a = torch.randint(-9, 9, (2, 4, 4, 3)).float().transpose(1, 3)
    neuron = LIFNode(4095, 100, 5)
    assert torch.equal(lif_step(neuron, a, None, False)[0],
                       integer_step(neuron, a.double(), None, False)[0])  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        dict(drive=np.ones(2, dtype=np.int32)),
        dict(drop=3),
        dict(refractory=1),
        dict(at_threshold=True),
        dict(decay_v=np.ones(2, dtype=np.int32)),
        dict(bias=np.ones((2, 3, 3), dtype=np.int32)),
    ],
)
def test_what_it_leaves_to_torch(other: dict) -> None:
    a = torch.zeros(1, 2, 3, 3)
    assert takes(LIFNode(4095, 1, 1, np.ones(2, dtype=np.int32)), a)
    assert not takes(LIFNode(**(dict(decay_u=4095, decay_v=1, threshold=1) | other)), a)
