"""The three methods agree in every component: step, forward, and scan with all states."""

from itertools import pairwise

import pytest
import torch

from neurobip.attention import (
    Coincidence,
    LinearMemory,
    NoAttention,
    QueryCount,
    Wiring,
    cortical,
)
from neurobip.component import Component
from neurobip.constants import make_trainable
from neurobip.models import BiTFormer, BiTFormerConfig, Sequential
from neurobip.neurons import ALIF, LI, LIF, Leaky
from neurobip.projection import Projection
from neurobip.retina import (
    EVENT_MOTION,
    Bipolar,
    ContrastGain,
    Kinetics,
    Photoreceptor,
    Retina,
    Starburst,
    WideField,
    event_camera,
    mouse,
    primate_periphery,
)
from neurobip.shapes import Flatten, Pool2d
from neurobip.state import at_step, stack, tree_map
from neurobip.synapses import Conv2d, Delayed, Linear, Patches, Synapse, TorchLayer


def model(**settings) -> BiTFormer:
    config = BiTFormerConfig(
        sensor=(2, 12, 12), width=8, hidden=12, depth=2, heads=2, classes=3, **settings
    )
    network = BiTFormer(config)
    for parameter in network.parameters():
        parameter.data.add_(0.4 * torch.randn_like(parameter))
    return network.double()


def lively(retina: Retina) -> Retina:
    """A retina that fires at once, at a few steps of noise."""
    retina.ganglion.synapse.excited_by.mul_(20)
    return retina


def freed(retina: Retina) -> Retina:
    """A retina whose every constant is a parameter."""
    make_trainable(lively(retina), "*")
    return retina


def row(**trace) -> Sequential:
    """Tokens, an attention block, and two populations over all of them."""
    torch.manual_seed(0)
    return Sequential(
        Projection(Patches(2, 8, patch=3, stride=2, padding=1, scale=2.0, **trace), LIF(8)),
        model(attention="masked").blocks[0],
        Flatten(),
        Projection(Linear(128, 5, **trace), Leaky(0.5)),
        Projection(Linear(5, 3, **trace), LI(0.25)),
    )


def pairs() -> Sequential:
    """Synapses and neurons that the network pairs; sizes and leaks are given once."""
    torch.manual_seed(0)
    network = Sequential(
        Conv2d(2, 4, 3, scale=2.0, padding=1), LIF(), Pool2d(2), Flatten(),
        Linear(48, 5, scale=2.0), LIF(decay_v=0.5), Linear(5, 3), LI(0.125),
        input_shape=(2, 7, 8),
    )  # fmt: skip
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data.uniform_(0, 0.5)
    return network


def recurrent(synapse: Synapse, lateral: Synapse) -> Projection:
    """A population that is connected with itself."""
    part = Projection(synapse, LIF(), recurrent=lateral)
    part.neuron.bias.data.uniform_(0, 0.5)
    return part


