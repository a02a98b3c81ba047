"""The network that the benchmarks train and run, its input, and what it costs at least.

BiTFormer without a retina: 64 tokens of width 48, two blocks of 4 heads with linear memory, an
MLP of 96, three readouts; biases calibrated, so that every population is active.
"""

from __future__ import annotations

import torch
from harness import Work
from machine import Rates, floor_seconds
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from neurobip import BiTFormer, BiTFormerConfig, projections
from neurobip.config import LearnConfig
from neurobip.learning import calibrate
from neurobip.learning.loop import build

FORWARD, LEARNING = 4, 6
"""Passes over memory that cannot be done without: the current and the spike of every neuron, and
where it learns its error, are each written once and read once."""


def frames_of(
    steps: int, batch: int, rate: float = 0.05, sensor: tuple[int, int, int] = (2, 34, 34)
) -> tuple[Tensor, Tensor]:
    """Random events, a share ``rate`` of the pixels at each step, and labels.

    Shape:
        uint8 ``[T, B, 2, H, W]``, labels ``[B]``.
    """
    draw = torch.Generator().manual_seed(steps * 1000 + batch)
    events = torch.rand(steps, batch, *sensor, generator=draw) < rate
    return events.to(torch.uint8), torch.arange(batch) % 10


def network(
    frames: Tensor | None = None, *, activity: float | None = 0.15, **settings: object
) -> BiTFormer:
    """A network of one seed, calibrated on ``frames`` to a share of active neurons.

    Args:
        frames: what to calibrate on; a batch of its own where None.
        activity: spikes per neuron and step that homeostasis aims at; None leaves biases at 0.
        settings: of :class:`neurobip.BiTFormerConfig`, over those named above.
    """
    config = BiTFormerConfig(**{"retina": "none", **settings})  # type: ignore[arg-type]
    model = build(config, LearnConfig(), seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for readout in model.readouts:  # silent at first: then there would be no error to send
            weight = readout.synapse.weight
            torch.nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
    if activity is not None:
        if frames is None:
            frames = frames_of(20, 8, sensor=config.sensor)[0]
        # Few spikes say little about the bias that they lack: then homeostasis takes longer steps.
        calibrate(model, frames, target=activity, passes=20, step=max(1.5, 0.15 / activity))
    return model


def neurons(model: BiTFormer) -> int:
    """Spiking neurons of the network, for one sample."""
    tokens = model.grid[0] * model.grid[1]
    sizes = (p.neuron.bias for name, p in projections(model) if not name.startswith("readouts"))
    return tokens * sum(bias.numel() for bias in sizes if bias is not None)


def operations(work: Work) -> int:
    """Floating-point operations in the matrix products and convolutions of some work in torch."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def floor_of(rate: Rates, model: BiTFormer, frames: Tensor, flops: int, passes: int) -> float:
    """Seconds below which no dense computation on these frames can come.

    Args:
        flops: operations in matrix products, see :func:`operations`.
        passes: see :data:`FORWARD` and :data:`LEARNING`.
    """
    cells = neurons(model) * frames.shape[0] * frames.shape[1]
    return floor_seconds(rate, moved=4.0 * passes * cells, operations=flops)
