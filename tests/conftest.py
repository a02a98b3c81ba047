"""Real recordings for these tests, and a cache folder that is thrown away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# Triton settles whether it interprets kernels when it is first imported, by whichever test that is.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# The tensors of the tests are small: threads would wait for each other longer than they work.
torch.set_num_threads(1)

# The first call of a kernel compiles it, which no deadline of a test should have to allow for.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")


def _recordings(folder: str) -> Path:
    data = os.environ.get("NEUROBIP_DATA")
    if not data:
        pytest.skip("NEUROBIP_DATA is not set; it names the folder of real recordings")
    path = Path(data) / folder
    if not path.is_dir():
        pytest.skip(f"no real recordings in {path}")
    return path


@pytest.fixture(scope="session")
def real_nmnist() -> Path:
    return _recordings("nmnist")


@pytest.fixture(scope="session")
def real_davis() -> Path:
    return _recordings("davis_tracking")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One folder for the whole session: the same frames are not made twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROBIP_CACHE", str(tmp_path_factory.mktemp("frames")))
        yield


@pytest.fixture(scope="session")
def nmnist_frames(real_nmnist: Path, own_cache: None) -> torch.Tensor:
    """Real recordings as frames ``[T, B, 2, 34, 34]``, one of each digit or so."""
    from neurobip.datasets import NMNIST, batches

    data = NMNIST(real_nmnist, samples=12, steps=12, window_us=25_000)
    frames, _ = next(iter(batches(data, 12)))
    return frames
