"""The experiments: every run has a configuration that fits, and the docs read their results."""

import csv
from pathlib import Path

import experiments as script

from neurobip.config import make_config


def everything():
    return [(n, c) for n, plan in script.experiments().items() for c in plan["conditions"]]


def row_of(name, condition, seed, accuracy):
    row = dict.fromkeys(script.FIELDS, "0")
    row |= {"experiment": name, "condition": condition, "seed": str(seed)}
    return row | {"accuracy": str(accuracy), "settings": script.digest(row)}


def test_every_condition_is_a_configuration():
    for name, condition in everything():
        for seed in range(5):
            tree, changes = script.settings(Path("runs"), name, condition, seed)
            config = make_config(tree, changes, where=f"{name}, {condition}")
            assert config.seed == config.data.fold == seed
            encoder = script.experiments()[name].get("encoder")
            assert (config.learn.encoder is None) == (encoder is None)


def test_conditions_differ_in_what_they_say():
    for name, plan in script.experiments().items():
        changes = [tuple(change) for change in plan["conditions"].values()]
        assert len(set(changes)) == len(changes), name


def test_encoders_fit_the_heads_on_them():
    """What comes before the blocks has to be of one shape; the number of digits may differ."""
    plans = script.experiments()
    same = ("retina", "width", "merge", "merged", "patch", "stride", "padding")
    for name, plan in plans.items():
        if "encoder" in plan:
            this, other = (
                make_config(*script.settings(Path("runs"), n, "local", 0)).model
                for n in (name, plan["encoder"])
            )
            assert [getattr(this, k) for k in same] == [getattr(other, k) for k in same]
            assert list(plans).index(plan["encoder"]) < list(plans).index(name)


def test_results_of_other_settings_are_not_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(script, "RESULTS", tmp_path / "results.csv")
    name, condition = everything()[0]
    good = row_of(name, condition, 0, 0.9)
    stale = row_of(name, condition, 1, 0.1) | {"settings": "of before"}
    gone = row_of(name, condition, 2, 0.1) | {"condition": "no such condition"}
    script.save([good, stale, gone])
    assert script.known(tmp_path) == [good]
    shown = script.table(name, [good, row_of(name, condition, 1, 0.92)])
    assert f"| {condition} | 91.00 ± 1.41 |  | 2 |" in shown


def test_conditions_are_compared_on_equal_seeds():
    name, (first, other) = "recall", ("local", "no attention")
    rows = [row_of(name, first, s, a) for s, a in ((0, 0.9), (1, 0.8), (2, 0.1))]
    rows += [row_of(name, other, s, a) for s, a in ((0, 0.7), (1, 0.5))]
    shown = script.table(name, rows)
    assert f"| {other} | 60.00 ± 14.14 | -25.00 ± 7.07 | 2 |" in shown


def test_a_row_depends_on_the_settings_of_its_encoder_too(monkeypatch):
    plans = script.experiments()
    name = next(name for name, plan in plans.items() if "encoder" in plan)
    row = {"experiment": name, "condition": "local", "seed": "0"}
    before = script.digest(row)
    plans[plans[name]["encoder"]]["learn"]["epochs"] += 1
    monkeypatch.setattr(script, "experiments", lambda: plans)
    assert script.digest(row) != before


def test_a_table_is_written_between_its_marks_alone():
    name, condition = everything()[0]
    text = f"before\n<!-- results: {name} -->\nold\n<!-- end of results -->\nafter\n"
    rows = [row_of(name, condition, 0, 0.5)]
    once = script.written(text, rows)
    assert once.startswith("before\n") and once.endswith("\nafter\n") and "old" not in once
    assert f"| {condition} | 50.00 |  | 1 |" in once
    assert script.written(once, rows) == once


def test_the_docs_show_what_the_results_say():
    with script.RESULTS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows and all(row["settings"] == script.digest(row) for row in rows)
    document = script.DOCUMENT.read_text(encoding="utf-8")
    assert script.written(document, rows) == document
    for name in {row["experiment"] for row in rows}:
        assert f"<!-- results: {name} -->" in document
