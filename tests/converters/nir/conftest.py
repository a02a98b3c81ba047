"""Shared by the NIR tests: a slow reference that runs NIR graphs node by node."""

from __future__ import annotations

from collections import deque

import nir
import numpy as np
import pytest
import torch
from torch.nn import functional

DT = 1e-4


class SlowNIR:
    """A NIR graph of spiking neurons and layers, by forward Euler, one sample, node by node.

    Args:
        cells: the neurons, in the order in which they are updated.
        late: edges from neurons that bring the spikes of the last step.
    """

    def __init__(self, graph: nir.NIRGraph, cells: list[str], late: set[tuple[str, str]]) -> None:
        self.graph, self.cells, self.late = graph, cells, late
        self.state: dict[str, dict[str, np.ndarray]] = {name: {} for name in cells}
        self.past: dict[str, np.ndarray] = {}
        self.lines: dict[str, deque] = {}

    def step(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Every neuron's output at the next step."""
        now: dict[str, np.ndarray] = {"input": x}
        for name in self.cells:
            now[name] = self.neuron(self.graph.nodes[name], self.sum(name, now), self.state[name])
        # Lines that nothing read in this step still move on.
        for name, node in self.graph.nodes.items():
            if isinstance(node, nir.Delay):
                self.value(name, now)
        self.past = now
        return now

    def sum(self, name: str, now: dict[str, np.ndarray]) -> np.ndarray:
        """What reaches a node."""
        parts = []
        for a, b in self.graph.edges:
            if b == name and (a, b) in self.late:
                parts.append(self.past.get(a, self.silent(a)))
            elif b == name:
                parts.append(self.value(a, now))
        return np.sum(parts, axis=0)

    def silent(self, name: str) -> np.ndarray:
        node = self.graph.nodes[name]
        return np.zeros_like(node.v_threshold if hasattr(node, "v_threshold") else node.threshold)

    def value(self, name: str, now: dict[str, np.ndarray]) -> np.ndarray:
        """What a node sends."""
        if name not in now:
            now[name] = self.layer(self.graph.nodes[name], name, self.sum(name, now))
        return now[name]

    def layer(self, node, name: str, x: np.ndarray) -> np.ndarray:
        match node:
            case nir.Affine():
                return node.weight @ x + node.bias
            case nir.Linear():
                return node.weight @ x
            case nir.Scale():
                return node.scale * x
            case nir.Flatten():
                first, last = node.start_dim % x.ndim, node.end_dim % x.ndim
                return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])
            case nir.Delay():
                line = self.lines.setdefault(name, deque())
                line.append(x)
                steps = round(float(node.delay.flat[0]) / DT)
                return line[-1 - steps] if len(line) > steps else np.zeros_like(x)
            case nir.Conv1d() | nir.Conv2d():
                apply = functional.conv1d if isinstance(node, nir.Conv1d) else functional.conv2d
                weight, bias = torch.tensor(node.weight), torch.tensor(node.bias)
                pads = (node.stride, node.padding, node.dilation, node.groups)
                return apply(torch.tensor(x)[None], weight, bias, *pads)[0].numpy()
            case nir.SumPool2d() | nir.AvgPool2d():
                kernel, stride, padding = (
                    tuple(int(n) for n in part)
                    for part in (node.kernel_size, node.stride, node.padding)
                )
                mean = functional.avg_pool2d(torch.tensor(x)[None], kernel, stride, padding)[0]
                return mean.numpy() * (1 if isinstance(node, nir.AvgPool2d) else np.prod(kernel))
        raise TypeError(node)

    def neuron(self, node, x: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
        if isinstance(node, nir.Threshold):
            return (x > node.threshold).astype(float)
        reset = getattr(node, "v_reset", 0.0)
        v = state.get("v", reset + np.zeros_like(x))
        if isinstance(node, nir.CubaLIF | nir.CubaLI):
            i = state.get("i", np.zeros_like(x))
            state["i"] = x = i + DT / node.tau_syn * (node.w_in * x - i)
        if isinstance(node, nir.IF | nir.I):
            v = v + DT * node.r * x
        else:
            tau = node.tau_mem if isinstance(node, nir.CubaLIF | nir.CubaLI) else node.tau
            v = v + DT / tau * (node.v_leak - v + node.r * x)
        if isinstance(node, nir.LI | nir.CubaLI | nir.I):
            state["v"] = v
            return v
        z = v > node.v_threshold
        state["v"] = np.where(z, reset, v)
        return z.astype(float)


@pytest.fixture(scope="session")
def slow_nir() -> type[SlowNIR]:
    return SlowNIR
