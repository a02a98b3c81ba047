"""Peak memory of one training step against the length of the sequence, by rule.

    python benchmarks/memory.py

Each row is a process of its own that trains on one batch; its peak is read from the operating
system, less what the process holds before training on the batch: the libraries, the compiled
kernels, the network, the optimiser's moments and the input.
"""

import argparse
import json
import resource
import subprocess
import sys

STEPS = (20, 100, 500)
RULES = {
    "local, online": {"rule": "local", "update": "online"},
    "local, once a batch": {"rule": "local", "update": "sequence"},
    "backpropagation through time": {"rule": "bptt", "deep_supervision": True},
}


def measure(rule: str, steps: int, batch: int) -> dict[str, float]:
    """Train on one batch in this process and read the peak."""
    import time

    import torch

    from neurobip.config import LearnConfig, ModelConfig
    from neurobip.learning.loop import build, build_rule

    torch.set_num_threads(1)
    learn = LearnConfig(**RULES[rule])
    model = build(ModelConfig(), learn, seed=0)
    trainer = build_rule(model, learn, total_batches=10)
    events = torch.rand(20, batch, 2, 34, 34) < 0.05
    frames = events.to(torch.uint8).repeat(steps // 20, 1, 1, 1, 1)
    labels = torch.arange(batch) % 10
    # One sample for three steps: compiles kernels and makes the optimiser's moments.
    trainer.learn(frames[:3, :1], labels[:1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    trainer.learn(frames, labels)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"mib": (peak - before) / 1024, "seconds": seconds}


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
    print(f"peak memory of training, MiB; seconds a batch of {arguments.batch}")
    header = "".join(f"{f'T = {steps}':>22}" for steps in STEPS)
    print(f"{'':30}{header}")
    for rule in RULES:
        cells = []
        for steps in STEPS:
            command = [sys.executable, __file__, "--batch", str(arguments.batch)]
            command += ["--one", rule, str(steps)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:  # the operating system ended it: that is a result
                cells.append(f"{'out of memory':>22}")
                continue
            row = json.loads(done.stdout)
            cells.append(f"{row['mib']:>12.0f}{row['seconds']:>8.1f} s")
        print(f"{rule:30}{''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
