"""The compiled kernels against the reference: spikes identical, any shape, stride and precision."""

import multiprocessing
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neurobip.kernels import cpu, dispatch, loops, reference, threads

keeps = st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9, 1.0])
shapes = st.tuples(st.integers(1, 6), st.integers(0, 4), st.integers(1, 5), st.integers(1, 70))


@st.composite
def inputs(draw):
    """A sequence ``[T, B, N, D]``, a state of two parts before it, and constants by neuron."""
    steps, batch, tokens, size = draw(shapes)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(steps, batch, tokens, size, generator=generator).to(dtype)
    strides = draw(st.sampled_from(["contiguous", "turned", "every second"]))
    if strides == "turned":
        x = x.transpose(2, 3).contiguous().transpose(2, 3)
    elif strides == "every second":
        x = torch.stack([x, -x], -1).flatten(-2)[..., ::2]
    first, second = torch.randn(2, batch, tokens, size, generator=generator).to(dtype)
    return x, first, second, torch.randn(size, generator=generator).to(dtype)


def close(found, expected) -> None:
    loose = 1e-5 if expected[0].dtype is torch.float32 else 1e-12
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=loose, atol=loose)


def derivatives(function, weights: list[Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:
    """Of the weighted sum of everything that a function returns."""
    leaves = [t.clone().requires_grad_() for t in tensors]
    total = sum((out * w).sum() for out, w in zip(function(*leaves), weights, strict=True))
    return torch.autograd.grad(total, leaves, allow_unused=True, materialize_grads=True)


@given(inputs(), keeps, keeps, st.floats(0.1, 2))
def test_lif_is_the_reference_bit_by_bit(given_inputs, keep_u, keep_v, threshold):
    x, u, v, bias = given_inputs
    expected = reference.lif_scan(x, u, v, bias, threshold, keep_u, keep_v, 1.0)
    for found, wanted in zip(
        cpu.lif_scan(x, u, v, bias, threshold, keep_u, keep_v), expected, strict=True
    ):
        assert torch.equal(found, wanted)
    z, last_u, last_v = cpu.lif_run(x, u, v, bias, threshold, keep_u, keep_v)
    assert torch.equal(z, expected[2])
    assert torch.equal(last_u, expected[0][-1]) and torch.equal(last_v, expected[1][-1])


@given(inputs(), keeps, keeps, st.floats(0.3, 2), st.floats(0.3, 3))
def test_lif_derivatives_are_those_of_autograd(given_inputs, keep_u, keep_v, threshold, width):
    x, u, v, bias = given_inputs
    weights = [torch.randn_like(x), torch.randn_like(u), torch.randn_like(v)]
    constants = threshold, keep_u, keep_v, width

    def slow(x, u, v, bias):
        currents, membranes, z = reference.lif_scan(x, u, v, bias, *constants)
        return z, currents[-1], membranes[-1]

    def fast(x, u, v, bias):
        return dispatch.lif(x, u, v, bias, *constants)

    close(derivatives(fast, weights, x, u, v, bias), derivatives(slow, weights, x, u, v, bias))


@given(inputs(), keeps, keeps, st.floats(0.1, 1))
def test_alif_and_its_derivatives(given_inputs, decay, keep_a, jump):
    x, v, a, _ = given_inputs
    x, v, a = x.unsqueeze(-1), v.unsqueeze(-1), a.unsqueeze(-1)  # [T, B, C, H, W], W = 1
    keep = torch.linspace(0, decay, x.shape[2], dtype=x.dtype).view(-1, 1, 1)
    constants = 1.0, keep, keep_a, jump
    for found, wanted in zip(
        cpu.alif_scan(x, v, a, *constants), reference.alif_scan(x, v, a, *constants, 0.8),
        strict=True,
    ):  # fmt: skip
        assert torch.equal(found, wanted)
    weights = [torch.randn_like(x), torch.randn_like(v), torch.randn_like(a)]

    def slow(x, v, a):
        membranes, adaptations, z = reference.alif_scan(x, v, a, *constants, 0.8)
        return z, membranes[-1], adaptations[-1]

    def fast(x, v, a):
        return dispatch.alif(x, v, a, *constants, 0.8)

    close(derivatives(fast, weights, x, v, a), derivatives(slow, weights, x, v, a))


@given(inputs(), keeps)
def test_traces_and_their_derivatives(given_inputs, keep):
    x, trace, _, _ = given_inputs
    expected = reference.trace_scan(x, trace, keep)
    assert torch.equal(cpu.trace_scan(x, trace, keep), expected)
    assert torch.equal(cpu.trace_last(x, trace, keep), expected[-1])
    weights = [torch.randn_like(x)]
    close(
        derivatives(lambda x, t: [dispatch.trace_scan(x, t, keep)], weights, x, trace),
        derivatives(lambda x, t: [reference.trace_scan(x, t, keep)], weights, x, trace),
    )


@given(inputs(), st.floats(0.1, 2), st.floats(0.1, 3))
def test_gate_equals_the_reference(given_inputs, threshold, width):
    _, error, v, _ = given_inputs
    close(
        [cpu.surrogate_gradient(error, v, threshold, width)],
        [reference.surrogate_gradient(error, v, threshold, width)],
    )  # fmt: skip


@given(
    st.integers(1, 5), st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99)
)
def test_the_outer_retina_equals_the_reference(steps, batch, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, batch, 2, height, width, generator=generator)
    state = torch.randn(4, batch, height, width, generator=generator)
    decays = 0.125, 0.5, 0.25, 0.3
    close(cpu.bipolar_scan(x, state, *decays), reference.bipolar_scan(x, state, *decays))
    images, profile = x.flatten(0, 1), torch.randn(3, 5, generator=generator)
    profile[0, 1:4] = 0
    mix = torch.randn(3, 2, generator=generator)
    two = torch.stack([profile, profile.flip(1) + 1])
    for kernels in ((profile, mix, False), (profile[:2], mix[:2, :1], True), (two, mix, False)):
        close([cpu.separable(images, *kernels)], [reference.separable(images, *kernels)])


def test_separable_is_the_convolution_that_it_says():
    images, mix = torch.randn(3, 2, 7, 9), torch.randn(4, 2)
    down, along = torch.randn(2, 4, 3)
    for profile, second in ((down, down), (torch.stack([down, along]), along)):
        kernels = mix[:, :, None, None] * (down[:, :, None] * second[:, None, :])[:, None]
        expected = torch.nn.functional.conv2d(images, kernels, padding=1)
        close([cpu.separable(images, profile, mix, False)], [expected])


@pytest.mark.parametrize("keep", [0.0, 0.75])
def test_memory_derivatives_are_those_of_the_reference(keep):
    qkv, memory = (torch.rand(4, 2, 6, 3, 2, 5) < 0.4).float(), torch.rand(2, 2, 5, 5)
    weights = [torch.randn(4, 2, 2, 5, 5), torch.randn(4, 2, 6, 2, 5)]
    close(
        derivatives(lambda *x: dispatch.memory_scan(*x, keep), weights, qkv, memory),
        derivatives(lambda *x: reference.memory_scan(*x, keep), weights, qkv, memory),
    )
    close(dispatch.memory_scan(qkv, memory, keep), reference.memory_scan(qkv, memory, keep))


def test_memory_under_autocast_is_that_of_rounded_products():
    """Whole numbers below 256 have all their bits in half precision."""
    qkv, memory = (torch.rand(4, 2, 6, 3, 2, 5) < 0.4).float(), torch.zeros(2, 2, 5, 5)
    expected = dispatch.memory_scan(qkv, memory, 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        found = dispatch.memory_scan(qkv, memory, 1.0)
    assert float(expected[1].max()) > 2
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.float(), b)


def test_threads_change_nothing():
    """More columns than a tile, more work than one thread takes, a border inside a tile."""
    before = torch.get_num_threads()
    x, state = torch.randn(5, 3, 17, 1031), torch.zeros(3, 17, 1031)
    assert x.numel() > threads.WORTHWHILE and state.numel() > 3 * loops.TILE
    bias = torch.randn(1031)
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(cpu.lif_scan(x, state, state, bias, 1.0, 0.5, 0.75))
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*found, strict=True):
        assert torch.equal(one, three)
    assert torch.equal(found[0][2], reference.lif_scan(x, state, state, bias, 1, 0.5, 0.75, 1)[2])


