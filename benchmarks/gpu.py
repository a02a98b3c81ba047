"""Training on a GPU: a two-block network of 10 million weights, local and through time.

    python benchmarks/gpu.py [--device cuda] [--steps 20 200] [--repeats 5]

Time of a batch and of one of its time steps, and the peak of the memory that the device hands out
beyond network, optimiser and input. A rule that needs more memory than there is says so. With
``--smoke`` a tiny network runs once, on the CPU too, and nothing is kept: it shows that all of it
runs, not how fast.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from harness import Claim, Table, Timing, keep, timing
from network import frames_of, network
from peak import peak_mib

from neurobip import BiTFormer
from neurobip.config import LearnConfig
from neurobip.device import usable_device
from neurobip.errors import ConfigError
from neurobip.learning import calibrate
from neurobip.learning.loop import build_rule

RULES: dict[str, dict[str, object]] = {
    "local, an update every step": {"update": "online"},
    "local, an update every 5 steps": {"update": 5},
    "local, an update a batch": {"update": "sequence"},
    "through time": {"rule": {"name": "bptt", "deep_supervision": True}},
}
ONLINE = next(iter(RULES))
LARGE = {"width": 768, "hidden": 1280, "heads": 12}
TINY = {"width": 16, "hidden": 16, "heads": 2}
STILL = 1e-9
"""A learning rate as good as 0, so that no activity drifts during the measurement."""


class Cost(NamedTuple):
    """Seconds of a batch, and MiB beyond what was there before it."""

    seconds: Timing
    mib: float


def cost(work: Callable[[], object], device: torch.device, repeats: int) -> Cost:
    """Run some work until it is compiled, then measure its memory, then its time."""
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        mib = (torch.cuda.max_memory_allocated(device) - before) / 2**20
    else:
        mib = peak_mib(work)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()  # ends with numbers on the host: everything before them is done
        seconds.append(time.perf_counter() - began)
    return Cost(timing(seconds), mib)


def measured(
    model: BiTFormer, settings: dict[str, object], steps: int, batch: int, repeats: int
) -> Cost | None:
    """A rule on one batch; None where the device has not the memory for it."""
    device = next(model.parameters()).device
    frames, labels = (part.to(device) for part in frames_of(steps, batch))
    learn = LearnConfig(lr=STILL, **settings)  # type: ignore[arg-type]
    rule = build_rule(model, learn, total_batches=10**6)
    try:
        return cost(lambda: rule.learn(frames, labels), device, repeats)
    except torch.OutOfMemoryError:
        model.zero_grad()
        return None


def row(name: str, found: Cost | None, steps: int) -> list[str]:
    """A line of the table."""
    if found is None:
        return [name, "out of memory", "", "", ""]
    t = found.seconds
    spread = f"{1e3 * t.low:.3g} .. {1e3 * t.high:.3g}"
    milliseconds = f"{1e3 * t.median:.3g}", f"{1e3 * t.median / steps:.3g}"
    return [name, milliseconds[0], spread, milliseconds[1], f"{found.mib:.0f}"]


def main() -> int:
    """Print a table for every length of the sequence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="a tiny network, once")
    arguments = parser.parse_args()
    try:
        device = usable_device(arguments.device)
    except ConfigError as error:
        print(f"gpu.py: {error}; --smoke --device cpu shows that it runs", file=sys.stderr)
        return 2
    size, batch, repeats = LARGE, arguments.batch, arguments.repeats
    lengths = arguments.steps
    if arguments.smoke:
        size, batch, repeats, lengths = TINY, 2, 1, [4, 8]
    model = network(activity=None, **size).to(device)
    calibrate(model, frames_of(20, 8)[0].to(device), passes=2 if arguments.smoke else 20)
    weights = sum(parameter.numel() for parameter in model.parameters())
    tables, found = [], {}
    for steps in lengths:
        title = f"training, {weights / 1e6:.1f} M weights, batch {batch}, T = {steps}"
        columns = ["", "ms a batch", "quartiles", "ms a time step", "peak MiB"]
        table = Table(title, columns)
        for name, settings in RULES.items():
            for precision in ("fp32",) if device.type == "cpu" else ("fp32", "bf16"):
                key = f"{name}, {precision}"
                with_it = settings | {"precision": precision}
                found[key, steps] = measured(model, with_it, steps, batch, repeats)
                table.rows.append(row(key, found[key, steps], steps))
        tables.append(table)
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    tables[-1].notes.append(f"{what}, torch {torch.__version__}")
    if arguments.smoke:
        print("\n\n".join(table.text() for table in tables))
        return 0
    claims = []
    short, long = (found[f"{ONLINE}, fp32", steps] for steps in (lengths[0], lengths[-1]))
    if short and long:
        text = "memory of local learning, longest sequence over shortest"
        claims.append(Claim(text, long.mib / short.mib, 1.1, at_most=True))
    raw = {f"{name}, T = {steps}": value for (name, steps), value in found.items()}
    keep("gpu", tables, claims, timings=raw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
