"""Every synapse: send and credit are the adjoint of step, and reach counts what step adds."""

import pytest
import torch

from neurobip.attention import Wiring, cortical
from neurobip.retina import EVENT_MOTION, event_camera, mouse
from neurobip.synapses import Conv2d, Linear, Merge, Patches


def synapses():
    torch.manual_seed(0)
    return {
        "linear": (Linear(6, 4), (3, 5, 6)),
        "cortical": (cortical(12, 24, Wiring(2, 3)), (3, 5, 12)),
        "cortical, dale": (cortical(12, 24, Wiring(2, 3, dale=True)), (3, 5, 12)),
        "merge": (Merge(3, 4, window=2, grid=(5, 4)), (3, 20, 3)),
        "patches": (Patches(2, 4, patch=3, stride=2, padding=1), (3, 2, 8, 7)),
        "conv": (Conv2d(2, 4, 3, stride=2, padding=1), (3, 2, 8, 7)),
        "depthwise": (Conv2d(2, 2, 3, padding=1, groups=2), (3, 2, 8, 7)),
        "center and surround": (mouse().bipolar.synapse, (3, 1, 8, 7)),
        "dendrites": (event_camera().ganglion.synapse, (3, 4, 8, 7)),
        "dendrites of motion": (event_camera(EVENT_MOTION).ganglion.synapse, (3, 6, 8, 7)),
        "dendrites on mosaics": (
            event_camera(EVENT_MOTION, size=(8, 7)).ganglion.synapse, (3, 6, 8, 7),
        ),
    }


@pytest.mark.parametrize("name", [n for n in synapses() if n != "center and surround"])
def test_adjoint_equals_autograd(name):
    synapse, shape = synapses()[name]
    x = torch.randn(shape, requires_grad=True)
    current, state = synapse.step(x)
    delta = torch.randn_like(current)
    current.backward(delta)
    torch.testing.assert_close(synapse.send(delta, state), x.grad)
    dw = synapse.gradient(delta, state)
    assert dw.keys() == dict(synapse.named_parameters()).keys()
    for key, parameter in synapse.named_parameters():
        torch.testing.assert_close(dw[key], parameter.grad)


@pytest.mark.parametrize("name", synapses())
def test_reach_counts_by_brute_force(name):
    """Each input alone: the outputs that it changes are the synapses that it has."""
    synapse, shape = synapses()[name]
    x = (torch.rand(1, *shape[1:]) < 0.3).float()
    brute = 0
    for index in x.nonzero():
        one = torch.zeros_like(x)
        one[tuple(index)] = 1
        brute += int((synapse.step(one)[0] != 0).sum())
    state = synapse.step(x)[1]
    operations = synapse.operations(state)
    assert operations.acs == brute > 0 and operations.macs == 0
    graded = synapse.operations(synapse.step(x * 0.5)[1])
    assert graded.macs == brute and graded.acs == 0


def test_merge_is_a_convolution_whose_stride_is_its_window():
    torch.manual_seed(0)
    synapse = Merge(3, 4, window=2, grid=(5, 4))
    x = torch.randn(6, 20, 3)
    kernel = synapse.weight.view(4, 2, 2, 3).permute(0, 3, 1, 2)
    image = torch.nn.functional.conv2d(x.mT.unflatten(-1, (5, 4)), kernel, stride=2)
    torch.testing.assert_close(synapse.current(x), image.flatten(2).mT)
    assert torch.equal(synapse.scatter(synapse.gather(x))[:, :16], x[:, :16])
    assert synapse.scatter(synapse.gather(x))[:, 16:].abs().max() == 0
    with pytest.raises(ValueError, match="window of 6x6 tokens does not fit into a grid of 5x4"):
        Merge(3, 4, window=6, grid=(5, 4))


def test_events_are_counted_once_each():
    synapse = Linear(3, 4)
    x = torch.tensor([[2.0, 0.0, 1.0]])
    assert synapse.operations(synapse.step(x)[1]).acs == 3 * 4


def test_trace_is_the_decaying_sum():
    synapse = Linear(2, 3, decay_trace=0.25)
    x = torch.rand(6, 1, 2)
    _, state = synapse(x)
    weights = 0.75 ** torch.arange(5, -1, -1.0)
    torch.testing.assert_close(state.pre_trace, torch.einsum("t,tbi->bi", weights, x))


def test_patches_are_the_convolution_read_row_by_row():
    synapse = Patches(2, 4, patch=3, stride=2, padding=1)
    x = torch.randn(3, 2, 8, 6)
    image = torch.nn.functional.conv2d(x, synapse.weight, stride=2, padding=1)
    torch.testing.assert_close(synapse.step(x)[0], image.flatten(2).transpose(1, 2))
    assert synapse.grid(8, 6) == tuple(image.shape[-2:])


def test_small_image_is_refused():
    with pytest.raises(ValueError, match="holds no patch"):
        Patches(2, 4, patch=7, stride=4).grid(5, 5)


def test_conv_draws_its_weights_or_takes_them():
    torch.manual_seed(0)
    drawn = Conv2d(8, 16, 5, scale=0.5, groups=2).weight
    assert drawn.shape == (16, 4, 5, 5)
    assert float(drawn.detach().std()) == pytest.approx(0.5 / 100**0.5, rel=0.05)
    given = torch.randn(4, 2, 3, 3)
    assert torch.equal(Conv2d(2, 4, 3, weight=given).weight, given)
    with pytest.raises(ValueError, match=r"\(4, 2, 3, 3\); expected \(4, 2, 5, 5\)"):
        Conv2d(2, 4, 5, weight=given)
    with pytest.raises(ValueError, match="do not divide into 3 groups"):
        Conv2d(2, 4, 3, groups=3)
