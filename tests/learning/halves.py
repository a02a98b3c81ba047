"""An easy task for small networks: on which half of the image are the events?"""

import torch
from torch import Tensor

SMALL = dict(sensor=(2, 12, 12), width=16, hidden=16, heads=2, patch=5, stride=4, padding=1)


def task(samples: int = 24, steps: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two classes: events on the left half, or on the right."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % 2
    frames = torch.rand(steps, samples, 2, 12, 12, generator=generator) < 0.05
    busy = torch.rand(steps, samples, 2, 12, 6, generator=generator) < 0.3
    frames[..., :6] |= busy & (labels == 0).view(1, -1, 1, 1, 1)
    frames[..., 6:] |= busy & (labels == 1).view(1, -1, 1, 1, 1)
    return frames.to(torch.uint8), labels
