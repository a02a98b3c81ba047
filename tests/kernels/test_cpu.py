"""The compiled kernels against the reference: spikes identical, any shape."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.kernels import cpu, reference

shapes = st.tuples(st.integers(0, 5), st.integers(1, 7), st.integers(1, 40))


@settings(max_examples=60, deadline=None)
@given(shapes, st.floats(0, 1), st.floats(0.1, 2), st.integers(0, 2**31))
def test_lif_step_equals_reference(shape, keep, threshold, seed):
    generator = torch.Generator().manual_seed(seed)
    u, v = torch.randn(2, *shape, generator=generator)
    bias = torch.randn(shape[-1], generator=generator)
    z = (v > threshold).float()
    expected_v, expected_z = reference.lif_step(u, v, z, bias, threshold, keep, 1.0)
    v_out, z_out = cpu.lif_step(u, v, bias, threshold, keep)
    torch.testing.assert_close(v_out, expected_v, rtol=1e-6, atol=1e-6)
    sure = (expected_v - threshold).abs() > 1e-5
    assert torch.equal(z_out[sure], expected_z[sure])


@settings(max_examples=60, deadline=None)
@given(shapes, st.floats(0.1, 2), st.floats(0.1, 3), st.integers(0, 2**31))
def test_gate_equals_reference(shape, threshold, width, seed):
    generator = torch.Generator().manual_seed(seed)
    error, v = torch.randn(2, *shape, generator=generator)
    torch.testing.assert_close(
        cpu.gate(error, v, threshold, width),
        reference.gate(error, v, threshold, width),
        rtol=1e-5,
        atol=1e-6,
    )


def test_takes_only_what_it_can():
    x = torch.zeros(4, 6)
    assert cpu.takes(x)
    assert not cpu.takes(x.double())
    assert not cpu.takes(x.T)
    weight = torch.zeros(4, 6, requires_grad=True)
    assert not cpu.takes(weight)
    with torch.no_grad():
        assert cpu.takes(weight)
