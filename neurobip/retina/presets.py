"""Preset retinas: a minimal one for event cameras, primate periphery, mouse.

Cell types are data; their input weights are tuned so that every type passes the checks of
``neurobip retina characterize``. A custom type is one more entry::

    wide = CellType("wide on-off", {"transient on": 2.0, "transient off": 2.0}, field=150, tau=0.02)
    retina = mouse(cell_types=(*MOUSE, wide))
"""

from collections.abc import Sequence

from neurobip.component import Component
from neurobip.projection import Projection
from neurobip.retina.amacrine import STARBURST, Starburst
from neurobip.retina.anatomy import (
    MOUSE_ANATOMY,
    PRIMATE_ANATOMY,
    Inputs,
    build_retina,
    needs_starburst,
    place_mosaics,
)
from neurobip.retina.bipolar import SIGNALS, Bipolar
from neurobip.retina.cell_types import CellType, direction_selective, orientation_selective
from neurobip.retina.ganglion import ganglion_cells
from neurobip.retina.horizontal import CenterSurround, kernel_size
from neurobip.retina.retina import Retina
from neurobip.retina.scale import Scale, time_constant

PIXELS_AND_STEPS = Scale(1.0, 1.0, 1.0)
"""Identity scale: sizes in pixels, times in steps."""

EVENT_CAMERA = (
    CellType("sustained on", {"sustained on": 4.0}, field=0.1, tau=time_constant(0.125)),
    CellType("sustained off", {"sustained off": 4.0}, field=0.1, tau=time_constant(0.125)),
    CellType("transient on", {"transient on": 8.0}, field=1.0, tau=time_constant(0.5)),
    CellType("transient off", {"transient off": 8.0}, field=1.0, tau=time_constant(0.5)),
)
"""Four types, in pixels and steps: midget-like with a point field, parasol-like and pooling."""

EVENT_MOTION = (
    *EVENT_CAMERA,
    *(
        direction_selective(
            f"direction {name}",
            angle,
            excited_by={"transient on": 8.0, "transient off": 8.0},
            field=0.7,
            tau=time_constant(0.5),
            shift=2.0,
            veto=2.0,
        )
        for name, angle in (("right", 0), ("up", 90), ("left", 180), ("down", 270))
    ),
)
"""The four types of :data:`EVENT_CAMERA` and four that are direction selective."""


