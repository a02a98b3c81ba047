"""Measuring: the order of runs, what is counted, and what the table shows."""

import gc
import json

import pytest
import torch
from harness import Claim, Table, Timing, alternate, keep, power_law, ratio_table, threads, timing
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.slow
def test_every_round_runs_everybody_once_and_warm_ups_are_not_counted():
    ran: list[str] = []
    names = ("a", "b", "c")
    found = alternate({name: lambda name=name: ran.append(name) for name in names}, 7, warm_ups=2)
    rounds = [ran[i : i + 3] for i in range(0, len(ran), 3)]
    assert len(rounds) == 9
    assert all(sorted(one) == list(names) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1  # none always follows the same one
    assert set(found) == set(names)
    assert all(t.runs == 7 for t in found.values())


def test_the_clock_sees_the_work_and_no_garbage_collection(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("harness.time.perf_counter", lambda: now[0])
    collecting = []

    def work(seconds: float):
        def run():
            collecting.append(gc.isenabled())
            now[0] += seconds

        return run

    before = gc.isenabled()
    found = alternate({"slow": work(3.0), "quick": work(1.0)}, 5)
    assert (found["slow"].median, found["quick"].median) == (3.0, 1.0)
    assert not any(collecting)
    assert gc.isenabled() is before


@pytest.mark.slow
@pytest.mark.parametrize(("each", "runs"), [(1.0, 9), (7.0, 7), (1000.0, 3)])
def test_patience_ends_the_rounds_but_never_before_three(monkeypatch, each, runs):
    now = [0.0]
    monkeypatch.setattr("harness.time.perf_counter", lambda: now[0])

    def work():
        now[0] += each

    found = alternate({"it": work}, 9, warm_ups=2, patience=60.0)
    assert found["it"] == Timing(each, each, each, runs)


def test_collection_is_on_again_after_a_failure():
    def fail():
        raise RuntimeError("no")

    before = gc.isenabled()
    with pytest.raises(RuntimeError, match="no"):
        alternate({"it": fail}, 1)
    assert gc.isenabled() is before


@pytest.mark.parametrize(("candidates", "repeats"), [({}, 3), ({"it": lambda: None}, 0)])
def test_nothing_to_measure_is_refused(candidates, repeats):
    with pytest.raises(ValueError, match="1 or more"):
        alternate(candidates, repeats)


def test_median_and_quartiles():
    assert timing([5.0, 1.0, 2.0, 4.0, 3.0]) == Timing(3.0, 2.0, 4.0, 5)
    assert timing([2.0]) == Timing(2.0, 2.0, 2.0, 1)


@given(st.floats(-2, 3), st.floats(1e-6, 1e3))
def test_power_law_finds_the_power(exponent, factor):
    sizes = [64, 256, 1024, 4096]
    fit = power_law(sizes, [factor * size**exponent for size in sizes])
    assert fit.exponent == pytest.approx(exponent, abs=1e-9)
    assert fit.factor == pytest.approx(factor, rel=1e-6)
    assert fit.r2 == pytest.approx(1.0) or abs(exponent) < 1e-3


def test_a_fixed_cost_lowers_the_exponent_and_noise_the_share_explained():
    sizes = [10, 40, 160, 640]
    assert power_law(sizes, [100.0 + size for size in sizes]).exponent < 0.6
    assert power_law(sizes, [10.0, 80.0, 100.0, 700.0]).r2 < 0.99


@pytest.mark.parametrize(("x", "y"), [([4, 4], [1, 2]), ([1, 2], [0, 1]), ([1, 2], [1])])
def test_power_law_refuses_what_has_no_slope(x, y):
    with pytest.raises(ValueError, match="two or more above 0"):
        power_law(x, y)


def test_ratios_are_to_the_base_and_to_the_floor():
    found = {"ours": Timing(0.002, 0.001, 0.003, 3), "theirs": Timing(0.009, 0.008, 0.01, 3)}
    table = ratio_table("a title", found, "ours", floor=0.001)
    assert table.columns[-2:] == ["times ours", "times the floor"]
    assert [row[-2:] for row in table.rows] == [["1.00", "2.0"], ["4.50", "9.0"]]
    assert table.rows[1][1:3] == ["9", "8 .. 10"]
    assert "floor 1 ms" in table.text()


def test_text_is_aligned():
    lines = Table("title", ["", "ms"], [["a long name", "1"], ["b", "200"]], ["a note"]).text()
    title, *rows, note = lines.splitlines()
    assert (title, note) == ("title", "a note")
    assert len({len(row) for row in rows}) == 1
    assert rows[1].startswith("a long name") and rows[2].endswith("200")


def test_claims_know_their_side():
    assert Claim("", 3.0, 2.0).kept and not Claim("", 1.0, 2.0).kept
    assert Claim("", 1.0, 2.0, at_most=True).kept and not Claim("", 3.0, 2.0, at_most=True).kept
    assert Claim("", 2.0, 2.0).kept and Claim("", 2.0, 2.0, at_most=True).kept


def test_what_is_kept_can_be_read_back(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("harness.RUNS", tmp_path / "bench")
    table = Table("a title", ["", "ms"], [["row", "1"]])
    keep("name", [table], [Claim("a claim", 1.0, 2.0)], seconds={"row": Timing(1, 1, 1, 1)})
    found = json.loads((tmp_path / "bench" / "name.json").read_text())
    assert Table(**found["tables"][0]) == table
    assert Claim(**found["claims"][0]) == Claim("a claim", 1.0, 2.0)
    assert found["raw"]["seconds"]["row"] == [1, 1, 1, 1]
    assert "a claim: 1 (asked for ≥ 2) MISSED" in capsys.readouterr().out


def test_threads_are_set_back():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError
    assert torch.get_num_threads() == before