def test_an_error_in_a_thread_comes_out():
    before = torch.get_num_threads()

    def fail(low: int, high: int) -> None:
        if low:
            raise ZeroDivisionError(low)

    try:
        torch.set_num_threads(2)
        with pytest.raises(ZeroDivisionError):
            threads.run_ranges(1 << 12, threads.WORTHWHILE, fail)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_does_not_wait_for_threads_that_its_parent_had():
    before, done = torch.get_num_threads(), multiprocessing.get_context("fork").Value("i", 0)

    def count(low: int, high: int) -> None:
        with done.get_lock():
            done.value += high - low

    def work() -> None:
        threads.run_ranges(1 << 12, threads.WORTHWHILE, count)

    try:
        torch.set_num_threads(2)
        work()
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join(60)
        assert child.exitcode == 0 and done.value == 2 << 12
    finally:
        torch.set_num_threads(before)
        child.kill()


def test_what_is_not_compiled_goes_through_the_reference():
    x, bias = torch.randn(3, 2, 4), torch.zeros(4)
    half = [t.to(torch.bfloat16) for t in (x, x[0], x[0], bias)]
    assert dispatch.compiled_kernels(x) is cpu and dispatch.compiled_kernels(*half) is None
    assert dispatch.compiled_kernels(x, bias.double()) is None
    z, _, v = dispatch.lif(*half, 1.0, 0.0, 0.75, 1.0)
    assert z.dtype is v.dtype is torch.bfloat16


