"""The page: claims first, tables as they were printed, nothing that has not run."""

import json
from dataclasses import asdict

import pytest
import run
from harness import Claim, Table
from machine import Rates, floor_seconds
from report import page, write


def result(folder, name, claims=()):
    document = {
        "name": name,
        "command": f"python benchmarks/{name}.py --repeats 3",
        "tables": [asdict(Table(f"table of {name}", ["", "ms"], [["row", "12"]]))],
        "claims": [asdict(claim) for claim in claims],
        "others": 0.25,
        "raw": {},
    }
    (folder / f"{name}.json").write_text(json.dumps(document))


def test_page_holds_what_has_run(tmp_path):
    result(tmp_path, "training", [Claim("quick", 4.0, 3.0), Claim("small", 9.0, 2.0, True)])
    result(tmp_path, "lif")
    (tmp_path / "binning.txt").write_text("only printed\n")
    text = write(tmp_path).read_text()
    assert "1 of 2 bounds kept" in text
    assert "| quick | 4 | ≥ 3 | kept |" in text
    assert "| small | 9 | ≤ 2 | **missed** |" in text
    assert text.index("table of lif") < text.index("table of training") < text.index("only printed")
    assert "`python benchmarks/lif.py --repeats 3`" in text
    assert text.count("other work took 25 % of the machine meanwhile") == 2
    assert "Memory of training" not in text


def test_page_of_nothing(tmp_path):
    assert "|" not in page(tmp_path)


def test_names_of_scripts():
    assert run.chosen("training lif") == ["lif", "training"]
    assert {"machine", "memory", "binning", "simulator"} <= set(run.chosen(None))
    with pytest.raises(SystemExit) as ended:
        run.chosen("lif,lfi")
    assert ended.value.code == 2


def test_floor_is_the_slower_of_moving_and_multiplying():
    rate = Rates(bandwidth=10e9, flops=100e9)
    assert floor_seconds(rate, moved=20e9, operations=100e9) == 2.0
    assert floor_seconds(rate, moved=1e9, operations=300e9) == 3.0
