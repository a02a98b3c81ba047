"""The experiments: tasks, conditions and seeds of ``experiments.yaml``, trained and tabled.

    python benchmarks/experiments.py                    what is missing, then all tables
    python benchmarks/experiments.py --only recall      one of them
    python benchmarks/experiments.py --table            the tables alone

Runs are in ``runs/experiments``; what is done is not done again, a killed run goes on where it
stopped. Every run is a row of ``docs/results/experiments.csv``, from which the tables of
``docs/experiments.md`` are written.
"""

import argparse
import copy
import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

HERE = Path(__file__).parent
EXPERIMENTS = HERE / "experiments.yaml"
RESULTS = HERE.parent / "docs" / "results" / "experiments.csv"
DOCUMENT = HERE.parent / "docs" / "experiments.md"
FIELDS = ("experiment", "condition", "seed", "accuracy", "samples", "chance", "parameters",
          "seconds", "settings")  # fmt: skip
ENCODER = "local"
"""The condition whose runs give their encoder to the experiments that ask for one."""

Row = dict[str, Any]


@cache
def _plans() -> dict[str, Row]:
    return yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))


def experiments() -> dict[str, Row]:
    """What there is to do, by name."""
    return copy.deepcopy(_plans())


def folder_of(out: Path, name: str, condition: str, seed: int) -> Path:
    """The folder of a run."""
    return out / name / f"{re.sub('[^a-z0-9]+', '-', condition)}-{seed}"


def settings(out: Path, name: str, condition: str, seed: int) -> tuple[Row, list[str]]:
    """The configuration of a run as a tree, and what the condition changes in it."""
    plan = experiments()[name]
    tree = {key: dict(plan[key]) for key in ("data", "model", "learn")} | {"seed": seed}
    tree["data"]["fold"] = seed
    if "encoder" in plan:
        tree["learn"]["encoder"] = str(folder_of(out, plan["encoder"], ENCODER, seed))
    return tree, list(plan["conditions"][condition])


