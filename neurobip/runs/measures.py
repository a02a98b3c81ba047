"""What is measured on a trained network besides its accuracy: energy, integers, Lava."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from neurobip.converters.graph.graph import Graph
from neurobip.converters.lava.install import installed
from neurobip.converters.lava.verify import verify
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.qat import learned_bits
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.energy import INT8_45NM, TABLES, EnergyTable, count, dense_joules, joules
from neurobip.errors import ConfigError, ConversionError
from neurobip.models.network import Network
from neurobip.runs.data import Batches
from neurobip.runs.output import Output
from neurobip.runs.run import Run


def energy_table(name: str) -> EnergyTable:
    """A table by its name.

    Raises:
        ConfigError: no such table; names those that there are.
    """
    if name not in TABLES:
        raise ConfigError(f"--table {name}: there is no such table; known: {', '.join(TABLES)}")
    return TABLES[name]


def energy_of(run: Run, samples: int, table: EnergyTable, out: Output) -> dict[str, Any]:
    """Energy of one test sample by layer, and its sum by every table.

    ``dense_pj`` is the same network without spikes in 8-bit integers, run once a sample.
    """
    out.say(f"counting operations on {min(samples, len(run.data.split.test))} test samples")
    layers = count(run.network, run.data.part("test", samples))
    return {
        "model": table.name,
        "samples": min(samples, len(run.data.split.test)),
        "layers": [
            {
                "name": layer.name,
                "acs": layer.acs,
                "macs": layer.macs,
                "updates": layer.updates,
                "spikes": layer.spikes,
                "neurons": layer.neurons,
                "pj": joules(layer, table),
                "dense_pj": dense_joules(layer, INT8_45NM),
            }
            for layer in layers
        ],
        "total_pj": sum(joules(layer, table) for layer in layers),
        "dense_pj": sum(dense_joules(layer, INT8_45NM) for layer in layers),
        "all_tables_pj": {
            name: sum(joules(layer, other) for layer in layers) for name, other in TABLES.items()
        },
        "source": table.source,
        "assumes": table.assumes,
    }


def integers(network: Network, weight_bits: int | None = None) -> tuple[Graph, QuantizedGraph]:
    """The graph of a network, in its own numbers and in integers.

    ``weight_bits`` are those of the weights that learn, 8 if nothing is said.
    """
    graph = to_graph(network)
    return graph, quantize(graph, learned_bits(network, weight_bits or 8))


@torch.no_grad()
def integer_accuracy(
    network: Network, quantized: QuantizedGraph, data: Batches
) -> dict[str, Any]:
    """Accuracy of the integer network, whose answer is taken from its outputs as the network's."""
    integer = IntegerNetwork(quantized)
    correct, samples = 0, 0
    for frames, labels in data:
        outputs, _ = integer.potentials(frames)
        correct += int((network.decide(outputs) == labels).sum())
        samples += len(labels)
    return {"accuracy": correct / samples, "samples": samples}


def require_lava() -> None:
    """Check that Lava is installed, before an hour of work rather than after it.

    Raises:
        ConversionError: it is not.
    """
    missing = [name for name, version in installed().items() if version is None]
    if missing:
        raise ConversionError(f"{', '.join(missing)}: not installed; run 'neurobip install-lava'")


def lava_check(
    quantized: QuantizedGraph, frames: Tensor, out: Output, *, timeout: float = 120.0
) -> dict[str, Any]:
    """Samples through Lava and through the integer network, compared layer by layer.

    Shape:
        frames ``[T, B, C, H, W]``.

    Raises:
        ConversionError: Lava is missing or failed.
    """
    began = time.perf_counter()
    out.say(f"running {frames.shape[1]} samples through Lava")
    with out.progress("Lava") as advance:
        result = verify(quantized, frames, timeout=timeout, on_step=advance)
    return {
        "samples": result.samples,
        "steps": result.steps,
        "mismatches": result.mismatches,
        "seconds": round(time.perf_counter() - began, 3),
        "layers": [
            {
                "name": layer.name,
                "neurons": quantized.graph[layer.name].size,
                "spikes": layer.spikes,
                "mismatches": layer.mismatches,
                "first_step": layer.first_step,
                "overflows": layer.overflows,
            }
            for layer in result.layers
        ],
    }
