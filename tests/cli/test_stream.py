"""A streamed recording is answered as the same recording in frames; bad files end in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurobip.cli.main import run
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.quantized import QuantizedGraph
from neurobip.converters.simulators.event_driven import EventDrivenInteger
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.datasets.events import bin_events, make_events
from neurobip.datasets.files import write_nmnist
from neurobip.datasets.saccade_digits import SaccadeDigits
from neurobip.errors import DataError
from neurobip.runs.run import load_run
from neurobip.runs.streaming import Binning, Summary, stream

SENSOR = (2, 34, 34)
WINDOW = 50_000
STEPS = 6


@pytest.fixture(scope="session")
def digits(own_cache: None) -> SaccadeDigits:
    return SaccadeDigits(samples=3, steps=STEPS, window_us=WINDOW)


@pytest.fixture(scope="session")
def integers(small_run: Path) -> QuantizedGraph:
    return quantize(to_graph(load_run(small_run)[0]))


def twice(events: np.ndarray) -> np.ndarray:
    """A recording followed by itself, the second time upside down."""
    later = events.copy()
    later["t"] += STEPS * WINDOW
    later["y"] = 33 - later["y"]
    both = np.concatenate([events, later])
    return both[np.argsort(both["t"], kind="stable")]


@pytest.mark.slow
@pytest.mark.parametrize("reset", [0, STEPS, 4])
def test_every_answer_is_that_of_frames(
    integers: QuantizedGraph, digits: SaccadeDigits, reset: int
) -> None:
    events = twice(digits.events(0))
    binning = Binning(SENSOR, WINDOW, reset)
    steps = binning.bins(events)
    frames = torch.from_numpy(bin_events(events, SENSOR, steps, WINDOW))[:, None]
    parts = frames.split(reset or steps)
    network = IntegerNetwork(integers)
    wanted = torch.cat([network.potentials(part)[0][:, -1, 0].double().cumsum(0) for part in parts])
    answers = list(stream(EventDrivenInteger(integers), events, binning, 0))
    assert torch.equal(torch.stack([a.potentials for a in answers]), wanted)
    assert [a.events for a in answers] == frames.flatten(1).sum(1).tolist()
    assert wanted[-1].abs().max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [["--integer"], []])
def test_as_evaluated(
    small_run: Path, integers: QuantizedGraph, digits: SaccadeDigits, command: Any, tmp_path: Path,
    kind: list[str],
) -> None:  # fmt: skip
    model = load_run(small_run)[0]
    for i in range(len(digits)):
        np.save(tmp_path / "digit.npy", digits.events(i))
        words = [small_run, tmp_path / "digit.npy", "--speed", 0, "--repeat", 2, *kind]
        document = command("stream", *words)
        frames = digits[i][0][:, None]
        with torch.no_grad():
            network = IntegerNetwork(integers).potentials if kind else model
            potentials, _ = network(frames)
        first = document["answers"][0]
        assert (first["begin_ms"], first["end_ms"]) == (0, STEPS * WINDOW / 1000)
        assert first["answer"] == int(model.decide(potentials)[0])
        wanted = potentials[:, -1, 0].double().sum(0)
        torch.testing.assert_close(
            torch.tensor(first["potentials"]).double(), wanted, rtol=1e-4, atol=1e-4
        )
        assert document["events"] == 2 * len(digits.events(i))
        assert document["reset_every"] == STEPS
        assert not document["interrupted"]
        order = document["latency_ms"]
        assert 0 < order["p50"] <= order["p95"] <= order["p99"] <= order["max"]


class Clock:
    """A clock that only sleep and a slow network move."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += max(seconds, 1e-9)  # less would be lost beside 100


