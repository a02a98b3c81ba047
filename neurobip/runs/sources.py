"""What ``convert`` and ``verify`` start from: a run, or a network of another framework in NIR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from neurobip.converters.graph.graph import Graph
from neurobip.converters.lowering import to_graph
from neurobip.converters.nir import assumptions, from_nir, from_norse, read_nir
from neurobip.converters.nir.metadata import DT
from neurobip.converters.quantization.calibration import observe
from neurobip.converters.quantization.qat import learned_bits
from neurobip.converters.quantization.quantize import Bits, quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConfigError, ConversionError
from neurobip.runs.data import Data
from neurobip.runs.output import Output
from neurobip.runs.run import load_run, one_thread, open_run

NIR = ".nir"
"""Suffix of a NIR file, which a run does not have."""


class Source(NamedTuple):
    """A network before anything is rounded.

    Attributes:
        graph: its populations, in floating point.
        dt: seconds of a time step.
        bits: bits of a weight that it was trained for, by population.
        data: the recordings of a run, where they were asked for.
        answer_steps: steps at the end that give the answer; 0 is all.
    """

    graph: Graph
    dt: float
    bits: Bits = 8
    data: Data | None = None
    answer_steps: int = 0

    def quantized(self, calibrate: int, out: Output) -> QuantizedGraph:
        """The network in integers, its scales from ``calibrate`` training samples if not 0."""
        peaks = None
        if calibrate and self.data is not None:
            out.say(f"observing {min(calibrate, len(self.data.split.train))} training samples")
            peaks = observe(self.graph, frames_of(self.data, "train", calibrate))
        return quantize(self.graph, self.bits, peaks)

    def frames(self, samples: int) -> Tensor:
        """Test samples, evenly spaced.

        Shape:
            ``[T, B, C, H, W]``.

        Raises:
            ConfigError: the recordings were not opened.
        """
        if self.data is None:
            raise ConfigError("samples: this network was opened without recordings")
        return torch.cat(list(frames_of(self.data, "test", samples)), dim=1)


def frames_of(data: Data, part: str, samples: int) -> Iterator[Tensor]:
    """The frames of some samples, batch by batch."""
    return (frames for frames, _ in data.part(part, samples))


def open_trained(
    folder: Path, bits: int | None, overrides: Sequence[str], recordings: bool, out: Output
) -> Source:
    """A run.

    Args:
        bits: bits of the weights that learned; as the run was trained, or 8, if None.
        overrides: such as ``data.root=...``, where the recordings have moved.
        recordings: open them too.

    Raises:
        CheckpointError, ConfigError, DataError, ConversionError: as the parts do.
    """
    data: Data | None = None
    if recordings:
        _, network, checkpoint, data = open_run(folder, overrides, out)
    else:
        one_thread()
        network, checkpoint = load_run(folder)
    config = checkpoint.config
    assert config is not None  # of a run there is one
    chosen = learned_bits(network, bits or config.learn.weight_bits or 8)
    seconds = config.data.window_ms / 1000
    return Source(to_graph(network), seconds, chosen, data, network.answer_steps)


def open_nir(
    path: Path, bits: int | None, dt: float | None, dialect: str, largest: int, out: Output
) -> Source:
    """A network in NIR, read as the framework that wrote it means it.

    Raises:
        ConversionError: as :func:`~neurobip.converters.nir.from_nir` does, after the file's name.
    """
    one_thread()
    graph = read_nir(path)
    noted = graph.metadata.get("dt") if isinstance(graph.metadata, dict) else None
    if dt is None and noted is None:
        dt = 1e-3 if dialect == "norse" else DT
        out.say(f"{path} has no time step: {dt:g} s is taken; --dt names another")
    try:
        seconds = float(noted) if dt is None else dt  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ConversionError(f"{path}: its time step is {noted!r}; --dt names another") from None
    try:
        if dialect == "norse":
            read = from_norse(graph, seconds, largest=largest)
        else:
            equal = dialect == "spikingjelly"
            read = from_nir(graph, seconds, fires_at_threshold=equal, largest=largest)
    except ConversionError as error:
        raise ConversionError(f"{path}: {in_options(str(error))}") from None
    for assumption in assumptions(graph):
        out.say(f"{path}: {assumption}")
    return Source(read, seconds, bits or 8)


def in_options(message: str) -> str:
    """What the reader of NIR advises, in the options of the command line."""
    advice = {"give its dt": "give its --dt", "from_norse": "--dialect norse"}
    for function, option in advice.items():
        message = message.replace(function, option)
    return message


def noise(source: Source, samples: int, steps: int, rate: float) -> Tensor:
    """Random spikes for a network that comes without recordings, the same every time.

    Shape:
        ``[T, B, C, H, W]``, 1 with the probability ``rate``.
    """
    shape = steps, samples, *source.graph.input.shape
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(shape, generator=generator) < rate).to(torch.uint8)


def refuse(what: str, why: str, options: Mapping[str, object]) -> None:
    """Refuse options that do not go with a source or a target.

    Raises:
        ConfigError: one of them was given.
    """
    for name, value in options.items():
        if value is not None and value != 0:
            raise ConfigError(f"{name} does not fit: {what} {why}")
