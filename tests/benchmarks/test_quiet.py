"""What others did is what all did less what this process did."""

import pytest
import quiet


@pytest.fixture
def clocks(monkeypatch):
    """Seconds on the wall, of all cores, of this process; the test moves them."""
    now = {"wall": 100.0, "busy": 50.0, "own": 3.0}
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(quiet, "_busy", lambda: now["busy"])
    monkeypatch.setattr(quiet, "_own", lambda: now["own"])
    monkeypatch.setattr(quiet.os, "cpu_count", lambda: 2)
    return now


@pytest.mark.parametrize(
    ("busy", "own", "share"), [(10.0, 10.0, 0.0), (15.0, 10.0, 0.25), (9.9, 10.0, 0.0)]
)
def test_share_of_others(clocks, busy, own, share):
    others = quiet.Others()
    clocks["wall"] += 10
    clocks["busy"] += busy
    clocks["own"] += own
    assert others.share() == pytest.approx(share)


def test_nothing_is_said_where_nothing_is_known(clocks, monkeypatch):
    monkeypatch.setattr(quiet, "_busy", lambda: None)
    others = quiet.Others()
    clocks["wall"] += 10
    assert others.share() is None


def test_this_process_is_not_another():
    busy = quiet._busy()
    if busy is None:
        pytest.skip("the operating system does not report the work of all processes")
    assert busy > quiet._own() >= 0
