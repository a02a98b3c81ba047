"""Peak memory of one training step against the length of the sequence, by rule.

    python benchmarks/memory.py

Each row is a process of its own that trains on one batch; its peak is read from the operating
system, less what the process holds before training on the batch: the libraries, the compiled
kernels, the network, the optimiser's moments and the input. Peers train the same network
(``benchmarks/peers``), if they are installed.
"""

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec

from harness import Claim, Table, keep
from peak import peak_mib

STEPS = (20, 100, 500)
LONG = 1000
"""Steps that are for the local rules alone: through time they would fill the machine."""
RULES = {
    "local, online": {"rule": "local", "update": "online"},
    "local, exact memory traces": {"rule": {"name": "local", "memory_trace": "exact"}},
    "local, once a batch": {"rule": "local", "update": "sequence"},
    "backpropagation through time": {"rule": {"name": "bptt", "deep_supervision": True}},
}
PEERS = {
    "SpikingJelly, through time": "spikingjelly",
    "snnTorch, through time": "snntorch",
    "Norse, through time": "norse",
}


def measure(rule: str, steps: int, batch: int) -> dict[str, float]:
    """Train on one batch in this process and read the peak."""
    import time
    from importlib import import_module

    import torch
    from network import frames_of, network

    from neurobip.config import LearnConfig
    from neurobip.learning.loop import build_rule

    torch.set_num_threads(1)
    model = network(activity=None)
    if rule in RULES:
        trainer = build_rule(model, LearnConfig(**RULES[rule]), total_batches=10)
    else:
        trainer = import_module(f"peers.{PEERS[rule]}_model").trainer(model)
    events, labels = frames_of(20, batch)
    frames = events.repeat(-(-steps // 20), 1, 1, 1, 1)[:steps]
    # One sample for three steps: compiles kernels and makes the optimiser's moments.
    trainer.learn(frames[:3, :1], labels[:1])
    began = time.perf_counter()
    mib = peak_mib(lambda: trainer.learn(frames, labels))
    return {"mib": mib, "seconds": time.perf_counter() - began}


def child(rule: str, steps: int, batch: int) -> dict[str, float] | None:
    """:func:`measure` in a process of its own; None where the operating system ended it."""
    command = [sys.executable, __file__, "--batch", str(batch), "--one", rule, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:  # a signal: there was not enough memory, which is a result
        return None
    if done.returncode:
        raise SystemExit(f"{rule}, T = {steps}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the table, or one measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--one", nargs=2, metavar=("RULE", "STEPS"), help="used by this script")
    arguments = parser.parse_args()
    if arguments.one:
        rule, steps = arguments.one
        print(json.dumps(measure(rule, int(steps), arguments.batch)))
        return
    rules = [*RULES, *(name for name, package in PEERS.items() if find_spec(package))]
    title = f"peak memory of training, MiB; seconds a batch of {arguments.batch}"
    table = Table(title, ["", *(f"T = {steps}" for steps in (*STEPS, LONG))])
    found: dict[str, dict[int, dict[str, float] | None]] = {}
    for rule in rules:
        lengths = (*STEPS, LONG) if rule.startswith("local") else STEPS
        found[rule] = {steps: child(rule, steps, arguments.batch) for steps in lengths}
        cells = [
            f"{row['mib']:.0f}  {row['seconds']:5.1f} s" if row else "out of memory"
            for row in found[rule].values()
        ]
        cells += ["-"] * (len(STEPS) + 1 - len(cells))
        table.rows.append([rule, *cells])
        print(" ".join([rule, *cells]), file=sys.stderr, flush=True)
    claims = []
    for rule in ("local, online", "local, exact memory traces"):
        long, short = found[rule][LONG], found[rule][STEPS[0]]
        if long and short:
            what = f"memory at T = {LONG} over T = {STEPS[0]}, {rule}"
            claims.append(Claim(what, long["mib"] / short["mib"], 1.1, at_most=True))
    ours = found["local, online"][100]
    theirs = found.get("SpikingJelly, through time", {}).get(100)
    if ours and theirs:
        what = "activation memory at T = 100, SpikingJelly over local online"
        claims.append(Claim(what, theirs["mib"] / ours["mib"], 50))
    keep("memory", [table], claims, peaks=found)


if __name__ == "__main__":
    main()
