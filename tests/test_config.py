"""Configurations: what is read, and how what does not fit is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neurobip.config import ModelConfig, RunConfig, load_config, make_config
from neurobip.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = make_config({}, ["data.root=/some/where", "model.depth=1", "learn.lr=3e-4", "seed=7"])
    assert load_config(write(tmp_path, config.to_yaml())) == config


def test_overrides_win_and_read_plain_exponents(tmp_path: Path) -> None:
    path = write(tmp_path, "learn: {lr: 0.5, epochs: 3}\n")
    config = load_config(path, ["learn.lr=2e-3", "model.attention=masked", "data.samples=null"])
    assert config.learn.lr == 0.002
    assert config.learn.epochs == 3
    assert config.model.attention == "masked"
    assert config.data.samples is None


@given(lr=st.floats(1e-9, 1e3), epochs=st.integers(0, 10**6))
def test_any_fitting_value_survives(lr: float, epochs: int) -> None:
    config = make_config({}, [f"learn.lr={lr!r}", f"learn.epochs={epochs}"])
    assert (config.learn.lr, config.learn.epochs) == (lr, epochs)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("learn.lrr=1", ["learn.lrr", "did you mean lr"]),
        ("modle.width=8", ["modle", "did you mean model"]),
        ("learn.zzz=1", ["learn.zzz", "known:", "epochs"]),
        ("learn.lr=-1", ["learn.lr", "-1", "greater than 0"]),
        ("learn.lr=.inf", ["learn.lr", "inf", "finite"]),
        ("learn.lr=.nan", ["learn.lr", "nan"]),
        ("learn.epochs=2.5", ["learn.epochs", "2.5", "integer"]),
        ("learn.epochs=true", ["learn.epochs", "True", "number"]),
        ("learn=5", ["learn", "5", "epochs"]),
        ("data.name=cifar", ["data.name", "cifar", "nmnist"]),
        ("data.fold=7", ["data", "fold 7", "5 folds"]),
        ("model.width=50", ["model", "50", "heads 4"]),
        ("model.sensor=[1,34,34]", ["model", "1 channels", "2 polarities"]),
        ("model.patch=99", ["model", "99", "34 x 34"]),
        ("learn.warmup_steps=20", ["warmup_steps", "20"]),
        ("learn.lr", ["learn.lr", "key=value"]),
        ("=3", ["key=value"]),
        ("seed=1: 2: 3", ["seed", "YAML"]),
    ],
)
def test_misfits_are_named_in_one_line(override: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({}, [override])
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("- a\n- b\n", ["top level", "list"]),
        ("learn: {lr: [\n", ["not valid YAML", "line"]),
        ("seed: 1\nseed: 2\n", ["stands twice", "line 2"]),
        ("learn: !!python/object/apply:os.system ['true']\n", ["not valid YAML"]),
    ],
)
def test_bad_files_say_where(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in [str(path), *words]:
        assert word in message


def test_missing_folder_or_binary_file(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(ConfigError, match=str(path)):
            load_config(path)


def test_every_misfit_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({"learn": {"lr": 0, "epochs": -1}})
    assert "learn.lr" in str(caught.value) and "learn.epochs" in str(caught.value)


@pytest.mark.parametrize("pace", [0, 1, -3, True, 2.5, "3", "often", [2], None])
def test_when_weights_move_is_refused_in_one_sentence(pace) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({"learn": {"update": pace}})
    assert str(caught.value) == (
        f"configuration: learn.update: got {pace!r}, expected online (at every step), sequence, "
        "or a number of steps from 2"
    )


@pytest.mark.parametrize("pace", ["online", "sequence", 2, 500])
def test_when_weights_move_comes_back_from_yaml(pace) -> None:
    config = make_config({"learn": {"update": pace}})
    assert config.learn.update == pace
    assert make_config(yaml.safe_load(config.to_yaml())) == config


def test_fingerprint_follows_the_architecture() -> None:
    same = ModelConfig(width=64)
    assert same.fingerprint() == ModelConfig(width=64).fingerprint()
    assert same.fingerprint() != ModelConfig(width=60).fingerprint()
    assert RunConfig(seed=3).model.fingerprint() == RunConfig(seed=4).model.fingerprint()
    assert ModelConfig(top_down=1).fingerprint() != ModelConfig().fingerprint()


def test_checkpoints_of_before_keep_their_fingerprint() -> None:
    """A setting that came later and is not used does not count."""
    whole = ModelConfig().model_dump(mode="json")
    for later in ("top_down", "top_down_threshold", "merge", "answer_steps"):
        assert whole.pop(later) == 0
    assert whole.pop("merged") == 96 and whole.pop("connectivity") == "full"
    text = json.dumps(whole, sort_keys=True)
    assert ModelConfig().fingerprint() == hashlib.sha256(text.encode()).hexdigest()


def test_shuffled_time_is_off_and_comes_back_from_yaml(tmp_path: Path) -> None:
    config = make_config({}, ["data.shuffle_time=true"])
    assert config.data.shuffle_time and not RunConfig().data.shuffle_time
    assert load_config(write(tmp_path, config.to_yaml())) == config
    assert config.model.fingerprint() == RunConfig().model.fingerprint()
    with pytest.raises(ConfigError, match="data.shuffle_time: got 'often'"):
        make_config({}, ["data.shuffle_time=often"])


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"model": {"top_down": 2, "depth": 0}}, "model: top_down needs a block"),
        ({"model": {"top_down": 20}}, "model.top_down 20 is no shorter than the 20 steps"),
        ({"model": {"top_down": -1}}, "model.top_down: got -1"),
    ],
)
def test_feedback_that_cannot_be(tree, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_config(tree)
