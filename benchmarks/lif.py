"""One layer of leaky integrate-and-fire neurons over time: forward, and forward and backward.

    python benchmarks/lif.py [--repeats 15] [--no-compile]

The same currents for all, drawn so that about 15 % of the neurons fire at a step; reset to zero,
detached, a leak of a quarter a step, a triangle as surrogate. All spikes are compared first.
SpikingJelly fires at ``v >= threshold``, the others above it: the same where no membrane hits the
threshold exactly. The floor forward is a copy of the tensor, which reads and writes as much;
forward and backward read the currents, write the spikes, read the error and one of membrane or
current, and write the error of the currents: five passes over memory, two and a half copies.
"""

import argparse
import shutil
import time
from collections.abc import Callable

import torch
from harness import Claim, Table, Work, alternate, keep, ratio, ratio_table, threads
from machine import cores
from peers import installed
from torch import Tensor

from neurobip.neurons import LIF

OURS, COPY = "neurobip LIF", "a copy of the tensor"
PEERS = {"snnTorch": "snnTorch Leaky", "SpikingJelly": "SpikingJelly LIFNode", "Norse": "Norse LIF"}


class Spike(torch.autograd.Function):
    """Step forward, triangle backward: what everybody writes for himself."""

    @staticmethod
    def forward(ctx, distance: Tensor) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (distance,) = ctx.saved_tensors
        return gradient * (1 - distance.abs()).clamp(min=0)


def plain(x_seq: Tensor) -> Tensor:
    """The neuron as a loop in plain torch."""
    v, spikes = torch.zeros_like(x_seq[0]), []
    for x in x_seq:
        v = 0.75 * v + x
        z = Spike.apply(v - 1.0)
        v = v * (1 - z.detach())
        spikes.append(z)
    return torch.stack(spikes)


def layers(size: int, compiled: bool) -> dict[str, Callable[[Tensor], Tensor]]:
    """Every implementation as a function of the currents, from rest."""
    ours = LIF(size, decay_v=0.25, bias=False)
    chosen: dict[str, Callable[[Tensor], Tensor]] = {OURS: lambda x: ours(x)[0]}
    for name, module in installed().items():
        if name == "SpikingJelly":
            from spikingjelly.activation_based import functional

            node = module.population()
            # Setting the state back is part of a batch there, as starting from None is here.
            chosen[PEERS[name]] = lambda x, node=node: (functional.reset_net(node), node(x))[1]
        else:
            chosen[PEERS[name]] = module.Population()
    chosen["a loop in plain torch"] = plain
    if compiled:
        chosen["the loop, torch.compile"] = torch.compile(plain)
    return chosen


def backward(layer: Callable[[Tensor], Tensor], x: Tensor, error: Tensor) -> Work:
    """Work that runs a layer forward and an error back to its currents."""

    def run() -> None:
        x.grad = None
        layer(x).backward(error)

    return run


def forward(layer: Callable[[Tensor], Tensor], x: Tensor) -> Work:
    """Work that runs a layer without a graph."""

    def run() -> None:
        with torch.no_grad():
            layer(x)

    return run


def check(chosen: dict[str, Callable[[Tensor], Tensor]], x: Tensor) -> float:
    """The share of neurons that fire, after all were found to fire alike.

    Raises:
        SystemExit: two implementations differ in more than one spike of a million.
    """
    with torch.no_grad():
        expected = plain(x)
        for name, layer in chosen.items():
            began = time.perf_counter()
            differing = float((layer(x) != expected).double().mean())
            if "compile" in name:
                print(f"torch.compile took {time.perf_counter() - began:.0f} s, forward alone")
            if differing > 1e-6:  # the order of two roundings
                raise SystemExit(f"{name}: {differing:.2%} of the spikes differ")
    return float(expected.mean())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[20, 64, 4096], metavar="N")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    compiled = not arguments.no_compile and shutil.which("g++") is not None
    chosen = layers(arguments.shape[-1], compiled)
    x = torch.randn(arguments.shape) * 0.6 + 0.22
    with threads(1):
        active = check(chosen, x)
    target, learned, error = torch.empty_like(x), x.clone().requires_grad_(), torch.rand_like(x)
    copy = {COPY: lambda: target.copy_(x)}
    tables: list[Table] = []
    claims: list[Claim] = []
    raw = {}
    for count in sorted({1, cores()}):
        with threads(count):
            ahead = {name: forward(layer, x) for name, layer in chosen.items()}
            ahead = alternate(copy | ahead, arguments.repeats)
            both = {name: backward(layer, learned, error) for name, layer in chosen.items()}
            both = alternate(copy | both, arguments.repeats)
        on = f"on {count} thread{'s' * (count > 1)}"
        at = f"LIF {arguments.shape}, {100 * active:.0f} % active, {on}"
        tables.append(ratio_table(f"{at}: forward", ahead, OURS, ahead[COPY].median))
        tables.append(
            ratio_table(f"{at}: forward and backward", both, OURS, 2.5 * both[COPY].median)
        )
        claims.append(
            Claim(f"LIF forward over a copy, {on}", ratio(ahead[OURS], ahead[COPY]), 2, True)
        )
        for peer, bound in (("SpikingJelly", 3), ("snnTorch", 5)):
            if PEERS[peer] in both:
                what = f"LIF forward and backward, {peer} over neurobip, {on}"
                claims.append(Claim(what, ratio(both[PEERS[peer]], both[OURS]), bound))
        raw[count] = {"forward": ahead, "both": both}
    keep("lif", tables, claims, timings=raw, activity=active)


if __name__ == "__main__":
    main()
