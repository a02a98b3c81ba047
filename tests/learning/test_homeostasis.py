"""Calibration brings cells to their rate, without labels, and leaves shortcuts alone."""

import torch

from neurobip.config import ModelConfig
from neurobip.learning import calibrate
from neurobip.learning.homeostasis import firing_rates
from neurobip.models import BiTFormer
from neurobip.projection import projections


def test_rates_reach_the_target():
    torch.manual_seed(0)
    model = BiTFormer(ModelConfig(sensor=(2, 16, 16), width=16, hidden=24, padding=3))
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