class Slow:
    """A network that answers with what it saw and takes its time."""

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        self.clock, self.seconds = clock, iter(seconds)

    def potentials(self, x_seq: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        self.clock.now += next(self.seconds)
        return x_seq.sum((2, 3, 4)).float().reshape(1, 1, 1, 1), state


def one_a_bin(bins: int) -> np.ndarray:
    return make_events(np.arange(bins) * 1000, *np.zeros((3, bins), dtype=np.int64))


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_bins_are_answered_when_they_close(speed: float) -> None:
    clock, binning = Clock(), Binning(SENSOR, 1000, 0)
    quick = Slow(clock, [0.0001] * 5)
    answers = list(stream(quick, one_a_bin(5), binning, speed, clock.read, clock.sleep))
    closes = np.arange(1, 6) * 0.001 / speed
    np.testing.assert_allclose([a.closed for a in answers], closes)
    np.testing.assert_allclose([a.began for a in answers], closes, atol=1e-9)
    np.testing.assert_allclose([a.ended for a in answers], closes + 0.0001, atol=1e-9)
    assert [int(a.potentials) for a in answers] == [1, 2, 3, 4, 5]


def test_a_late_network_catches_up_and_leaves_nothing_out() -> None:
    clock, binning = Clock(), Binning(SENSOR, 1000, 0)
    slow = Slow(clock, [0.0035, *[0.0001] * 6])
    summary = Summary(binning, 1.0)
    for answer in stream(slow, one_a_bin(7), binning, 1.0, clock.read, clock.sleep):
        summary.time(answer)
        summary.add_answer(answer)
    # Bin 0 is there 3.5 ms after its close, bins 1 to 3 come at once behind it.
    wanted = [3.5, 2.6, 1.7, 0.8, 0.1, 0.1, 0.1]
    np.testing.assert_allclose(1000 * np.array(summary.latencies), wanted, atol=1e-6)
    document = summary.document()
    assert document["late"] == 3
    assert document["steps"] == document["events"] == 7
    assert document["real_time_factor"] == pytest.approx(7 / 4.1)
    assert document["latency_ms"]["max"] == pytest.approx(3.5)


def test_short_and_far_recordings() -> None:
    assert Binning(SENSOR, 1000, 20).bins(one_a_bin(3)) == 20, "enough for one answer"
    assert Binning(SENSOR, 1000, 20).bins(one_a_bin(33)) == 33
    assert Binning(SENSOR, 1000, 0).bins(one_a_bin(3)) == 3
    far = one_a_bin(3)
    far["t"] += 1_700_000_000_000_000
    with pytest.raises(DataError, match=r"last event is at 17.* Subtract the first"):
        Binning(SENSOR, 1000, 0).bins(far)


def test_interrupted(
    small_run: Path, digits: SaccadeDigits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def three(*arguments: Any) -> Any:
        for k, answer in enumerate(stream(*arguments)):
            if k == 3:
                raise KeyboardInterrupt
            yield answer

    monkeypatch.setattr("neurobip.runs.streaming.stream", three)
    write_nmnist(tmp_path / "digit.bin", digits.events(0))
    assert run(["stream", str(small_run), str(tmp_path / "digit.bin"), "--speed", "0"]) == 130
    shown = capsys.readouterr().out
    assert "3 of 50 ms" in shown and "latency p99" in shown and "interrupted" in shown


def fields(t: list[float], x: list[int], kind: str = "i8") -> np.ndarray:
    made = np.zeros(len(t), dtype=[("t", kind), ("x", "i4"), ("y", "i4"), ("p", "i1")])
    made["t"], made["x"] = t, x
    return made


BAD: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("nowhere.bin", lambda path: None, ["cannot be read"]),
    ("empty.bin", lambda path: path.write_bytes(b""), ["empty"]),
    ("cut.bin", lambda path: path.write_bytes(b"\x01\x02\x03"), ["3 bytes"]),
    ("words.txt", lambda path: path.write_text("1 2 3 4"), [".txt", ".bin, .events, .npy"]),
    ("words.npy", lambda path: path.write_text("1 2 3 4"), ["no array of numpy"]),
    ("pickled.npy", lambda path: np.save(path, np.array([{}])), ["no array of numpy"]),
    ("plain.npy", lambda path: np.save(path, np.zeros((3, 4))), ["fields t, x, y, p"]),
    ("none.npy", lambda path: np.save(path, fields([], [])), ["no events"]),
    ("nan.npy", lambda path: np.save(path, fields([np.nan], [1], "f8")), ["float64", "integers"]),
    ("back.npy", lambda path: np.save(path, fields([9, 2], [1, 1])), ["times must not fall"]),
    ("wide.npy", lambda path: np.save(path, fields([1], [40])), ["x=40", "0..33"]),
    ("far.npy", lambda path: np.save(path, fields([2**60], [1])), ["Subtract the first"]),
]


@pytest.mark.parametrize(("name", "write", "words"), BAD, ids=[name for name, *_ in BAD])
def test_bad_files(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str,
    write: Callable[[Path], object], words: list[str],
) -> None:  # fmt: skip
    write(tmp_path / name)
    assert run(["stream", str(small_run), str(tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = [line for line in said.err.splitlines() if line.startswith("neurobip: ")]
    assert all(word in line for word in [name, *words]), line


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--speed", "-1"], "--speed"), (["--weight-bits", "4"], "--weight-bits"),
     (["--speed", "nan"], "--speed"), (["--repeat", "0"], "--repeat")],
)  # fmt: skip
def test_options_that_do_not_fit(
    small_run: Path, capsys: pytest.CaptureFixture[str], options: list[str], word: str
) -> None:
    assert run(["stream", str(small_run), "x.bin", *options]) == 2
    assert word in capsys.readouterr().err


def test_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stream", str(tmp_path / "nowhere"), "x.bin"]) == 2
    assert "no checkpoint" in capsys.readouterr().err