def _outcome(function, *arguments):
    try:
        found = function(*arguments)
    except (RuntimeError, IndexError) as error:
        return type(error)
    return [found] if isinstance(found, Tensor) else list(found)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_shapes_that_do_not_fit_end_as_in_the_reference(batch, held, size, wide):
    """In a broadcast or in torch's error, never beyond the end of a tensor."""
    x, state, bias = torch.rand(2, batch, size), torch.rand(held, size), torch.rand(wide)
    image, bipolar = torch.rand(2, batch, size, 4, 4), torch.rand(4, held, 4, 4)
    v, keep = torch.rand(held, size, 4, 4), torch.rand(size, 1, 1)
    profile, mix = torch.rand(wide, 3), torch.rand(wide, held)
    qkv, memory = torch.rand(2, batch, 5, 3, 2, size), torch.rand(held, 2, size, size)
    constants = 0.8, 0.5, 0.75, 1.0
    for name, *arguments in (
        ("lif_scan", x, state, x[0], bias, *constants),
        ("lif_scan", x, state, state, bias, *constants),
        ("alif_scan", image, v, v, 0.8, keep, 0.5, 0.3, 1.0),
        ("trace_scan", x, state, 0.5),
        ("surrogate_gradient", x[0], state, 0.8, 1.0),
        ("bipolar_scan", image, bipolar, 0.1, 0.5, 0.2, 0.3),
        ("separable", image[0], profile, mix, False),
        ("separable", image[0], profile, mix, True),
        ("memory_scan", qkv, memory, 0.5),
    ):
        expected = _outcome(getattr(reference, name), *arguments)
        if name == "alif_scan":
            found = _outcome(dispatch.alif, *arguments)
            if isinstance(expected, list):
                expected = [expected[2], expected[0][-1], expected[1][-1]]
        else:
            found = _outcome(getattr(dispatch, name), *arguments)
        assert type(found) is type(expected), name
        if isinstance(expected, list):
            close(found, expected)


def test_numbers_that_want_a_derivative_run_without_one():
    x = torch.rand(2, 1, 2, 5, 5, requires_grad=True)
    constants = torch.zeros(4, 1, 5, 5), 0.1, 0.5, 0.2, 0.3
    profile, mix = torch.rand(3, 3, requires_grad=True), torch.rand(2, 3).T
    with torch.no_grad():
        found = dispatch.bipolar_scan(x, *constants)
        images = dispatch.separable(x[0], profile, mix, False)
    close(found, reference.bipolar_scan(x.detach(), *constants))
    close([images], [reference.separable(x[0], profile, mix, False).detach()])
    assert not found[0].requires_grad and not images.requires_grad


def test_second_derivatives_are_refused_rather_than_left_out():
    x, state = torch.rand(3, 2, 4, requires_grad=True), torch.zeros(2, 4)
    image, held = torch.rand(3, 1, 1, 2, 2, requires_grad=True), torch.zeros(1, 1, 2, 2)
    for out, leaf in (
        (dispatch.lif(x, state, state, torch.zeros(4), 0.5, 0.5, 0.7, 1.0)[0], x),
        (dispatch.alif(image, held, held, 0.5, torch.ones(1, 1, 1), 0.5, 0.1, 1.0)[0], image),
        (dispatch.trace_scan(x, state, 0.5), x),
    ):
        with pytest.raises(RuntimeError, match="first derivatives only"):
            torch.autograd.grad((out**2).sum(), leaf, create_graph=True)
        (gradient,) = torch.autograd.grad((out**2).sum(), leaf)
        assert float(gradient.abs().sum()) > 0


@pytest.mark.slow
def test_torch_compile_traces_the_reference():
    x, state, bias = torch.rand(3, 2, 4), torch.zeros(2, 4), torch.zeros(4)

    def run(x):
        return dispatch.lif(x, state, state, bias, 0.8, 0.5, 0.75, 1.0)[0]

    assert torch.equal(torch.compile(run, backend="eager", fullgraph=True)(x), run(x))


@pytest.mark.slow
def test_a_second_process_compiles_nothing():
    """What lies on disk is used: no time is measured, the compiler's own count is."""
    script = """
import torch
from neurobip.kernels import cpu, loops
x = torch.zeros(2, 1, 3)
cpu.lif_run(x, x[0], x[0], x[0, 0], 1.0, 0.5, 0.75)
hits = sum(loops.lif_run.stats.cache_hits.values())
misses = sum(loops.lif_run.stats.cache_misses.values())
print(hits, misses)
"""
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[1].stdout.split() == ["1", "0"]
