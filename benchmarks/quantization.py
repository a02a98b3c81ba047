"""Accuracy against the bits of a weight, on the N-MNIST folds: rounded after training, and in it.

    python benchmarks/nmnist_folds.py
    python benchmarks/nmnist_folds.py --methods local-3-bit local-2-bit
    python benchmarks/quantization.py

Reads the runs of the first two commands. Each number is the integer network's accuracy on the test
samples of a fold, from ``neurobip evaluate --integer``; the retina's fixed kernels keep 8 bits.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

from neurobip.atomic import write_atomic


def evaluate(run: Path, bits: int) -> dict:
    """Accuracy of a run in floating point and in integers; what is known is not measured again."""
    kept = run / f"integer-{bits}.json"
    chosen = run / "best.safetensors"
    if kept.exists() and kept.stat().st_mtime > chosen.stat().st_mtime:
        return json.loads(kept.read_text())
    command = [sys.executable, "-m", "neurobip.cli", "evaluate", str(run), "--integer"]
    command += ["--weight-bits", str(bits), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr.strip()}")
    write_atomic(kept, done.stdout)
    return json.loads(done.stdout)


def spread(values: list[float]) -> str:
    """Mean and standard deviation in percent, and over how many folds."""
    if not values:
        return "-"
    deviation = f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{deviation} ({len(values)})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 5, 4, 3, 2])
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--runs", type=Path, default=Path("runs/nmnist"))
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print("integer test accuracy in percent, mean ± standard deviation (folds)")
    print(f"{'bits':12}{'rounded after training':>26}{'trained on rounded':>26}")
    for bits in arguments.bits:
        columns = []
        for method in ("local", f"local-{bits}-bit"):
            runs = [arguments.runs / f"{method}-{fold}" for fold in arguments.folds]
            done = [run for run in runs if (run / "best.safetensors").exists()]
            columns.append(spread([evaluate(run, bits)["integer"]["accuracy"] for run in done]))
        print(f"{bits:<12}{''.join(f'{column:>26}' for column in columns)}", flush=True)


if __name__ == "__main__":
    main()
