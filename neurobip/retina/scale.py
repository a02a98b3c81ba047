"""The one scale of a retina: how large a pixel is, and how long a step."""

import math
from dataclasses import dataclass

from neurobip.errors import ConfigError


@dataclass(frozen=True)
class Scale:
    """What turns micrometres and seconds into pixels and shares lost per step.

    All anatomy is written in µm on the retina and all kinetics in seconds; this is the only place
    where they become numbers of an image sequence.

    Args:
        degrees_per_pixel: visual angle that one pixel covers.
        um_per_degree: retinal distance of a degree: 223 in the macaque (Perry & Cowey 1985), 31 in
            the mouse (Remtulla & Hallett 1985).
        dt: length of a time step.

    Units:
        degrees, µm, seconds.

    Raises:
        ConfigError: a value that is not finite and positive.
    """

    degrees_per_pixel: float
    um_per_degree: float
    dt: float

    def __post_init__(self) -> None:
        for name in ("degrees_per_pixel", "um_per_degree", "dt"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ConfigError(f"Scale: {name} = {value}; expected a number above 0")

    def pixels(self, um: float) -> float:
        """A retinal distance in pixels."""
        return um / self.um_per_degree / self.degrees_per_pixel

    def decay(self, tau: float, name: str) -> float:
        """The share that a filter with time constant ``tau`` loses per step, ``1 - e^(-dt/tau)``.

        Raises:
            ConfigError: the step is longer than the time constant, by the filter's name.
        """
        if not tau > 0 or self.dt > tau:
            raise ConfigError(
                f"{name}: a time step of {1000 * self.dt:g} ms is too long for its time constant "
                f"of {1000 * tau:g} ms; use dt <= {max(tau, 0):g} s, or a slower filter"
            )
        return -math.expm1(-self.dt / tau)


def time_constant(decay: float, dt: float = 1.0) -> float:
    """The time constant of a filter that loses the share ``decay`` per step of length ``dt``."""
    return -dt / math.log1p(-decay) if 0 < decay < 1 else (0.0 if decay == 1 else math.inf)
