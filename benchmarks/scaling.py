"""How time grows with the tokens of a frame and with the length of a sequence.

    python benchmarks/scaling.py [--repeats 5]

The exponent is that of a power law through all sizes, by least squares on logarithms. Fixed costs
of a small network pull it below 1, caches that overflow push it above. One thread. Attention whose
cost grew with the square of the tokens would show an exponent of 2 in the larger sizes, so that of
the upper half is shown next to it.
"""

import argparse
import copy

import torch
from harness import Claim, Table, Timing, alternate, keep, power_law, threads
from network import frames_of, network
from torch import Tensor

from neurobip import BiTFormer
from neurobip.config import LearnConfig
from neurobip.learning.loop import build_rule

EDGES = (8, 16, 32, 64)  # tokens in a row: 64 .. 4096 in all
STEPS = (10, 40, 160, 640)
FORMS = ("linear", "masked")


def sensor(edge: int) -> tuple[int, int, int]:
    """A sensor whose patches of 7 pixels, 4 apart, make ``edge`` x ``edge`` tokens."""
    return 2, 4 * edge + 2, 4 * edge + 2


def measure(model: BiTFormer, frames: Tensor, labels: Tensor, repeats: int) -> dict[str, Timing]:
    """Inference and a step of local learning on the same frames."""
    learn = LearnConfig(lr=1e-9)
    rule = build_rule(copy.deepcopy(model), learn, total_batches=10**6)

    @torch.no_grad()
    def infer() -> None:
        # A step at a time, as over a stream: the outputs are kept, states are not.
        state = None
        for frame in frames:
            _, state = model.step(frame, state)

    chosen = {"inference": infer, "local training": lambda: rule.learn(frames, labels)}
    return alternate(chosen, repeats, warm_ups=1)


def rows(
    what: str, sizes: tuple[int, ...], taken: dict[int, dict[str, Timing]], form: str
) -> tuple[list[list[str]], list[Claim]]:
    """Milliseconds by size, the exponents, and what was promised of them."""
    lines, claims = [], []
    for kind in ("inference", "local training"):
        seconds = [taken[size][kind].median for size in sizes]
        fit, upper = power_law(sizes, seconds), power_law(sizes[-2:], seconds[-2:])
        cells = [f"{1e3 * s:.3g}" for s in seconds]
        lines.append(
            [f"{form} attention, {kind}", *cells, f"{fit.exponent:.3f}", f"{upper.exponent:.3f}"]
        )
        name = f"exponent of time in {what}, {form} attention, {kind}"
        claims.append(Claim(name, fit.exponent, 1.05, at_most=True))
    return lines, claims


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    tokens = tuple(edge**2 for edge in EDGES)
    heads = ["exponent", "of the last two"]
    by_tokens = Table("ms against tokens, batch 2, T = 10", ["", *map(str, tokens), *heads])
    by_steps = Table("ms against T, batch 4, 64 tokens", ["", *map(str, STEPS), *heads])
    claims: list[Claim] = []
    raw: dict[str, object] = {}
    with threads(1):
        for form in FORMS:
            taken = {}
            for edge, size in zip(EDGES, tokens, strict=True):
                frames, labels = frames_of(10, 2, sensor=sensor(edge))
                model = network(frames, attention=form, sensor=sensor(edge))
                taken[size] = measure(model, frames, labels, arguments.repeats)
            lines, found = rows("tokens", tokens, taken, form)
            by_tokens.rows += lines
            claims += found
            model, lengths = network(attention=form), {}
            for steps in STEPS:
                frames, labels = frames_of(steps, 4)
                lengths[steps] = measure(model, frames, labels, arguments.repeats)
            lines, found = rows("T", STEPS, lengths, form)
            by_steps.rows += lines
            claims += found
            raw[form] = {"tokens": taken, "steps": lengths}
    keep("scaling", [by_tokens, by_steps], claims, timings=raw)


if __name__ == "__main__":
    main()
