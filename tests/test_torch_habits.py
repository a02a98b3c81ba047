"""What people do with torch modules works: transforms, compiling, profiling, hooks that change."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.functional import cross_entropy

import neurobip as nb

LABELS = torch.tensor([0, 1, 2])


def networks() -> dict[str, tuple[nb.Network, tuple[int, ...]]]:
    """Networks and the shapes of their inputs."""
    torch.manual_seed(0)
    small = dict(sensor=(2, 12, 12), width=8, hidden=12, heads=2, depth=1, classes=3)
    found: dict[str, nb.Network] = {
        "images": nb.Sequential(
            nb.Conv2d(2, 4, 3), nb.LIF(), nb.Pool2d(2), nb.Flatten(), nb.Linear(36, 3),
            nb.LI(0.125), input_shape=(2, 8, 8),
        ),
        "recurrent": nb.Sequential(
            nb.Projection(nb.Linear(10, 8, scale=3.0), nb.LIF(), recurrent=nb.Linear(8, 8)),
            nb.Linear(8, 3), nb.LI(0.125), input_shape=(10,),
        ),
        "attention": nb.BiTFormer(nb.BiTFormerConfig(**small, retina="none")),
        "retina": nb.BiTFormer(nb.BiTFormerConfig(**small)),
    }  # fmt: skip
    for network in found.values():
        for name, p in network.named_parameters():
            if name.startswith("readouts."):
                p.data.normal_(0, 0.3)
    return {name: (network, network.input_shape) for name, network in found.items()}


NAMES = list(networks())


def prepared(name: str):
    """A network, spikes, parameters, and a loss of both."""
    network, shape = networks()[name]
    x = 3 * (torch.rand(6, 3, *shape) < 0.4).float()
    parameters = {k: v.detach() for k, v in network.named_parameters()}

    def loss(p, frames, labels):
        outputs, _ = functional_call(network, p, (frames,))
        return cross_entropy(network.answer(outputs).mean(0), labels)

    return network, x, parameters, loss


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_torch_func_are_those_of_autograd(name):
    network, x, parameters, loss = prepared(name)
    found = grad(loss)(parameters, x, LABELS)
    outputs, _ = network(x)
    cross_entropy(network.answer(outputs).mean(0), LABELS).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    for key, p in network.named_parameters():
        expected = torch.zeros_like(p) if p.grad is None else p.grad
        torch.testing.assert_close(found[key], expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_by_sample(name):
    _, x, parameters, loss = prepared(name)
    by_sample = vmap(
        grad(lambda p, one, label: loss(p, one[:, None], label[None])), in_dims=(None, 1, 0)
    )(parameters, x, LABELS)
    for i in range(3):
        alone = grad(loss)(parameters, x[:, i : i + 1], LABELS[i : i + 1])
        for key, expected in alone.items():
            torch.testing.assert_close(by_sample[key][i], expected, atol=1e-5, rtol=1e-3)


def test_forward_mode_says_why_not():
    """A rule for it would keep torch.compile from tracing the surrogate derivative."""
    _, x, parameters, loss = prepared("images")
    along = {key: torch.ones_like(p) for key, p in parameters.items()}
    with pytest.raises(RuntimeError, match="jvp"):
        jvp(lambda p: loss(p, x, LABELS), (parameters,), (along,))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_torch_compile_makes_one_graph_of_the_same_outputs(name):
    network, x, _, _ = prepared(name)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs, _ = torch.compile(network, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(outputs, network(x)[0])
    found = torch.autograd.grad(outputs.square().sum(), list(network.parameters()))
    plain = torch.autograd.grad(network(x)[0].square().sum(), list(network.parameters()))
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_a_hook_can_replace_the_spikes_of_a_population():
    network, x, _, _ = prepared("images")
    silent = network.parts[0][1].register_forward_hook(
        lambda part, inputs, output: (torch.zeros_like(output[0]), output[1])
    )
    assert not bool(network(x)[0].any())
    silent.remove()
    assert bool(network(x)[0].any())


def test_the_profiler_sees_operations():
    network, x, _, _ = prepared("images")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        network(x)
    assert any("conv" in event.key for event in profile.key_averages())
