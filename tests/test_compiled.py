"""Compiled loops where nothing may be written."""

import subprocess
import sys

import pytest

SCRIPT = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []  # no folder of numba's choice can be written
from neurobip.kernels import cpu, filters
import torch
x = torch.full((2, 1, 3), 1.5)
z, u, v = cpu.lif_run(x, x[0], x[0], x[0, 0] - 1, 1.0, 0.5, 0.75)
print(int(z.sum()))
"""


@pytest.mark.slow
def test_without_a_folder_to_keep_them_loops_run_and_say_so_once():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["6"]
    assert run.stderr.count("NUMBA_CACHE_DIR") == 1
