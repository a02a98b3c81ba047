"""Anatomy: the constants that all cell types of a retina share, and a retina built from them.

Sizes are in µm on the retina and times in seconds; ``degrees_per_pixel`` and ``dt`` convert them to
pixels and steps (:class:`~neurobip.retina.scale.Scale`). Measured values cite their source. All
others are tuned so that every type passes the checks of ``neurobip retina characterize``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from neurobip.component import Component
from neurobip.errors import ConfigError
from neurobip.projection import Projection
from neurobip.retina.amacrine import STARBURST, ContrastGain, Starburst, WideField
from neurobip.retina.bipolar import SIGNALS, Bipolar
from neurobip.retina.cell_types import CellType, check_types
from neurobip.retina.ganglion import ganglion_cells
from neurobip.retina.horizontal import CenterSurround
from neurobip.retina.kinetics import Kinetics
from neurobip.retina.mosaic import Mosaic, place_mosaic
from neurobip.retina.photoreceptor import Adaptation, Photoreceptor
from neurobip.retina.retina import Retina
from neurobip.retina.scale import Scale

Inputs = Literal["light", "cones", "events"]

BLUE = tuple(f"blue {signal}" for signal in SIGNALS)
"""Signals of the second center-surround pair: S cones against L and M cones."""


@dataclass(frozen=True)
class Anatomy:
    """Constants shared by all cell types of a retina.

    Args:
        um_per_degree: retinal distance of a degree of visual angle.
        sigma_center, sigma_surround: standard deviations of the receptive fields of bipolar and of
            horizontal cells.
        strength: strength of the surround relative to the center.
        tau_m, tau_p: time constants of the photoreceptors' light adaptation, and of each of their
            two low-pass stages.
        dark, exponent, adaptation: see :class:`~neurobip.retina.photoreceptor.Photoreceptor`.
        tau_h: time constant of the horizontal cells.
        tau_l: time constant of the high-pass of the transient bipolar cells.
        sustained_adaptation: share of the same low-pass that sustained bipolar cells subtract.
        tau_c: time constant of the accumulation of events.
        tau_v: time constant of the inner retina at low contrast.
        gain, tau_g, sigma_g: strength, time constant and radius of contrast gain control.
        wide, tau_w, sigma_w: strength, time constant and radius of wide-field inhibition.
        tau_s: time constant of the starburst cells.
        tau_a, jump: time constant and increment of the adaptive threshold of ganglion cells.
        kinetics: rates of the kinetic synapse of the bipolar cells, see
            :class:`~neurobip.retina.kinetics.Kinetics`; None leaves the signals unchanged.

    Units:
        µm, seconds; gain in 1 / s per squared contrast; jump in thresholds; rates in 1 / s.
    """

    um_per_degree: float
    sigma_center: float
    sigma_surround: float
    strength: float
    tau_m: float
    tau_p: float
    tau_h: float
    tau_l: float
    sustained_adaptation: float
    tau_v: float
    gain: float
    tau_g: float
    sigma_g: float
    wide: float
    tau_w: float
    sigma_w: float
    tau_s: float
    tau_a: float
    jump: float
    tau_c: float = 0.1
    dark: float = 0.01
    exponent: float = 1.0
    adaptation: Adaptation = "naka-rushton"
    kinetics: Mapping[str, float] | None = None


PRIMATE_ANATOMY = Anatomy(
    um_per_degree=223.0,  # Perry & Cowey 1985
    sigma_center=15.0,  # with the midget's field 0.08 degrees, Croner & Kaplan 1995 at 30 to 40
    sigma_surround=100.0,  # 0.45 degrees, the same
    strength=0.8,
    tau_m=1.0,
    tau_p=0.01,  # Wohrer & Kornprobst 2009
    tau_h=0.01,
    tau_l=0.05,
    sustained_adaptation=0.3,
    tau_v=0.02,
    gain=3000.0,
    tau_g=0.01,
    sigma_g=45.0,  # 0.2 degrees, Wohrer & Kornprobst 2009
    wide=0.3,
    tau_w=0.02,
    sigma_w=200.0,
    tau_s=0.08,
    tau_a=0.1,
    jump=0.4,
)

MOUSE_ANATOMY = Anatomy(
    um_per_degree=31.0,  # Remtulla & Hallett 1985
    sigma_center=25.0,  # bipolar cells, Franke et al. 2017
    sigma_surround=110.0,
    strength=0.8,
    tau_m=1.5,
    tau_p=0.015,
    tau_h=0.02,
    tau_l=0.08,
    sustained_adaptation=0.3,
    tau_v=0.03,
    gain=2000.0,
    tau_g=0.02,
    sigma_g=60.0,
    wide=0.3,
    tau_w=0.03,
    sigma_w=300.0,
    tau_s=0.1,
    tau_a=0.15,
    jump=0.6,
)

LNK = {"ka": 60.0, "kfi": 30.0, "kfr": 10.0, "ksi": 0.5, "ksr": 2.0}
"""Rates of a kinetic synapse, in 1 / s: fast inactivation within the response to a contrast step,
slow inactivation over seconds, as in Ozuysal & Baccus 2012; the values are not fitted to data.
``build_retina(replace(MOUSE_ANATOMY, kinetics=LNK), …)`` builds a retina with it."""


def build_retina(
    a: Anatomy,
    cell_types: Sequence[CellType],
    inputs: Inputs,
    degrees_per_pixel: float,
    dt: float,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Retina:
    """Retina with a given anatomy and cell types.

    Args:
        a: anatomy. The others as for :func:`~neurobip.retina.presets.primate_periphery`.

    Raises:
        ConfigError: unknown inputs, a time step longer than a time constant, or a cell type with
            an input signal that this retina does not have.
    """
    if inputs not in get_args(Inputs):
        raise ConfigError(f"inputs {inputs!r}; expected {', '.join(get_args(Inputs))}")
    scale = Scale(degrees_per_pixel, a.um_per_degree, dt)
    outer = CenterSurround(
        inputs,
        sigma_center=scale.pixels(a.sigma_center),
        sigma_surround=scale.pixels(a.sigma_surround),
        strength=a.strength,
    )
    photoreceptor = None
    if inputs != "events":
        photoreceptor = Photoreceptor(
            decay_m=scale.decay(a.tau_m, "light adaptation of the photoreceptors"),
            decay_p=scale.decay(a.tau_p, "low-pass of the photoreceptors"),
            dark=a.dark,
            exponent=a.exponent,
            adaptation=a.adaptation,
        )
    bipolar = Bipolar(
        decay_c=scale.decay(a.tau_c, "leak of the events") if inputs == "events" else 1.0,
        decay_h=scale.decay(a.tau_h, "horizontal cells"),
        decay_l=scale.decay(a.tau_l, "high-pass of the bipolar cells"),
        sustained_adaptation=a.sustained_adaptation,
    )
    signals: tuple[str, ...] = (*SIGNALS, *BLUE) if inputs == "cones" else SIGNALS
    scale.decay(a.tau_v, "membrane of the inner retina")  # raises if the step is too long
    amacrine: list[Component] = []
    if a.kinetics is not None:
        amacrine.append(Kinetics(**{name: rate * dt for name, rate in a.kinetics.items()}))
    amacrine += [
        ContrastGain(
            leak=dt / a.tau_v,
            strength=a.gain * dt,
            decay_g=scale.decay(a.tau_g, "contrast gain control"),
            sigma=scale.pixels(a.sigma_g),
        ),
        WideField(
            strength=a.wide,
            decay=scale.decay(a.tau_w, "wide-field inhibition"),
            sigma=scale.pixels(a.sigma_w),
        ),
    ]
    if needs_starburst(cell_types):
        amacrine.append(Starburst(decay=scale.decay(a.tau_s, "starburst cells")))
        signals = (*signals, *STARBURST)
    mosaics = None if size is None else place_mosaics(cell_types, scale, size, seed)
    cells = ganglion_cells(
        cell_types, signals, scale, mosaics=mosaics, jump=a.jump,
        decay_a=scale.decay(a.tau_a, "adaptation of the ganglion cells"),
    )  # fmt: skip
    return Retina(
        Projection(outer, bipolar), cells, cell_types,
        photoreceptor=photoreceptor, amacrine=amacrine, mosaics=mosaics,
    )  # fmt: skip


def needs_starburst(cell_types: Sequence[CellType]) -> bool:
    """Whether any of the types has input from starburst cells."""
    check_types(cell_types)
    return any(set(STARBURST) & {*cell.excited_by, *cell.inhibited_by} for cell in cell_types)


def place_mosaics(
    cell_types: Sequence[CellType], scale: Scale, size: tuple[int, int], seed: int
) -> list[Mosaic]:
    """One mosaic per cell type, each with its own jitter.

    Raises:
        ConfigError: a size that is not a height and a width in whole pixels.
    """
    if (
        not isinstance(size, tuple | list)
        or len(size) != 2
        or not all(isinstance(edge, int) and edge > 0 for edge in size)
    ):
        raise ConfigError(f"size = {size!r}; expected height and width in pixels, such as (32, 32)")
    spacings = [scale.pixels(cell.spacing) if cell.spacing else 1.0 for cell in cell_types]
    return [place_mosaic(*size, spacing, seed=seed + i) for i, spacing in enumerate(spacings)]
