"""The command line of a network on a machine without torch: ``python run.py frames.npy``.

It is part of the package that :mod:`neurobip.converters.lava.package.package` writes, and needs
numpy and Lava alone. Exit codes: 0 is done, 1 is done with records that differ from those expected,
2 is bad input, with a message of one line.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from neurobip.atomic import atomic_file
from neurobip.converters.graph.file import DAMAGE, load
from neurobip.converters.lava.frames import SAMPLES_PER_RUN, as_input
from neurobip.converters.lava.launch import simulate
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.errors import ConversionError, NeurobipError

NETWORK = "network.npz"
"""Name of the quantized graph in the folder of a package."""

Record = dict[str, np.ndarray]


class Parser(argparse.ArgumentParser):
    """Complains in one line, as everything else does."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print over several lines."""
        raise ConversionError(f"{message} (see --help)")


def main(folder: str | Path, arguments: list[str] | None = None) -> int:
    """Run the network of a folder as the command line says; returns the exit code."""
    try:
        return command(Path(folder), parser().parse_args(arguments))
    except NeurobipError as error:
        message = str(error)
    except KeyboardInterrupt:
        print("run.py: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        message = f"{error.filename or 'run.py'}: {error.strerror or error}"
    print(f"run.py: {' '.join(message.split())}", file=sys.stderr)
    return 2


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(prog="run.py", description="Run event counts through this network in Lava.")
    made.add_argument("frames", type=Path, help="event counts [T, B, C, H, W], a .npy file")
    made.add_argument("--out", type=Path, help="write answers and their scores to this .npz file")
    made.add_argument(
        "--record", type=Path, help="write every population at every step to this .npz file"
    )
    made.add_argument(
        "--check", type=Path, help="compare with the records in this .npz file; exit code 1 if not"
    )
    made.add_argument(
        "--timeout", type=float, default=120.0, help="seconds without progress before giving up"
    )
    return made


def command(folder: Path, options: argparse.Namespace) -> int:
    """Run, print and write by the options.

    Raises:
        ConversionError: bad input, Lava is missing or failed.
    """
    if not options.timeout > 0:
        raise ConversionError(f"--timeout {options.timeout:g}: expected seconds above 0")
    network = load(folder / NETWORK)
    if not isinstance(network, QuantizedGraph):
        raise ConversionError(f"{folder / NETWORK}: holds no quantized graph")
    frames = read_frames(options.frames, network)
    expected = read_record(options.check, network, frames) if options.check else None
    if importlib.util.find_spec("lava") is None or importlib.util.find_spec("lava.magma") is None:
        raise ConversionError("Lava is not installed here; see README.md for how to install it")
    parts = []
    for begin, part in split(frames):
        parts.append(
            simulate(network, part, timeout=options.timeout, on_step=progress(begin, frames))
        )
        if not options.record and expected is None:
            parts[-1] = {name: parts[-1][name] for name in network.graph.outputs}
    record = {name: np.concatenate([part[name] for part in parts], 1) for name in parts[0]}
    scores = score(network, record)
    for sample, row in enumerate(scores):
        best = int(row.argmax())
        print(f"sample {sample}: {best}  ({row[best]:.6g})")
    if options.out:
        write_record(options.out, {"answers": scores.argmax(1), "scores": scores})
    if options.record:
        write_record(options.record, record)
    return 0 if expected is None else compare(record, expected)


def split(frames: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Frames in parts that one run of Lava takes, each with its first sample."""
    for begin in range(0, frames.shape[1], SAMPLES_PER_RUN):
        yield begin, frames[:, begin : begin + SAMPLES_PER_RUN]


def progress(begin: int, frames: np.ndarray) -> Any:
    """Progress of a run for a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        line = f"\rsamples from {begin} of {frames.shape[1]}: step {done} of {total} "
        print(line, end=end, file=sys.stderr, flush=True)

    return show


def score(network: QuantizedGraph, record: Mapping[str, np.ndarray]) -> np.ndarray:
    """What each class gathered: the last output summed over time, in the model's units.

    Shape:
        ``[B, classes]``, potentials of a readout or spike counts.
    """
    name = network.graph.outputs[-1]
    summed = record[name].sum(0, dtype=np.int64)
    return summed.reshape(len(summed), -1) * network.unit(name)


def compare(record: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> int:
    """Print where two records differ; returns the exit code."""
    total, width = 0, max(map(len, record))
    print(f"{'population':{width}}  {'outputs':>10}  {'mismatches':>10}  first step")
    for name, wanted in expected.items():
        differs = record[name] != wanted
        count = int(np.count_nonzero(differs))
        first = np.flatnonzero(differs.reshape(len(differs), -1).any(1))
        step = str(first[0]) if count else ""
        print(f"{name:{width}}  {np.count_nonzero(wanted):>10}  {count:>10}  {step}".rstrip())
        total += count
    print(f"{total} mismatches")
    return 1 if total else 0


def read_frames(path: Path, network: QuantizedGraph) -> np.ndarray:
    """Event counts from a file, as 32-bit numbers, saturated as the network's input says.

    Raises:
        ConversionError: no such file, no array, another shape, or numbers that are no counts.
    """
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise ConversionError(f"{path}: there is no such file") from None
    except DAMAGE as error:
        raise ConversionError(f"{path}: damaged or no .npy array of numbers ({error})") from None
    if not isinstance(frames, np.ndarray):
        raise ConversionError(f"{path}: holds several arrays; expected a .npy file with one")
    try:
        return as_input(network, frames)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None


def read_record(path: Path, network: QuantizedGraph, frames: np.ndarray) -> Record:
    """What the integer simulator recorded of every population.

    Raises:
        ConversionError: no such file, damaged, or of other frames or another network.
    """
    if not path.is_file():
        raise ConversionError(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            record = {name: file[name] for name in file.files}
    except DAMAGE as error:
        raise ConversionError(f"{path}: damaged or no .npz archive ({error})") from None
    wanted = {p.name: (*frames.shape[:2], *p.shape) for p in network.graph.populations}
    found = {name: array.shape for name, array in record.items()}
    if found != wanted:
        name = next(n for n in [*wanted, *found] if found.get(n) != wanted.get(n))
        raise ConversionError(
            f"{path}: belongs to other frames or another network: {name} has shape "
            f"{found.get(name)}, here {wanted.get(name)}"
        )
    return record


def write_record(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as .npz, under any names; ``numpy.savez`` reserves some."""
    with atomic_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
