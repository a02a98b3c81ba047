"""Natural images under eye movements."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from neurobip.errors import ConfigError
from neurobip.stimuli.screen import (
    Screen,
    require,
    require_positive,
    require_whole,
    screen_position,
)


def natural_saccades(
    screen: Screen,
    *,
    image: Tensor | np.ndarray | None = None,
    rate: float = 3.0,
    amplitude: float = 2.0,
    diffusion: float = 0.011,
    start: Sequence[float] = (0.0, 0.0),
    seed: int = 0,
    duration: float = 1.0,
) -> Tensor:
    """Natural image under fixational drift and saccades.

    Pixels of the image and of the screen have the same size; luminance is interpolated linearly
    between pixels. The eye position is that of :func:`gaze`, reflected at the borders of the image.
    The image keeps its own mean luminance.

    Args:
        image: linear luminance, 0 to 1; None is :func:`natural_image`.
        rate, amplitude, diffusion, start, seed: see :func:`gaze`; position 0 is the center of the
            image.

    Shape:
        image ``[h, w]``, at least as large as the screen; frames ``[T, 1, 1, H, W]``.

    Units:
        as :func:`gaze`; duration in seconds.

    Raises:
        ConfigError: an image that is too small, not two-dimensional or exceeds 0 to 1, and as
            :func:`gaze`.
    """
    picture = _luminance(screen, natural_image() if image is None else image)
    path = gaze(
        screen,
        rate=rate,
        amplitude=amplitude,
        diffusion=diffusion,
        start=start,
        seed=seed,
        duration=duration,
    )
    shift = path / screen.degrees_per_pixel
    row, down = _corner(-shift[:, 1], picture.shape[0], screen.height)
    column, right = _corner(shift[:, 0], picture.shape[1], screen.width)
    rows = row[:, None] + torch.arange(screen.height + 1)
    columns = column[:, None] + torch.arange(screen.width + 1)
    # One row and column more: weight 0 where the screen touches the border.
    padded = torch.nn.functional.pad(picture[None], (0, 1, 0, 1), mode="replicate")[0]
    seen = padded[rows[:, :, None], columns[:, None, :]]
    seen = torch.lerp(seen[:, :-1], seen[:, 1:], down[:, None, None])
    seen = torch.lerp(seen[:, :, :-1], seen[:, :, 1:], right[:, None, None])
    return seen.clamp(0, 1).float()[:, None, None]


def gaze(
    screen: Screen,
    *,
    rate: float = 3.0,
    amplitude: float = 2.0,
    diffusion: float = 0.011,
    start: Sequence[float] = (0.0, 0.0),
    seed: int = 0,
    duration: float = 1.0,
) -> Tensor:
    """Eye position over time: Brownian drift and saccades, each within one frame.

    Saccades occur at random, at most one per frame, in a random direction and with exponentially
    distributed amplitude. For drift alone ``E[x² + y²] = 4 diffusion t``.

    Args:
        rate: saccades per second; 0 is drift alone.
        amplitude: mean amplitude of a saccade.
        diffusion: diffusion constant of the drift; 0.011 degrees²/s is 40 arcmin²/s, similar to
            the human eye.
        start: x and y of the first frame.
        seed: seed of the generator; the same seed gives the same path.

    Shape:
        ``[T, 2]``, x and y, float64.

    Units:
        rate in Hz; amplitude, start, path in degrees; diffusion in degrees² per second; duration
        in seconds.

    Raises:
        ConfigError: a rate at or above the frame rate, or a negative amplitude or diffusion.

    Source: Kuang et al. 2012, "Temporal encoding of spatial information during active visual
    fixation" (drift as Brownian motion).
    """
    limit = f"from 0 and below the frame rate, {1 / screen.dt:.4g} Hz"
    require("gaze", "rate", rate, lambda value: 0 <= value < 1 / screen.dt, limit)
    require("gaze", "amplitude", amplitude, lambda value: value >= 0, "0 degrees or more")
    require("gaze", "diffusion", diffusion, lambda value: value >= 0, "0 degrees²/s or more")
    origin = torch.tensor(screen_position("gaze", start, "start"), dtype=torch.float64)
    steps = screen.steps(duration, "gaze") - 1
    generator = torch.Generator().manual_seed(seed)
    drift = torch.randn(steps, 2, generator=generator, dtype=torch.float64)
    drift *= math.sqrt(2 * diffusion * screen.dt)
    when, size, angle = torch.rand(3, steps, generator=generator, dtype=torch.float64)
    jump = (when < -math.expm1(-rate * screen.dt)) * -amplitude * torch.log1p(-size)
    angle = 2 * math.pi * angle
    move = drift + jump[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return torch.cat([origin[None], origin + move.cumsum(0)])


def natural_image(name: Literal["china", "flower"] = "china") -> Tensor:
    """Photograph from scikit-learn as linear luminance.

    Shape:
        ``[427, 640]``, float64, 0 to 1.

    Raises:
        ConfigError: an unknown name.

    Source: ``sklearn.datasets.load_sample_image``; sRGB to linear light and the luminance
    weights after IEC 61966-2-1.
    """
    if name not in ("china", "flower"):
        raise ConfigError(f"natural_image: name is {name!r}; it has to be china or flower")
    from sklearn.datasets import load_sample_image  # it takes a second to import

    code = torch.tensor(np.asarray(load_sample_image(f"{name}.jpg"))).double() / 255
    light = torch.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light @ torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64)


def synthetic_image(
    height: int = 256, width: int = 256, *, contrast: float = 0.5, seed: int = 0
) -> Tensor:
    """Random image with the statistics of natural scenes: 1/f amplitude, skewed luminance.

    The logarithm of luminance is a random field with an amplitude of exactly 1/f and a normal
    distribution, so that luminance has many dark and few bright pixels. The brightest 0.1 % is
    clipped to 1. The image is periodic.

    Args:
        height, width: pixels.
        contrast: standard deviation of the natural logarithm of luminance.
        seed: seed of the generator; the same seed gives the same image.

    Shape:
        ``[height, width]``, float64, above 0 to 1.

    Raises:
        ConfigError: fewer than 2 pixels a side, a contrast that is not positive.

    Source: Field 1987, "Relations between the statistics of natural images and the response
    properties of cortical cells" (1/f); Ruderman & Bialek 1994, "Statistics of natural images:
    scaling in the woods" (log luminance).
    """
    for name, size in (("height", height), ("width", width)):
        require_whole("synthetic_image", name, size, 2)
    require_positive("synthetic_image", "contrast", contrast, "log units")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(height, width, generator=generator, dtype=torch.float64)
    spectrum = torch.fft.rfft2(noise)
    rows = torch.fft.fftfreq(height, dtype=torch.float64)
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    frequency = torch.hypot(rows[:, None], columns)
    frequency[0, 0] = math.inf
    field = torch.fft.irfft2(spectrum / spectrum.abs() / frequency, s=(height, width))
    light = (contrast * field / field.std()).exp()
    return (light / float(np.quantile(light.numpy(), 0.999))).clamp(max=1)


def _luminance(screen: Screen, image: Tensor | np.ndarray) -> Tensor:
    """The image in float64, after validation."""
    if isinstance(image, Tensor):
        picture = image.detach().cpu().double()
    else:
        picture = torch.from_numpy(np.array(image, dtype=np.float64))
    size = (screen.height, screen.width)
    if picture.ndim != 2 or picture.shape[0] < size[0] or picture.shape[1] < size[1]:
        raise ConfigError(
            f"natural_saccades: image has the shape {tuple(picture.shape)}; it has to be "
            f"[h, w], at least {size[0]} by {size[1]} for this screen"
        )
    if not (picture.min() >= 0 and picture.max() <= 1):  # NaN fails as well
        raise ConfigError(
            f"natural_saccades: image goes from {float(picture.min()):.4g} to "
            f"{float(picture.max()):.4g}; it has to be linear luminance, 0 to 1"
        )
    return picture


def _corner(shift: Tensor, image: int, screen: int) -> tuple[Tensor, Tensor]:
    """First image pixel on the screen, and the remaining fraction of a pixel.

    The path is reflected at the image's border.
    """
    spare = image - screen
    if spare == 0:
        return torch.zeros_like(shift).long(), torch.zeros_like(shift)
    folded = (spare / 2 + shift) % (2 * spare)
    position = spare - (folded - spare).abs()
    return position.long(), position % 1
