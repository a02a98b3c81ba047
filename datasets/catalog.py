"""The data sets that there are, and the one that a configuration asks for."""

from __future__ import annotations

from typing import Any, NamedTuple

from neurobip.config import DataConfig
from neurobip.config.named import DATASETS, find, names
from neurobip.datasets.cache import Progress
from neurobip.errors import ConfigError


class DatasetInfo(NamedTuple):
    """What a data set is and where it comes from; `recordings` counts the published ones."""

    name: str
    title: str
    recordings: int | None
    classes: int
    sensor: tuple[int, ...]
    source: str
    license: str


def available() -> tuple[DatasetInfo, ...]:
    """Every data set of this folder and of installed packages, as its class describes itself."""
    return tuple(described(name) for name in names(DATASETS))


def described(name: str) -> DatasetInfo:
    """What the class of a data set says about it.

    Raises: ConfigError for a data set that is not there.
    """
    made: Any = find(DATASETS, name)
    summary = (made.__doc__ or "").strip().partition("\n")[0]
    return DatasetInfo(
        name,
        getattr(made, "title", summary),
        getattr(made, "recordings", None),
        made.classes,
        tuple(made.sensor),
        getattr(made, "source", ""),
        getattr(made, "license", ""),
    )


def open_dataset(config: DataConfig, progress: Progress | None = None) -> Any:
    """The data set that the configuration's `data` section asks for.

    A data set is a torch `Dataset` of items (frames [T, ...], label) with the attributes `classes`
    and `sensor` (the shape of a time step), which takes those keyword arguments of root, samples,
    seed, steps, window_us, cache and progress that its signature has. With `names`, one a sample,
    the split is by their hash; with `events(i)` recordings can be corrupted.

    Raises: ConfigError for a data set or a number of samples that is not there, or a key that the
        data set does not take; DataError where its recordings are missing or damaged.
    """
    given = {
        key: getattr(config, key)
        for key in ("root", "samples", "seed", "steps", "window_us", "cache")
    }
    taken = config.takes()
    for key in ("root", "samples", "cache"):
        if key not in taken and given[key] is not None:
            raise ConfigError(f"data.{key}: the data set {config.name} does not take it")
    dataset = config.build(**given, progress=progress)
    steps = getattr(dataset, "steps", config.steps)
    if steps != config.steps:
        raise ConfigError(
            f"data.steps: got {config.steps}, a sample of {config.name} has {steps} steps; set it "
            "to that"
        )
    return dataset
