"""Calibration brings cells to their rate, without labels, and leaves shortcuts alone."""

import torch

from neurobip.learning import calibrate
from neurobip.learning.homeostasis import firing_rates
from neurobip.models import BiTFormer, BiTFormerConfig, Sequential
from neurobip.neurons import LI, LIF
from neurobip.projection import projections
from neurobip.shapes import Flatten
from neurobip.synapses import Conv2d, Linear


def test_rates_reach_the_target():
    torch.manual_seed(0)
    model = BiTFormer(BiTFormerConfig(sensor=(2, 16, 16), width=16, hidden=24, padding=3))
    frames = (torch.rand(15, 12, 2, 16, 16) < 0.1).to(torch.uint8)
    before = firing_rates(model, frames)
    rates = calibrate(model, frames, target=0.15)
    for name, projection in projections(model):
        if name not in rates:
            continue
        if projection.shortcut:
            assert projection.neuron.bias.abs().sum() == 0
        else:
            assert abs(rates[name].mean() - 0.15) < 0.05, name
            assert (rates[name] - 0.15).abs().mean() < (before[name] - 0.15).abs().mean()


def test_biases_by_channel_reach_the_target():
    torch.manual_seed(0)
    network = Sequential(
        Conv2d(2, 6, 3, stride=2), LIF(), Flatten(), Linear(6 * 49, 3), LI(0.125),
        input_shape=(2, 16, 16),
    )  # fmt: skip
    frames = (torch.rand(15, 12, 2, 16, 16) < 0.3).float()
    rates = calibrate(network, frames, target=0.15)
    assert rates["0"].shape == network.parts[0][1].neuron.bias.shape == (6, 1, 1)
    assert (rates["0"] - 0.15).abs().max() < 0.05
