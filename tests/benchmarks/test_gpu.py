"""The measurement for a GPU runs to its end, or says in one line why it cannot."""

import re
import sys

import gpu
import pytest


def called(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
    return gpu.main()


def test_every_rule_on_a_tiny_network(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "keep", lambda *_, **__: pytest.fail("a smoke test is no result"))
    assert called(monkeypatch, "--smoke", "--device", "cpu") == 0
    short, long = capsys.readouterr().out.split("\n\n")
    assert "T = 4" in short and "T = 8" in long
    for rule in gpu.RULES:
        for table, steps in ((short, 4), (long, 8)):
            (row,) = (line for line in table.splitlines() if line.startswith(f"{rule}, fp32"))
            batch, step = (float(cell) for cell in re.split("  +", row)[1:4:2])
            assert step == pytest.approx(batch / steps, rel=0.02)


def test_a_machine_without_the_device_ends_in_one_line(monkeypatch, capsys):
    assert called(monkeypatch, "--device", "cuda:99") == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1 and "cuda:99" in said.err


def test_what_does_not_fit_is_told():
    assert gpu.row("a rule", None, 20)[:2] == ["a rule", "out of memory"]
