"""The Triton kernels against the reference: on a GPU if there is one, else in the interpreter.

Spikes are identical, and so is whatever is added in the same order; sums of products, which each
device adds in its own order, agree to 1e-5 of their size.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.kernels import cuda, dispatch, reference

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

pytestmark = pytest.mark.skipif(not cuda.FOUND, reason="Triton is not installed")

on_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="there is no GPU")

lengths, batches, sizes = st.integers(1, 5), st.integers(0, 3), st.integers(1, 9)
keeps = st.sampled_from([0.0, 0.5, 0.9, 1.0])
seeds = st.integers(0, 2**31)
quick = settings(max_examples=25, deadline=None, derandomize=True)


def draw(seed, *shapes):
    """Normal numbers, none of which lies in memory as its shape says."""
    generator = torch.Generator(DEVICE).manual_seed(seed)
    turned = (tuple(reversed(shape)) for shape in shapes)
    drawn = [torch.randn(shape, generator=generator, device=DEVICE) for shape in turned]
    return [x.permute(*reversed(range(x.dim()))) for x in drawn]


def identical(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def through(kernels, monkeypatch):
    """Let the package's calls be answered by these kernels, wherever the tensors are."""
    answer = lambda *tensors, fit=True: kernels if fit else None  # noqa: E731
    monkeypatch.setattr(dispatch, "compiled_kernels", answer)


@quick
@given(lengths, batches, sizes, keeps, keeps, seeds)
def test_lif(steps, batch, size, keep_u, keep_v, seed):
    shape = (batch, 2, size)
    x, u, v, bias = draw(seed, (steps, *shape), shape, shape, (size,))
    constants = x, u, v, bias, 0.4, keep_u, keep_v
    u_seq, v_seq, z = reference.lif_scan(*constants, 1.0)
    identical(cuda.lif_scan(*constants), (u_seq, v_seq, z))
    identical(cuda.lif_run(*constants), (z, u_seq[-1], v_seq[-1]))


@quick
@given(lengths, batches, sizes, keeps, keeps, seeds)
def test_lif_back(steps, batch, size, keep_u, keep_v, seed):
    shape = (batch, 2, size)
    inputs = draw(seed, (steps, *shape), shape, shape, (size,))
    errors = draw(seed + 1, (steps, *shape), shape, shape)

    def gradients(lif, *constants):
        leaves = [x.detach().requires_grad_() for x in inputs]
        z, u, v = lif(*leaves, *constants)
        total = sum((e * out).sum() for e, out in zip(errors, (z, u, v), strict=True))
        return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)

    def slow(*arguments):
        u_seq, v_seq, z = reference.lif_scan(*arguments)
        return z, u_seq[-1], v_seq[-1]

    constants = 0.4, keep_u, keep_v, 1.5
    with pytest.MonkeyPatch.context() as patch:
        through(cuda, patch)
        close(gradients(dispatch.lif, *constants), gradients(slow, *constants))


@quick
@given(lengths, batches, sizes, keeps, seeds)
def test_alif_and_back(steps, batch, size, keep_a, seed):
    shape = (batch, 3, size, 2)
    inputs = draw(seed, (steps, *shape), shape, shape)
    errors = draw(seed + 1, (steps, *shape), shape, shape)
    keep_v = torch.tensor([0.0, 0.5, 0.9], device=DEVICE)[:, None, None]
    constants = 0.3, keep_v, keep_a, 0.4
    identical(cuda.alif_scan(*inputs, *constants), reference.alif_scan(*inputs, *constants, 1.0))

    def gradients(alif):
        leaves = [x.detach().requires_grad_() for x in inputs]
        outputs = alif(*leaves, *constants, 1.5)
        total = sum((e * out).sum() for e, out in zip(errors, outputs, strict=True))
        return torch.autograd.grad(total, leaves)

    def slow(*arguments):
        v_seq, a_seq, z = reference.alif_scan(*arguments)
        return z, v_seq[-1], a_seq[-1]

    with pytest.MonkeyPatch.context() as patch:
        through(cuda, patch)
        close(gradients(dispatch.alif), gradients(slow))


@quick
@given(lengths, batches, sizes, keeps, seeds)
def test_traces(steps, batch, size, keep, seed):
    x, before, error = draw(seed, (steps, batch, size), (batch, size), (steps, batch, size))
    expected = reference.trace_scan(x, before, keep)
    identical(cuda.trace_scan(x, before, keep), expected)
    identical(cuda.trace_last(x, before, keep), expected[-1])
    leaf = x.detach().requires_grad_()
    (expected,) = torch.autograd.grad(reference.trace_scan(leaf, before, keep), leaf, error)
    close(cuda.trace_back(error, keep), expected)


@quick
@given(batches, sizes, st.floats(0.1, 3), seeds)
def test_gate(batch, size, width, seed):
    error, v = draw(seed, (batch, size), (batch, size))
    expected = reference.surrogate_gradient(error, v, 0.4, width)
    close(cuda.surrogate_gradient(error, v, 0.4, width), expected)


