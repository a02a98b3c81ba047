"""The table of rules: every name of the command line, the best rate on validation data."""

from typing import get_args

import rules as script

from neurobip.config import load_config
from neurobip.config.named import RULES, names
from neurobip.learning.feedback import Feedback


def row(rule: str, lr: str, valid: float, test: float, options: str = "") -> dict[str, str]:
    values = {"rule": rule, "options": options, "lr": lr, "valid": valid, "test": test,
              "samples": 100, "chance": 0.1, "seconds": 3.4}  # fmt: skip
    return {key: str(value) for key, value in values.items()}


def test_every_rule_and_every_feedback_is_a_configuration():
    found = script.conditions()
    assert {rule for rule, _, _ in found} == set(names(RULES))
    assert {options for rule, options, _ in found if rule == "local"} == set(get_args(Feedback))
    for rule, options, changes in found:
        for lr in script.RATES:
            learn = load_config(script.CONFIG, [*changes, f"learn.lr={lr}"]).learn
            assert (learn.rule.name, str(learn.lr)) == (rule, str(float(lr)))
            assert not options or learn.rule.feedback == options


def test_validation_data_choose_the_rate():
    rows = [row("ottt", "1", 0.5, 0.9), row("ottt", "2", 0.7, 0.6), row("ottt", "3", 0.7, 0.8)]
    rows += [row("local", "1", 0.2, 0.3, "sign"), row("local", "1", 0.1, 0.1, "random")]
    assert script.chosen(rows) == [rows[1], rows[3], rows[4]]
    assert "| `ottt` | 60.0 | 2 | 3 | 10 |" in script.table(rows)
    assert "| `local`, `sign` | 30.0 | 1 | 3 | 10 |" in script.table(rows)


def test_the_page_shows_the_results():
    rows, text = script.known(), script.DOCUMENT.read_text(encoding="utf-8")
    assert {(r["rule"], r["options"]) for r in rows} == {(r, o) for r, o, _ in script.conditions()}
    assert {r["lr"] for r in rows} == set(script.RATES)
    assert script.BEGIN in text and script.written(text, rows) == text
    altered = text.replace(script.table(rows), "")
    assert script.written(altered, rows) == text != altered
    assert script.written("no marks", rows) == "no marks"
