"""Training memory as the operating system counts it: flat for the local rule, else growing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory.py"


def peak(rule: str, steps: int) -> float:
    command = [sys.executable, str(SCRIPT), "--batch", "8", "--one", rule, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["mib"]


@pytest.mark.slow
def test_local_learning_is_flat_in_time_and_backpropagation_is_not():
    local = [peak("local, online", steps) for steps in (20, 120)]
    through_time = [peak("backpropagation through time", steps) for steps in (20, 120)]
    # A few MiB of allocator noise; the six times longer sequence itself is in memory before.
    assert local[1] < local[0] + 10
    assert through_time[1] > 4 * through_time[0] > 4 * local[0]
