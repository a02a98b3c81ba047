"""Scale of a retina: the size of a pixel and the length of a time step."""

import math
from dataclasses import dataclass

from neurobip.errors import ConfigError


@dataclass(frozen=True)
class Scale:
    """Conversion from µm and seconds to pixels and decays per step.

    Anatomy is given in µm on the retina and time constants in seconds; only this class converts
    them to the grid of an image sequence.

    Args:
        degrees_per_pixel: visual angle of one pixel.
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
        """Retinal distance in µm, converted to pixels."""
        return um / self.um_per_degree / self.degrees_per_pixel

    def decay(self, tau: float, name: str) -> float:
        """Decay of a filter with time constant ``tau``: the share lost per step, 1 - e^(-dt / tau).

        Args:
            tau: time constant in seconds.
            name: name of the filter in error messages.

        Raises:
            ConfigError: a step longer than the time constant.
        """
        if not tau > 0 or self.dt > tau:
            raise ConfigError(
                f"{name}: a time step of {1000 * self.dt:g} ms is too long for its time constant "
                f"of {1000 * tau:g} ms; use dt <= {max(tau, 0):g} s, or a slower filter"
            )
        return -math.expm1(-self.dt / tau)


def time_constant(decay: float, dt: float = 1.0) -> float:
    """Time constant of a filter that loses the share ``decay`` per step of length ``dt``."""
    return -dt / math.log1p(-decay) if 0 < decay < 1 else (0.0 if decay == 1 else math.inf)