def event_camera(
    cell_types: Sequence[CellType] = EVENT_CAMERA,
    *,
    contrast: float = 0.35,
    sigma_center: float = 0.6,
    sigma_surround: float = 2.0,
    decay_a: float = 0.125,
    jump: float = 0.25,
    decay_s: float = 0.25,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Retina:
    """Minimal retina for camera events: no gain control, every constant a power of two or a weight.

    The default input stage of a BiTFormer; it converts to integers and to Lava. Its constants are
    in steps and pixels, independent of the length of a step; they were tuned at bins of 15 ms.

    Args:
        contrast: change of log intensity that one event represents.
        sigma_center, sigma_surround: of the receptive field, in pixels.
        decay_a, jump: adaptation of the ganglion threshold, see :class:`~neurobip.neurons.ALIF`.
        decay_s: decay of the starburst cells, which exist if a type has them as input.
        size, seed: of mosaics, as in :func:`primate_periphery`.

    Shape:
        ``[B, 2, H, W]`` event counts (off, on) to spikes ``[B, K, H, W]``.
    """
    outer = CenterSurround(
        "events", contrast=contrast, sigma_center=sigma_center, sigma_surround=sigma_surround,
        size=kernel_size(max(sigma_center, sigma_surround), 2.0),
    )  # fmt: skip
    amacrine: list[Component] = []
    signals: tuple[str, ...] = SIGNALS
    if needs_starburst(cell_types):
        amacrine, signals = [Starburst(decay=decay_s)], (*SIGNALS, *STARBURST)
    mosaics = None if size is None else place_mosaics(cell_types, PIXELS_AND_STEPS, size, seed)
    cells = ganglion_cells(
        cell_types, signals, PIXELS_AND_STEPS, mosaics=mosaics, decay_a=decay_a, jump=jump
    )
    return Retina(
        Projection(outer, Bipolar()), cells, cell_types, amacrine=amacrine, mosaics=mosaics
    )


PRIMATE = (
    CellType("midget on", {"sustained on": 8.0}, field=10, tau=0.02, spacing=36),
    CellType("midget off", {"sustained off": 8.0}, field=10, tau=0.02, spacing=36),
    CellType("parasol on", {"transient on": 25.0}, field=35, tau=0.008, spacing=76),
    CellType("parasol off", {"transient off": 25.0}, field=35, tau=0.008, spacing=76),
)
"""Macaque periphery. Neighbours are two standard deviations of the whole field apart (Gauthier et
al. 2009, "Uniform signal redundancy of parasol and midget ganglion cells in primate retina")."""

SMALL_BISTRATIFIED = CellType(
    "small bistratified", {"blue sustained on": 8.0}, field=35, tau=0.02, spacing=76
)
"""Blue on, yellow off (Dacey & Lee 1994); it needs cones as input."""

_EDGES = {"transient on": 15.0, "transient off": 15.0}
_MOTION = {"transient on": 28.0, "transient off": 28.0}
MOUSE = (
    CellType("sustained on alpha", {"sustained on": 14.0}, field=70, tau=0.03, spacing=150),
    CellType("sustained off alpha", {"sustained off": 12.0}, field=70, tau=0.03, spacing=150),
    CellType("transient off alpha", {"transient off": 24.0}, field=70, tau=0.015, spacing=150),
    CellType("local edge", _EDGES, field=25, tau=0.02, spacing=70),
    *(
        direction_selective(
            f"direction {name}", angle, excited_by=_MOTION, field=40, tau=0.015, shift=70, veto=1.2,
            spacing=95,
        )
        for name, angle in (("right", 0), ("up", 90), ("left", 180), ("down", 270))
    ),
    *(
        orientation_selective(
            f"orientation {name}", angle, excited_by={"sustained on": 32.0}, field=25, tau=0.03,
            spacing=120,
        )
        for name, angle in (("horizontal", 0), ("vertical", 90))
    ),
)  # fmt: skip
"""Ten of some forty types (Baden et al. 2016): alpha cells, an on-off local edge detector, the four
on-off direction selective cells and two orientation selective ones."""


def primate_periphery(
    cell_types: Sequence[CellType] | None = None,
    *,
    inputs: Inputs = "light",
    degrees_per_pixel: float = 0.1,
    dt: float = 0.005,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Retina:
    """Retina of the primate periphery: midget and parasol cells, on and off.

    With cones as input it has the small bistratified cell as well.

    Args:
        cell_types: None takes the types above.
        inputs: ``light``, images of luminance; ``cones``, of L, M and S cones; or ``events``.
        degrees_per_pixel, dt: spatial and temporal scale, see
            :class:`~neurobip.retina.scale.Scale`.
        size: height and width of the image on which mosaics are placed; None puts a cell of every
            type at every pixel.
        seed: seed of the mosaics' jitter.

    Shape:
        ``[B, 1 | 3 | 2, H, W]`` to spikes ``[B, K, H, W]``.

    Units:
        degrees_per_pixel in degrees of visual angle; dt in seconds; size in pixels.

    Raises:
        ConfigError: a time step longer than a time constant; the message names the filter.
    """
    if cell_types is None:
        cell_types = (*PRIMATE, SMALL_BISTRATIFIED) if inputs == "cones" else PRIMATE
    return build_retina(PRIMATE_ANATOMY, cell_types, inputs, degrees_per_pixel, dt, size, seed)


def mouse(
    cell_types: Sequence[CellType] = MOUSE,
    *,
    inputs: Inputs = "light",
    degrees_per_pixel: float = 1.0,
    dt: float = 0.01,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> Retina:
    """Retina of the mouse: ten cell types, with direction and orientation selective ones.

    Arguments, shapes, units and errors as :func:`primate_periphery`.
    """
    return build_retina(MOUSE_ANATOMY, cell_types, inputs, degrees_per_pixel, dt, size, seed)
