"""Simulated recordings of cells with known constants, to test the recovery of constants."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from neurobip.fitting.cell_model import CellModel
from neurobip.fitting.fit import predict_rate
from neurobip.fitting.recordings import Recording
from neurobip.fitting.spike_history import EscapeCell
from neurobip.retina.photoreceptor import luminance
from neurobip.retina.retina import Retina
from neurobip.stimuli import Screen, checkerboard, natural_saccades


def mixed_stimulus(screen: Screen, blocks: int, *, seed: int = 0, seconds: float = 2.0) -> Tensor:
    """Stimulus for identifying many constants: blocks of four parts, independent in every block.

    White noise of small checks at full contrast and at contrast 0.3 (for the gain control), of
    checks twice as large (for the surround), and a natural image under saccades.

    Args:
        screen: stimulus screen.
        blocks: number of blocks.
        seconds: duration of each part in seconds.

    Shape:
        ``[T, 1, 1, H, W]``.
    """
    small, parts = 2 * screen.degrees_per_pixel, []
    for block in range(blocks):
        first = 4 * (1000 * seed + block)
        for part, (check, contrast) in enumerate(((1, 1.0), (1, 0.3), (2, 1.0))):
            parts.append(
                checkerboard(
                    screen, check=check * small, contrast=contrast, duration=seconds,
                    seed=first + part,
                )
            )  # fmt: skip
        reach = 5 * small
        parts.append(natural_saccades(screen, amplitude=reach, duration=seconds, seed=first + 3))
    return torch.cat(parts)


def poisson_recording(
    model: CellModel, frames: Tensor, *, repeats: int = 1, seed: int = 0, name: str = "0"
) -> Recording:
    """Recording of Poisson spikes at the rate of a model, uniformly distributed in their step.

    Shape:
        frames ``[T, 1, C, H, W]`` of the whole screen.
    """
    height, width = frames.shape[-2:]
    dt, rng = model.scale.dt, np.random.default_rng(seed)
    rate = predict_rate(model, frames, (0, height, 0, width), 1).double().numpy() * dt
    trials = [random_spike_times(rng.poisson(rate), dt, rng) for _ in range(repeats)]
    return Recording(frames, dt, [trials], [name])


def escape_recording(
    cell: EscapeCell, frames: Tensor, *, repeats: int = 1, seed: int = 0, name: str = "0"
) -> Recording:
    """Recording of simulated spikes of a cell with escape noise.

    Shape:
        frames ``[T, 1, C, H, W]`` of the whole screen.
    """
    rng = np.random.default_rng(seed)
    light = luminance(frames[:1])[0].mean((-2, -1), keepdim=True).expand_as(frames[0])
    with torch.no_grad():
        current = cell.current(luminance(frames), cell.adapted(light))
    counts = cell.simulate(current, repeats, seed)[0][:, 0].T.numpy().astype(int)
    dt = cell.scale.dt
    return Recording(frames, dt, [[random_spike_times(one, dt, rng) for one in counts]], [name])


def spiking_recording(
    retina: Retina,
    frames: Tensor,
    positions: Sequence[tuple[int, int, int]],
    dt: float,
    *,
    noise: float = 0.05,
    repeats: int = 1,
    seed: int = 0,
    batch: int = 8,
) -> Recording:
    """Recording of cells of the spiking retina, with independent light noise in every repeat.

    The retina is deterministic: without noise all repeats would be equal.

    Args:
        places: channel, row and column of each cell; its name is that of its type.
        noise: standard deviation of the luminance noise of every pixel and frame.
        batch: repeats per batch.

    Shape:
        frames ``[T, 1, C, H, W]``.

    Units:
        noise in luminance; dt in seconds.
    """
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    trials: list[list[np.ndarray]] = [[] for _ in positions]
    for first in range(0, repeats, batch):
        shown = frames.expand(-1, min(batch, repeats - first), -1, -1, -1)
        shown = (shown + noise * torch.randn(shown.shape, generator=generator)).clamp(0, 1)
        with torch.no_grad():
            spikes, _ = retina(shown)
        for cell, (channel, row, column) in enumerate(positions):
            counts = spikes[:, :, channel, row, column].T.numpy().astype(int)
            trials[cell] += [random_spike_times(one, dt, rng) for one in counts]
    return Recording(frames, dt, trials, [retina.names[channel] for channel, _, _ in positions])


def random_spike_times(counts: np.ndarray, dt: float, rng: np.random.Generator) -> np.ndarray:
    """Sorted spike times in seconds for counts ``[T]``, uniformly distributed in their steps."""
    steps = np.repeat(np.arange(len(counts)), counts)
    return np.sort((steps + rng.uniform(0, 0.999, len(steps))) * dt)