def components() -> dict[str, tuple[Component, tuple[int, ...]]]:
    """Each component and the shape of its input without time."""
    torch.manual_seed(0)
    trace = {"decay_trace": 0.25}
    blocks = {
        f"block, {kind}": (model(attention=kind).blocks[0], (3, 9, 8))
        for kind in ("linear", "masked", "query-key", "none")
    }
    models = {
        "model": (model(retina="none"), (2, 2, 12, 12)),
        "model with a retina": (model(), (2, 2, 12, 12)),
        "model with top-down": (model(top_down=3), (2, 2, 12, 12)),
        "model with a threshold shift": (
            model(top_down_threshold=3, retina="event_motion"), (2, 2, 12, 12),
        ),
        "model that merges": (model(merge=2, merged=8), (2, 2, 12, 12)),
        "head": (model(retina="none").head(), (2, 9, 8)),
    }
    return {
        "LIF": (LIF(5), (3, 4, 5)),
        "LIF with a current": (LIF(5, decay_u=0.5), (3, 4, 5)),
        "LIF without a bias": (LIF(5, bias=False), (3, 4, 5)),
        "ALIF": (ALIF((0.1, 0.5)), (3, 2, 4, 4)),
        "LI": (LI(0.125), (3, 5)),
        "leaky, subtract": (Leaky(0.75), (3, 4, 5)),
        "leaky, zero": (Leaky(0.75, reset="zero"), (3, 4, 5)),
        "bipolar": (Bipolar(), (3, 2, 4, 5)),
        "retina": (event_camera().double(), (2, 2, 12, 12)),
        "retina, motion": (event_camera(EVENT_MOTION).double(), (2, 2, 12, 12)),
        "retina, mosaics": (lively(event_camera(size=(12, 12))).double(), (2, 2, 12, 12)),
        "retina, primate": (lively(primate_periphery()).double(), (2, 1, 12, 12)),
        "retina, colour": (lively(primate_periphery(inputs="cones")).double(), (2, 3, 12, 12)),
        "retina, mouse": (lively(mouse()).double(), (2, 1, 12, 12)),
        "retina, free": (freed(mouse(inputs="events")).double(), (2, 2, 12, 12)),
        "photoreceptor": (Photoreceptor(decay_m=0.1, decay_p=0.5), (2, 1, 4, 5)),
        "contrast gain": (
            ContrastGain(leak=0.2, strength=2.0, decay_g=0.5, sigma=1.0), (2, 4, 5, 6),
        ),
        "wide field": (WideField(strength=0.5, decay=0.5, sigma=2.0), (2, 8, 5, 6)),
        "starburst": (Starburst(decay=0.25), (2, 4, 5, 6)),
        "kinetics": (Kinetics(ka=1.0, kfi=0.5, kfr=0.2, ksi=0.02, ksr=0.1), (2, 4, 5, 6)),
        "linear": (Linear(5, 4, **trace), (3, 4, 5)),
        "cortical": (cortical(6, 12, Wiring(1, 3), **trace), (3, 4, 6)),
        "delayed": (Delayed(5, 4, delay=2, **trace), (3, 4, 5)),
        "conv": (Conv2d(2, 3, 3, weight=torch.randn(3, 2, 3, 3), stride=2, **trace), (3, 2, 7, 8)),
        "patches": (Patches(2, 4, patch=3, stride=2, padding=1, **trace), (3, 2, 7, 8)),
        "memory": (LinearMemory(8, 2, decay_shift=2, gain_shift=1, **trace), (3, 5, 24)),
        "spatial memory": (LinearMemory(8, 2, decay_shift=0, gain_shift=1), (3, 5, 24)),
        "coincidence": (Coincidence(0.5), (3, 5, 24)),
        "query count": (QueryCount(8, 2, 0.5), (3, 5, 16)),
        "no attention": (NoAttention(), (3, 5, 8)),
        "projection": (Projection(Linear(5, 4, **trace), LIF(4)), (3, 4, 5)),
        "torch linear": (TorchLayer(torch.nn.Linear(5, 4), **trace), (3, 4, 5)),
        "torch conv": (TorchLayer(torch.nn.Conv2d(2, 3, 3), Pool2d(2), **trace), (3, 2, 7, 8)),
        "flatten": (Flatten(), (3, 2, 4, 5)),
        "pool": (Pool2d(2, stride=1), (3, 2, 4, 5)),
        "sequential": (row(**trace), (3, 2, 7, 8)),
        "sequential, pairs": (pairs(), (3, 2, 7, 8)),
        "projection, recurrent": (recurrent(Linear(5, 4), Linear(4, 4)), (3, 5)),
        "projection, recurrent tokens": (recurrent(Linear(5, 4), Linear(4, 4)), (3, 4, 5)),
        "projection, recurrent images": (
            recurrent(Conv2d(2, 3, 3, scale=2.0), Conv2d(3, 3, 3, padding=1)), (3, 2, 7, 8),
        ),
        "projection, recurrent with a delay": (
            recurrent(Linear(5, 4), Delayed(4, 4, delay=2)), (3, 5),
        ),
        **blocks,
        **models,
    }


NAMES = list(components())
LIGHT = ("retina, primate", "retina, colour", "retina, mouse", "photoreceptor")
"""Components whose input is luminance, from 0 to 1."""


