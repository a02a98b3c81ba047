"""Every learning rule, by name from the command line, on one small network; one table.

    python benchmarks/rules.py            what is missing, then the table
    python benchmarks/rules.py --table    the table alone

For every name in ``neurobip/learning/rules``, and for ``local`` with every feedback, this runs

    neurobip train benchmarks/rules.yaml --set learn.rule=NAME --set learn.lr=RATE

at each of ``RATES`` and shows the test accuracy at the rate that is best on validation data, and
the processor seconds of the command, imports and evaluation included. Runs are in ``runs/rules``;
what is done is not done again. Every run is a row of ``docs/results/rules.csv``, from which the
table of ``docs/learning.md`` is written.
"""

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

from neurobip.config import load_config
from neurobip.config.named import RULES, names
from neurobip.learning.feedback import Feedback

HERE = Path(__file__).parent
CONFIG = HERE / "rules.yaml"
RESULTS = HERE.parent / "docs" / "results" / "rules.csv"
DOCUMENT = HERE.parent / "docs" / "learning.md"
BEGIN, END = "<!-- results: rules -->\n", "\n<!-- end of results -->"

RATES = ("0.002", "0.01", "0.3")
"""Learning rates that every rule is tried at; the last is for the rule without an optimiser."""

FIELDS = ("rule", "options", "lr", "valid", "test", "samples", "chance", "seconds")
Row = dict[str, Any]


def conditions() -> list[tuple[str, str, list[str]]]:
    """Rule, its options in words, and what they change in the configuration.

    The names are those that a configuration takes.
    """
    found: list[tuple[str, str, list[str]]] = []
    for name in names(RULES):
        if name != "local":
            found.append((name, "", [f"learn.rule={name}"]))
            continue
        for feedback in get_args(Feedback):
            changes = ["learn.rule=local", f"learn.rule.feedback={feedback}"]
            if feedback == "kolen_pollack":  # refused without: weights have to forget
                changes.append("learn.weight_decay=0.3")
            found.append((name, feedback, changes))
    return found


def train(out: Path, rule: str, options: str, changes: list[str], lr: str) -> Row:
    """One run of the command line, and its row."""
    folder = out / "-".join(filter(None, (rule, options, lr)))
    kept, config = folder / "row.json", folder / "config.yaml"
    settings = [*changes, f"learn.lr={lr}", f"data.cache={out / 'cache'}"]
    if kept.exists() and load_config(config) == load_config(CONFIG, settings):
        return json.loads(kept.read_text())
    command = [
        sys.executable, "-m", "neurobip.cli", "train", str(CONFIG), "--out", str(folder),
        "--overwrite", "--json", *itertools.chain.from_iterable(("--set", s) for s in settings),
    ]  # fmt: skip
    seconds = processor_seconds(command)
    metrics = json.loads((folder / "metrics.json").read_text())
    row = {
        "rule": rule, "options": options, "lr": lr,
        "valid": round(metrics["history"][-1]["valid_accuracy"], 4),
        "test": round(metrics["accuracy"], 4), "samples": metrics["samples"],
        "chance": 1 / metrics["config"]["model"]["classes"],
        "seconds": round(seconds, 1),
    }  # fmt: skip
    kept.write_text(json.dumps(row))
    print(f"{rule} {options} lr {lr}: valid {row['valid']:.3f}, {seconds:.0f} s", flush=True)
    return row


def processor_seconds(command: list[str]) -> float:
    """Run a command on one thread; what else the machine does is not counted."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


def chosen(rows: list[Row]) -> list[Row]:
    """Of each rule and its options the row with the best validation accuracy; of equals the first.

    What was tested has no part in it.
    """
    best: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = row["rule"], row["options"]
        if key not in best or float(row["valid"]) > float(best[key]["valid"]):
            best[key] = row
    return list(best.values())


def table(rows: list[Row]) -> str:
    """The table in Markdown."""
    lines = ["| rule | test accuracy, % | rate | seconds | chance, % |", "|---|---|---|---|---|"]
    for row in chosen(rows):
        name = f"`{row['rule']}`" + (f", `{row['options']}`" if row["options"] else "")
        lines.append(
            f"| {name} | {100 * float(row['test']):.1f} | {row['lr']} | "
            f"{float(row['seconds']):.0f} | {100 * float(row['chance']):.0f} |"
        )
    return "\n".join(lines)


def written(text: str, rows: list[Row]) -> str:
    """A document whose table, between its marks, is that of the rows."""
    head, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return head + BEGIN + table(rows) + END + after if rest else text


def known() -> list[Row]:
    """The rows of the results."""
    with RESULTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Run what is missing, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs side by side")
    parser.add_argument("--out", type=Path, default=Path("runs/rules"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    if not arguments.table:
        todo = list(itertools.product(conditions(), RATES))
        arguments.out.mkdir(parents=True, exist_ok=True)
        (first, lr), *others = todo
        rows = [train(arguments.out, *first, lr)]  # alone: it fills the cache of the others
        with ThreadPoolExecutor(arguments.jobs) as pool:
            rows += pool.map(lambda work: train(arguments.out, *work[0], work[1]), others)
        with RESULTS.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    rows = known()
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), rows), encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