def digest(row: Row) -> str:
    """A hash of the settings of a run: rows of other settings are not of this table."""
    name, condition, seed = row["experiment"], row["condition"], int(row["seed"])
    made = [settings(Path(), name, condition, seed)]
    if encoder := experiments()[name].get("encoder"):
        made.append(settings(Path(), encoder, ENCODER, seed))
    text = json.dumps(made, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def train(out: Path, name: str, seed: int, conditions: list[str]) -> None:
    """Train the conditions of one seed in this process, on the features of one encoder."""
    from neurobip.config import make_config
    from neurobip.runs.data import encoded, open_data
    from neurobip.runs.output import Output
    from neurobip.runs.run import build
    from neurobip.runs.training import take_encoder, train_run

    output, data = Output(False, sys.stdout), None
    encoder = experiments()[name].get("encoder")
    if encoder and not (folder_of(out, encoder, ENCODER, seed) / "best.safetensors").exists():
        train(out, encoder, seed, [ENCODER])  # its row may be known, but not its weights
    for condition in conditions:
        tree, changes = settings(out, name, condition, seed)
        config = make_config(tree, changes, where=f"{name}, {condition}")
        if data is None or data.config != config.data:
            data = open_data(config, output)
            if config.learn.encoder is not None:
                network = build(config)
                take_encoder(network, config)
                data = encoded(network, data, output, name)
        here = folder_of(out, name, condition, seed)
        kept = here / "config.yaml"  # of the run that is there, perhaps with other settings
        begun = kept.exists() and kept.read_text(encoding="utf-8") == config.to_yaml()
        metrics = train_run(
            config, here, data, output,
            resume=begun, overwrite=not begun, title=f"{name} {condition}",
        )  # fmt: skip
        row = {
            "experiment": name, "condition": condition, "seed": seed,
            "accuracy": round(metrics["accuracy"], 5), "samples": metrics["samples"],
            "chance": round(getattr(data.dataset, "chance", 0.1), 4),
            "parameters": metrics["parameters"], "seconds": round(metrics["seconds"], 1),
        }  # fmt: skip
        row["settings"] = digest(row)
        (here / "row.json").write_text(json.dumps(row))
        print(f"{name}, {condition}, seed {seed}: {row['accuracy']:.4f}", flush=True)


def known(out: Path) -> list[Row]:
    """The rows so far: those of the table, and those of runs that have ended since."""
    rows: dict[tuple[str, ...], Row] = {}
    if RESULTS.exists():
        with RESULTS.open(newline="", encoding="utf-8") as file:
            rows = {(r["experiment"], r["condition"], r["seed"]): r for r in csv.DictReader(file)}
    for path in out.glob("*/*/row.json"):
        row = {key: str(value) for key, value in json.loads(path.read_text()).items()}
        rows[row["experiment"], row["condition"], row["seed"]] = row
    plans = experiments()
    order = {(n, c): (i, j) for i, (n, plan) in enumerate(plans.items())
             for j, c in enumerate(plan["conditions"])}  # fmt: skip
    kept = [
        row
        for row in rows.values()
        if (row["experiment"], row["condition"]) in order and row["settings"] == digest(row)
    ]
    return sorted(kept, key=lambda r: (*order[r["experiment"], r["condition"]], int(r["seed"])))


def save(rows: list[Row]) -> None:
    """Write the table of results, whole or not at all."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    part = RESULTS.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({field: row[field] for field in FIELDS} for row in rows)
    part.replace(RESULTS)


def table(name: str, rows: list[Row]) -> str:
    """Test accuracy of one experiment, in percent, and what each condition changes on equal seeds.

    Means ± standard deviations over seeds.
    """
    plan = experiments()[name]
    found: dict[str, dict[str, float]] = {condition: {} for condition in plan["conditions"]}
    for row in rows:
        if row["experiment"] == name:
            found[row["condition"]][row["seed"]] = 100 * float(row["accuracy"])
    first = next(iter(found))
    lines = [
        f"{plan['about']}.", "",
        f"| condition | test accuracy, % | less {first}, in pairs | seeds |", "|---|---|---|---|",
    ]  # fmt: skip
    for condition, by_seed in found.items():
        both = [] if condition == first else [s for s in by_seed if s in found[first]]
        apart = spread([by_seed[seed] - found[first][seed] for seed in both], "+")
        if by_seed:
            accuracy = spread(list(by_seed.values()))
            lines.append(f"| {condition} | {accuracy} | {apart} | {len(by_seed)} |")
    return "\n".join(lines if len(lines) > 4 else [*lines[:2], "Not run yet."])


def spread(values: list[float], sign: str = "") -> str:
    """Mean ± standard deviation."""
    deviation = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):{sign}.2f}{deviation}" if values else ""


def written(text: str, rows: list[Row]) -> str:
    """A document whose tables, between their marks, are those of the rows."""
    for name in experiments():
        begin, end = f"<!-- results: {name} -->\n", "\n<!-- end of results -->"
        if begin in text:
            head, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            text = head + begin + table(name, rows) + end + after
    return text


def main() -> None:
    """Run what is missing, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    plans = experiments()
    parser.add_argument("--only", nargs="+", choices=plans, default=list(plans))
    parser.add_argument("--conditions", nargs="+", help="those alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs side by side")
    parser.add_argument("--out", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "SEED"), help="used by this script")
    arguments = parser.parse_args()
    if arguments.one:
        train(arguments.out, arguments.one[0], int(arguments.one[1]), arguments.conditions)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    def job(name: str, seed: int) -> None:
        done = {
            row["condition"]
            for row in known(arguments.out)
            if (row["experiment"], row["seed"]) == (name, str(seed))
        }
        missing = [
            condition
            for condition in plans[name]["conditions"]
            if (arguments.conditions is None or condition in arguments.conditions)
            and condition not in done
        ]
        if missing:
            command = [sys.executable, __file__, "--one", name, str(seed), "--out",
                       str(arguments.out), "--conditions", *missing]  # fmt: skip
            subprocess.run(command, check=True)

    if not arguments.table:
        for name in arguments.only:  # encoders come before what starts from them
            with ThreadPoolExecutor(arguments.jobs) as pool:
                list(pool.map(lambda seed, name=name: job(name, seed), arguments.seeds))
            save(known(arguments.out))
    rows = known(arguments.out)
    if DOCUMENT.exists():
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), rows), encoding="utf-8")
    for name in arguments.only:
        print(f"\n{name}: {table(name, rows)}")


if __name__ == "__main__":
    main()
