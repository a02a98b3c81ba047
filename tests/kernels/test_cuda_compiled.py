"""The Triton kernels for the compiler: they compile, are found, and are done without."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not find_spec("triton"), reason="Triton is not installed")


def in_a_process(*command, **environment):
    """What a fresh Python prints, without this one's interpreter of kernels."""
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=inherited | environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("found", [True, False])
def test_without_triton_nothing_is_taken_and_nothing_fails(found):
    script = f"""if True:
        import sys
        if not {found}:
            sys.modules["triton"] = None
        import torch
        from neurobip.kernels import cuda
        class OnGPU:
            is_cuda, dtype = True, torch.float32
        print(cuda.supports(OnGPU()))
        """
    assert in_a_process("-c", script).strip() == str(found)


def test_compiles_for_gpus_and_fuses_no_product_with_a_sum(tmp_path):
    script = str(Path(__file__).with_name("compile_for_gpus.py"))
    rows = [
        line.split() for line in in_a_process(script, TRITON_CACHE_DIR=str(tmp_path)).split("\n")
    ]
    fused = {}
    for name, capability, count, shared in filter(None, rows):
        fused.setdefault((name, capability), []).append(int(count))
        assert int(shared) <= 64 * 1024, name  # what every GPU since Turing has
    over_time = "_lif _lif_back _alif _alif_back _trace _surrogate_gradient _bipolar".split()
    for capability in ("75", "90"):
        assert all(not any(fused[name, capability]) for name in over_time)
        # Sums of products have no order to keep, and are counted where they are fused.
        assert all(fused["_memory_scan", capability] + fused["_memory_credit", capability])