@quick
@given(lengths, batches, sizes, seeds)
def test_bipolar(steps, batch, size, seed):
    x, state = draw(seed, (steps, batch, 2, size, 3), (4, batch, size, 3))
    constants = 0.125, 0.5, 0.25, 0.25
    close(cuda.bipolar_scan(x, state, *constants), reference.bipolar_scan(x, state, *constants))


@quick
@given(batches, sizes, st.sampled_from([1, 3, 5, 11]), st.booleans(), st.booleans(), seeds)
def test_separable(images, edge, taps, depthwise, alike, seed):
    mix = (3, 1) if depthwise else (3, 2)
    shape = (images, 3 if depthwise else 2, edge, 4)
    x, profile, mix = draw(seed, shape, (3, taps) if alike else (2, 3, taps), mix)
    ours, theirs = (k.separable(x, profile, mix, depthwise) for k in (cuda, reference))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@settings(quick, max_examples=8)
@given(
    st.integers(1, 2), st.integers(0, 2), st.sampled_from([1, 7, 16, 19]),
    st.sampled_from([1, 5, 16, 20, 65]), keeps, seeds,
)  # fmt: skip
def test_memory(steps, batch, tokens, width, keep, seed):
    heads = 2
    shape = (steps, batch, tokens, 3, heads, width)
    qkv, trace, memory, delta = draw(
        seed, shape, shape, (batch, heads, width, width), (steps, batch, tokens, heads, width)
    )
    qkv = (qkv > 0.5).float()
    memories, answers = reference.memory_scan(qkv, memory, keep)
    ours, ours_read = cuda.memory_scan(qkv, memory, keep)
    identical(ours, memories)  # spikes add up to whole numbers, in any order
    close(ours_read, answers)
    expected = reference.memory_credit(qkv, trace, memories, delta)
    ours = cuda.memory_credit(qkv, trace, memories, delta)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_holds_spikes_and_single_precision_the_state(kind):
    x, u, v, bias = draw(0, (6, 2, 5), (2, 5), (2, 5), (5,))
    x = x.to(kind)
    u_seq, v_seq, z = reference.lif_scan(x.float(), u, v, bias, 0.4, 0.5, 0.9, 1.0)
    ours_u, ours_v, ours_z = cuda.lif_scan(x, u, v, bias, 0.4, 0.5, 0.9)
    identical((ours_u, ours_v, ours_z), (u_seq, v_seq, z.to(kind)))
    identical(cuda.trace_scan(ours_z, v, 0.9), reference.trace_scan(z, v, 0.9))
    assert cuda.surrogate_gradient(x, v_seq, 0.4, 1.0).dtype is kind


def test_a_sequence_in_two_pieces():
    x, u, v, bias = draw(3, (7, 2, 5), (2, 5), (2, 5), (5,))
    whole = cuda.lif_run(x, u, v, bias, 0.4, 0.5, 0.9)
    first, *state = cuda.lif_run(x[:3], u, v, bias, 0.4, 0.5, 0.9)
    second, *state = cuda.lif_run(x[3:], *state, bias, 0.4, 0.5, 0.9)
    identical((torch.cat([first, second]), *state), whole)


@pytest.mark.parametrize(("width", "tokens"), [(5, 20), (65, 300)])
def test_half_precision_of_products_does_not_reach_the_kernels(width, tokens):
    x, profile, mix = draw(0, (3, 2, 6, 6), (3, 5), (3, 2))
    shape = (2, 2, tokens, 3, 2, width)
    qkv, memory = (draw(1, shape)[0] > 0).float(), draw(2, (2, 2, width, width))[0]
    delta = draw(3, (2, 2, tokens, 2, width))[0]

    def answers():
        memories, read = cuda.memory_scan(qkv, memory, 0.9)
        credit = cuda.memory_credit(qkv, qkv, memories, delta)
        return cuda.separable(x, profile, mix, False), memories, read, credit

    expected = answers()
    with torch.autocast(DEVICE, torch.bfloat16):
        identical(answers(), expected)


def test_takes_what_is_on_a_gpu_in_at_most_single_precision():
    there = torch.zeros(2, device=DEVICE)
    assert cuda.supports(there, there.bfloat16()) == (DEVICE == "cuda")
    assert not cuda.supports(there.double())
    assert not cuda.supports(there, torch.zeros(2))


@on_gpu
def test_a_large_population_on_the_gpu():
    x, u, v, bias = draw(0, (50, 64, 4096), (64, 4096), (64, 4096), (4096,))
    expected = reference.lif_scan(x, u, v, bias, 0.4, 0.5, 0.9, 1.0)
    identical(cuda.lif_scan(x, u, v, bias, 0.4, 0.5, 0.9), expected)
