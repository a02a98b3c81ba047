"""Run the benchmarks one after the other and write the report: what `make bench` does.

    python benchmarks/run.py [--only lif,training] [--quick]

Every script is a process of its own, so that none inherits another's memory or threads. What it
prints goes to the screen and to ``runs/bench/<name>.txt``, its numbers to ``<name>.json``; with
``--only`` the others keep what an earlier run found. A script that fails is named at the end, and
the rest goes on.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from harness import RUNS
from report import SCRIPTS, write

HERE = Path(__file__).parent
QUICK = {"binning": ["--recordings", "60"], "simulator": ["--repeats", "2"]}
REPEATED = {"lif", "training", "inference", "event_driven", "camera", "scaling", "imports"}


def options(name: str, quick: bool) -> list[str]:
    """What a script is called with: few repeats show that all of it runs, not how fast."""
    if not quick:
        return []
    return ["--repeats", "2"] if name in REPEATED else QUICK.get(name, [])


def run(name: str, quick: bool) -> int:
    """One script; its output is shown as it comes and kept. Returns its exit code."""
    command = [sys.executable, str(HERE / f"{name}.py"), *options(name, quick)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode == 0:
        (RUNS / f"{name}.txt").write_text("".join(lines))
    return process.returncode


def chosen(only: str | None) -> list[str]:
    """The scripts to run, in order.

    Raises:
        SystemExit: a name that is none of them.
    """
    known = [name for name in SCRIPTS if (HERE / f"{name}.py").exists()]
    if not only:
        return known
    wanted = [name for name in only.replace(",", " ").split() if name]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        raise SystemExit(2)
    return [name for name in known if name in wanted]


def main() -> None:
    """Run, report, and name what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of scripts, separated by commas")
    parser.add_argument("--quick", action="store_true", help="two repeats of everything")
    arguments = parser.parse_args()
    names = chosen(arguments.only)
    RUNS.mkdir(parents=True, exist_ok=True)
    failed, began = [], time.perf_counter()
    for i, name in enumerate(names, 1):
        print(f"== {i} of {len(names)}: {name}", file=sys.stderr, flush=True)
        start = time.perf_counter()
        code = run(name, arguments.quick)
        if code:
            failed.append(name)
        ended = "done" if code == 0 else f"FAILED with exit code {code}"
        print(f"== {name} {ended}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    path = write(RUNS)
    minutes = (time.perf_counter() - began) / 60
    print(f"{path} written, {minutes:.1f} minutes in all", file=sys.stderr)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
