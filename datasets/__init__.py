"""Event data sets for neurobip: recordings, binning, splits and batches."""

from __future__ import annotations

if __name__ != "neurobip.datasets":
    # The folder's name is also that of Hugging Face's package; it must not stand in for it.
    raise ImportError(
        f"this folder is neurobip.datasets, but was imported as {__name__!r}. "
        "Run from another folder, or `pip install -e .` and import neurobip.datasets"
    )

from neurobip.datasets.augment import Augment
from neurobip.datasets.cache import cache_folder
from neurobip.datasets.catalog import DatasetInfo, available, open_dataset
from neurobip.datasets.corrupted import Corrupted
from neurobip.datasets.corruptions import CORRUPTIONS, SEVERITIES, Corruption, corrupt
from neurobip.datasets.event_camera import CameraState, EventCamera
from neurobip.datasets.events import EVENT, bin_evenly, bin_events, make_events, validate
from neurobip.datasets.files import read_davis, read_nmnist, read_track, write_nmnist
from neurobip.datasets.live import LiveBins, live_frames
from neurobip.datasets.loader import batches
from neurobip.datasets.nmnist import NMNIST
from neurobip.datasets.recordings import Recordings
from neurobip.datasets.relational_tasks import TrialConfig, TrialSets, relational
from neurobip.datasets.saccade_digits import SaccadeDigits
from neurobip.datasets.splits import Split, choose, fold_of, official, split, split_dataset
from neurobip.datasets.time_shuffled import TimeShuffled
from neurobip.datasets.trials import Layout, Place, Trials

__all__ = [
    "CORRUPTIONS",
    "EVENT",
    "SEVERITIES",
    "Augment",
    "CameraState",
    "Corrupted",
    "Corruption",
    "DatasetInfo",
    "EventCamera",
    "Layout",
    "LiveBins",
    "NMNIST",
    "Place",
    "Recordings",
    "SaccadeDigits",
    "Split",
    "TimeShuffled",
    "TrialConfig",
    "TrialSets",
    "Trials",
    "available",
    "batches",
    "bin_evenly",
    "bin_events",
    "cache_folder",
    "choose",
    "corrupt",
    "fold_of",
    "live_frames",
    "make_events",
    "official",
    "open_dataset",
    "read_davis",
    "read_nmnist",
    "read_track",
    "relational",
    "split",
    "split_dataset",
    "validate",
    "write_nmnist",
]