def prepared(name: str, steps: int = 7) -> tuple[Component, torch.Tensor]:
    part, shape = components()[name]
    generator = torch.Generator().manual_seed(1)
    x = 2.0 * (torch.rand(steps, *shape, generator=generator) < 0.5).double()
    if name in LIGHT:
        x = x / 2
    return part.double(), x


def assert_close(found, expected) -> None:
    """States of one form, tensor by tensor."""
    tree_map(torch.testing.assert_close, found, expected)


def step_by_step(part: Component, x_seq: torch.Tensor):
    outputs, states, state = [], [], None
    for x in x_seq:
        z, state = part.step(x, state)
        outputs.append(z)
        states.append(state)
    return torch.stack(outputs), states


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_scan_and_forward_are_steps_in_a_row(name):
    part, x_seq = prepared(name)
    expected, states = step_by_step(part, x_seq)
    assert float(expected.abs().sum()) > 0
    z, stacked = part.scan(x_seq)
    torch.testing.assert_close(z, expected)
    assert_close(stacked, stack(states))
    z, last = part(x_seq)
    torch.testing.assert_close(z, expected)
    assert_close(last, states[-1])


@pytest.mark.parametrize("name", NAMES)
def test_with_a_graph_the_output_is_the_same(name):
    part, x_seq = prepared(name)
    with torch.no_grad():
        expected, _ = part(x_seq)
    torch.testing.assert_close(part(x_seq.requires_grad_())[0].detach(), expected)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_splitting_a_sequence_changes_nothing(name):
    part, x_seq = prepared(name)
    whole, end = part(x_seq)
    for run in (part.forward, part.scan):
        state, pieces = None, []
        for low, high in pairwise((0, 1, 4, 7)):
            z, state = run(x_seq[low:high], state)
            state = at_step(state, -1) if run == part.scan else state
            pieces.append(z)
        torch.testing.assert_close(torch.cat(pieces), whole)
        assert_close(state, end)


def held(state) -> int:
    """Bytes that a state keeps in memory."""
    found: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()

    tree_map(note, state)
    return sum(found.values())


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in ("model with top-down", "model with a threshold shift")]
)
@torch.no_grad()
def test_a_state_keeps_no_sequence_in_memory(name):
    part, x_seq = prepared(name)
    held_of = {steps: held(part(x_seq[:steps].clone())[1]) for steps in (4, 7)}
    assert held_of[4] == held_of[7]


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_state_does_not_change_with_the_tensors_of_its_caller(name):
    part, x_seq = prepared(name)
    for run, piece in ((part.forward, x_seq[:4]), (part.step, x_seq[0])):
        x = piece.clone()
        z, state = run(x)
        expected, _ = part(x_seq[4:], state)
        x.fill_(3), z.fill_(5)
        assert torch.equal(part(x_seq[4:], state)[0], expected)


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n.startswith(("block", "projection", "sequential"))]
)
@torch.no_grad()
def test_credit_of_a_chunk_is_the_sum_over_its_steps(name):
    part, x_seq = prepared(name)
    z, stacked = part.scan(x_seq)
    error = torch.randn_like(z)
    _, states = step_by_step(part, x_seq)
    whole = part.credit(error, stacked)
    single = [part.credit(e, state) for e, state in zip(error, states, strict=True)]
    torch.testing.assert_close(whole.send(), torch.stack([c.send() for c in single]))
    assert whole.dw
    for parameter, gradient in whole.dw.items():
        torch.testing.assert_close(gradient, sum(c.dw[parameter] for c in single))
    errors = part.adjoint(error, stacked).populations
    for i, state in enumerate(states):
        for name, population in part.adjoint(error[i], state).populations.items():
            torch.testing.assert_close(errors[name].at_step(i).delta, population.delta)


@pytest.mark.parametrize(
    "name",
    [
        "LIF", "ALIF", "linear", "block, linear", "model", "sequential", "projection, recurrent",
    ],
)  # fmt: skip
def test_no_step_is_refused(name):
    part, x_seq = prepared(name)
    for run in (part.forward, part.scan):
        with pytest.raises(ValueError, match="holds no time step"):
            run(x_seq[:0])


def test_a_tree_of_something_else_is_refused():
    with pytest.raises(TypeError, match="list"):
        tree_map(lambda x: x, {"a": [1]})
