"""What a conversion made of every layer, and what each target writes."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from torch import Tensor

from neurobip.converters.graph.file import DAMAGE, FORMAT, save
from neurobip.converters.graph.graph import Graph
from neurobip.converters.graph.synapse_nodes import kind
from neurobip.converters.lava.frames import SAMPLES_PER_RUN
from neurobip.converters.lava.install import installed
from neurobip.converters.lava.package.package import check_free, write_package
from neurobip.converters.lava.schedule import Schedule, schedule
from neurobip.converters.netx.fit import fit
from neurobip.converters.netx.write import message_bits, write_netx
from neurobip.converters.nir import to_nir, write_nir
from neurobip.converters.nir.nodes import Extension
from neurobip.converters.quantization.calibration import overflow
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError
from neurobip.runs.output import Output
from neurobip.runs.sources import Source

Document = dict[str, Any]


def check_out(source: Path, out: Path, target: str) -> None:
    """Check that something can be written there, before an hour of work rather than after it.

    Only what the same target wrote before is ever replaced.

    Raises:
        ConversionError: it is the source, a folder where a file is to be, a file or somebody's
            folder where a Lava folder is to be, a file of another kind, or in no folder that can be
            written to.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise ConversionError(f"--out {out}: is what is converted; name another file")
    above = next(folder for folder in out.resolve().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ConversionError(f"--out {out}: {above} is no folder that can be written to")
    if target == "lava":
        check_free(out)
    elif out.is_dir():
        raise ConversionError(f"--out {out}: is a folder; name a file")
    elif out.exists() and not written_before(out, target):
        raise ConversionError(
            f"--out {out}: is a file that --to {target} did not write; name a new one or move it "
            "away"
        )


def written_before(out: Path, target: str) -> bool:
    """Whether a file is of the format that a target writes."""
    if not out.is_file():
        return False
    try:
        if target == "integer":
            with open(out, "rb") as opened, np.load(opened, allow_pickle=False) as archive:
                return bool(json.loads(archive["header"].tobytes())["format"] == FORMAT)
        with h5py.File(out, "r") as file:
            return ("node" if target == "nir" else "layer") in file
    except DAMAGE:
        return False


@contextmanager
def asked_for(out: Path) -> Iterator[None]:
    """Name the file that was asked for, not the hidden one that comes before it, if writing fails.

    Raises:
        ConversionError: the system does not let it be written.
    """
    try:
        yield
    except OSError as error:
        raise ConversionError(f"--out {out}: {error.strerror or error}") from None


def some(source: Source, samples: int) -> Tensor | None:
    """Test samples, None where there are no recordings or none are wanted."""
    return source.frames(samples) if samples and source.data is not None else None


def to_integers(source: Source, out: Path, calibrate: int, samples: int, say: Output) -> Document:
    """Write the quantized graph as one file."""
    quantized = source.quantized(calibrate, say)
    document = report(quantized, some(source, samples))
    with asked_for(out):
        save(quantized, out)
    return document | {"bytes": out.stat().st_size}


def to_lava(source: Source, out: Path, calibrate: int, samples: int, say: Output) -> Document:
    """Write the quantized graph as a folder that runs in Lava by itself.

    Raises:
        ConversionError: Lava cannot hold the network, or the folder could not give its answer;
            nothing is written.
    """
    if source.answer_steps:
        raise ConversionError(
            f"this network answers by its last {source.answer_steps} steps (model.answer_steps), "
            "a folder for Lava sums over all; verify runs it in Lava, or convert --to integer"
        )
    quantized = source.quantized(calibrate, say)
    schedule(quantized.graph)
    built = None not in installed().values()
    if built:
        say.say("building the Lava processes")
        build_lava(quantized)
    else:
        say.say("Lava is not installed here, so that its processes are built where the folder runs")
    frames = some(source, samples)
    document = report(quantized, frames)
    folder = out.resolve()
    if folder == Path.cwd():
        say.say(f"--out {out}: this folder is replaced; 'cd .' shows your shell the new one")
    with asked_for(out):
        files = write_package(quantized, folder, frames)
    size = sum((folder / name).stat().st_size for name in files)
    return document | {"bytes": size, "files": files, "built": built}


def to_netx(source: Source, out: Path, calibrate: int, samples: int, say: Output) -> Document:
    """Write the HDF5 that ``lava.lib.dl.netx`` reads.

    Raises:
        ConversionError: netx cannot hold the network; nothing is written.
    """
    quantized = fit(source.quantized(calibrate, say))
    document = report(quantized, some(source, samples))
    with asked_for(out):
        write_netx(quantized, out)
    bits = message_bits(quantized.graph)
    return document | {"bytes": out.stat().st_size, "input_message_bits": bits}


def to_nir_file(source: Source, out: Path, dt: float | None) -> Document:
    """Write the network, as it is before rounding, in NIR."""
    seconds = source.dt if dt is None else dt
    graph = to_nir(source.graph, seconds)
    with asked_for(out):
        write_nir(graph, out)
    own = {name: n.node for name, n in graph.nodes.items() if isinstance(n, Extension)}
    standard = (type(n).__name__ for name, n in graph.nodes.items() if name not in own)
    return {
        "dt": seconds,
        "nodes": dict(sorted(Counter(standard).items())),
        "extensions": dict(sorted(Counter(kind(n) for n in own.values()).items())),
        "bytes": out.stat().st_size,
    }


def report(quantized: QuantizedGraph, frames: Tensor | None) -> Document:
    """What rounding did to every layer, and what its states do on some samples.

    Shape:
        frames ``[T, B, C, H, W]``.
    """
    overflows = {} if frames is None else overflow(quantized, [frames])
    timing: Schedule | None = None
    reason = None
    try:
        timing = schedule(quantized.graph)
    except ConversionError as error:
        reason = str(error)
    layers = [
        {
            "name": layer.name,
            "neurons": quantized.graph[layer.name].size,
            "weight_bits": layer.weight_bits,
            "scale": layer.scale,
            "threshold": layer.threshold,
            "exponents": list(layer.exponents),
            "largest_weight": layer.largest_weight,
            "weight_error": layer.weight_error,
            "clipped": layer.clipped,
            "largest_current": layer.largest_current,
            "capacity": layer.capacity,
            "overflow": overflows.get(layer.name),
            "latency_steps": timing.latency[layer.name] if timing else None,
            "delay_steps": waits(timing, layer.name) if timing else None,
        }
        for layer in quantized.layers
    ]
    return {
        "samples": 0 if frames is None else frames.shape[1],
        "largest_count": quantized.graph.input.neuron.largest,  # type: ignore[union-attr]
        "latency_steps": timing.longest if timing else None,
        "no_lava": reason,
        "layers": layers,
    }


def before_rounding(graph: Graph, frames: Tensor) -> dict[str, int]:
    """How many outputs of every population are not 0, before anything is rounded.

    Shape:
        frames ``[T, B, C, H, W]``.
    """
    network = FloatNetwork(graph)
    total = dict.fromkeys((population.name for population in graph.populations), 0)
    for part in frames.split(SAMPLES_PER_RUN, dim=1):
        state = None
        for frame in part:
            outputs, state = network.step(frame, state)
            for name, z in outputs.items():
                total[name] += int(z.count_nonzero())
    return total


def waits(timing: Schedule, name: str) -> int:
    """The longest delay in a connection into a population, with which Lava evens out its paths."""
    return max((wait for (to, *_), wait in timing.delay.items() if to == name), default=0)


def build_lava(quantized: QuantizedGraph) -> None:
    """Build every Lava process of a network, without running it.

    Raises:
        ConversionError: Lava is missing, or the network cannot be built.
    """
    from neurobip.converters.lava.network import LavaNetwork

    LavaNetwork(quantized.graph, np.zeros((1, quantized.graph.input.size), dtype=np.int32), 1)
