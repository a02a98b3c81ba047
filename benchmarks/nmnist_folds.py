"""N-MNIST, 900 recordings, five hash folds: the local rule and backpropagation through time.

    NEUROBIP_DATA=... python benchmarks/nmnist_folds.py

Every run is one call of ``neurobip train``, then of ``neurobip evaluate --integer``, and for the
local rule of ``neurobip verify``. Runs are in ``runs/nmnist``; what is done is not done again,
and a killed run goes on where it stopped. Prints the table and writes ``runs/nmnist/folds.csv``.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev

from neurobip.atomic import write_atomic

CONFIG = Path(__file__).with_name("nmnist.yaml")
LOCAL = ["learn.rule={name: local}"]
BPTT = ["learn.rule={name: bptt}"]
METHODS = {
    "local": LOCAL,
    "local-kolen-pollack": [*LOCAL, "learn.rule.feedback=kolen_pollack", "learn.weight_decay=0.3"],
    "bptt": [*BPTT, "learn.rule.deep_supervision=true", "learn.lr=0.01"],
    "bptt-last-loss": [*BPTT, "learn.lr=0.01"],
    "local-no-attention": [*LOCAL, "model.attention=none"],
    "local-frozen-qk": [*LOCAL, "learn.freeze=qk"],
    "local-masked": [*LOCAL, "model.attention=masked"],
    "local-query-key": [*LOCAL, "model.attention=query-key"],
    "local-4-bit": [*LOCAL, "learn.weight_bits=4"],
    "local-3-bit": [*LOCAL, "learn.weight_bits=3"],
    "local-2-bit": [*LOCAL, "learn.weight_bits=2"],
    "local-frozen-features": [*LOCAL, "learn.freeze=features"],
}
DEFAULT = ("local", "bptt")


def call(*words: str) -> dict:
    """One command of neurobip, its JSON document."""
    command = [sys.executable, "-m", "neurobip.cli", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def run(method: str, fold: int, folder: Path, samples: int) -> dict:
    """Train, evaluate and verify one method on one fold, or read what was done before."""
    here = folder / f"{method}-{fold}"
    result = here / "fold.json"
    settings = [f"data.fold={fold}", *METHODS[method]]
    wanted = {"config": CONFIG.read_text(), "settings": settings, "samples": samples}
    if result.exists() and (known := json.loads(result.read_text()))["wanted"] == wanted:
        return known["row"]
    options = [word for setting in settings for word in ("--set", setting)]
    # A killed run goes on; a folder without a checkpoint starts anew.
    begin = "--resume" if any(here.glob("*.safetensors")) else "--overwrite"
    trained = call("train", str(CONFIG), "--out", str(here), begin, *options)
    tested = call("evaluate", str(here), "--integer")
    row = {
        "method": method,
        "fold": fold,
        "accuracy": tested["accuracy"],
        "valid": trained["history"][-1]["valid_accuracy"],
        "integer": tested["integer"]["accuracy"],
        "logistic": tested["controls"]["logistic_regression"]["accuracy"],
        "samples": tested["samples"],
        "seconds": sum(epoch["seconds"] for epoch in trained["history"]),
    }
    if method == "local":
        checked = call("verify", str(here), "--samples", str(samples))
        row |= {"lava_samples": checked["samples"], "lava_mismatches": checked["mismatches"]}
    write_atomic(result, json.dumps({"wanted": wanted, "row": row}))
    print(f"{method} fold {fold}: {row['accuracy']:.4f}", file=sys.stderr, flush=True)
    return row


def spread(values: list[float]) -> str:
    """Mean and standard deviation in percent."""
    return f"{100 * mean(values):.2f} ± {100 * stdev(values):.2f}" if len(values) > 1 else "-"


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=DEFAULT)
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--samples", type=int, default=5, help="through Lava, for each fold")
    parser.add_argument("--out", type=Path, default=Path("runs/nmnist"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    work = [(method, fold) for fold in arguments.folds for method in arguments.methods]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda w: run(*w, arguments.out, arguments.samples), work))
    fields = list(dict.fromkeys(key for row in rows for key in row))
    with (arguments.out / "folds.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)
    print("test accuracy in percent, mean ± standard deviation over folds")
    print("(settings were chosen on fold 0, so folds 1 to 4 are shown by themselves as well)")
    heads = ("all folds", "folds 1 to 4", "in integers", "validation")
    print(f"{'':24}{''.join(f'{head:>16}' for head in heads)}{'seconds':>9}")
    for method in arguments.methods:
        mine = [row for row in rows if row["method"] == method]
        columns = [
            spread([row["accuracy"] for row in mine]),
            spread([row["accuracy"] for row in mine if row["fold"]]),
            spread([row["integer"] for row in mine]),
            spread([row["valid"] for row in mine]),
        ]
        seconds = mean(row["seconds"] for row in mine)
        print(f"{method:24}{''.join(f'{c:>16}' for c in columns)}{seconds:>9.0f}")
    logistic = {row["fold"]: row["logistic"] for row in rows}
    unseen = [value for fold, value in logistic.items() if fold]
    print(f"{'logistic regression':24}{spread(list(logistic.values())):>16}{spread(unseen):>16}")
    checks = [row for row in rows if "lava_samples" in row]
    if checks:
        samples = sum(row["lava_samples"] for row in checks)
        print(
            f"Lava: {sum(row['lava_mismatches'] for row in checks)} mismatches, {samples} samples"
        )


if __name__ == "__main__":
    main()
