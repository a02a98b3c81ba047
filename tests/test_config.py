"""Configurations: what is read, and how what does not fit is refused."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neurobip.config import LearnConfig, ModelConfig, RunConfig, load_config, make_config
from neurobip.errors import ConfigError
from neurobip.models import BiTFormerConfig


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
        ("seed: 1\nseed: 2\n", ["comes twice", "line 2"]),
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


def test_the_data_give_what_the_configuration_is_silent_about() -> None:
    silent, told = make_config({}), make_config({}, ["model.classes=4"])
    facts = {"sensor": (2, 20, 30), "input_shape": (2, 20, 30), "classes": 3}
    assert silent.model.build(facts=facts).classes == 3
    assert silent.model.build(facts=facts).input_shape == (2, 20, 30)
    assert told.model.build(facts=facts).classes == 4
    tree = yaml.safe_load(silent.to_yaml())
    assert "classes" not in tree["model"] and make_config(tree) == silent
    assert make_config(tree).model.build(facts=facts).classes == 3


def test_shuffled_time_is_off_and_comes_back_from_yaml(tmp_path: Path) -> None:
    config = make_config({}, ["data.shuffle_time=true"])
    assert config.data.shuffle_time and not RunConfig().data.shuffle_time
    assert load_config(write(tmp_path, config.to_yaml())) == config
    with pytest.raises(ConfigError, match="data.shuffle_time: got 'often'"):
        make_config({}, ["data.shuffle_time=often"])


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"model": {"top_down": 2, "depth": 0}}, "model: top_down needs a block"),
        ({"model": {"top_down": -1}}, "model.top_down: got -1"),
        ({"data": {"task": "order", "rotate": 3}}, "data: rotate, zoom and warp are for single"),
        ({"learn": {"loss": "hinge", "label_smoothing": 0.1}}, "learn: label_smoothing 0.1 is for"),
    ],
)
def test_what_does_not_go_together(tree, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_config(tree)


def test_a_bare_string_is_a_name_and_options_follow(tmp_path: Path) -> None:
    config = make_config({}, ["model=bitformer", "learn.rule=eprop", "learn.rule.symmetric=true"])
    assert config.learn.rule.name == "eprop" and config.learn.rule.symmetric is True
    assert config == load_config(write(tmp_path, config.to_yaml()))
    tree = {"learn": {"rule": {"name": "local", "feedback": "sign"}}}
    again = make_config(tree, ["learn.rule=bptt"])
    assert again.learn.rule.model_dump() == {
        "name": "bptt", "window": None, "deep_supervision": False,
    }  # fmt: skip
    assert make_config({}, ["learn.rule=reward-stdp"]).learn.rule.name == "reward_stdp"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.widht=3", "configuration: unknown key model.widht; did you mean width?"),
        ("data.stepps=5", "configuration: unknown key data.stepps; did you mean steps?"),
        ("learn.rule.feedbak=sign",
         "configuration: unknown key learn.rule.feedbak; did you mean feedback?"),
        ("model.name=bitfromer", "configuration: model.name: there is no network 'bitfromer'; did "
         "you mean bitformer? (your own: module:attribute of a module that --import names)"),
        ("learn.rule=eprp", "configuration: learn.rule: there is no rule 'eprp'; did you mean "
         "eprop? (your own: module:attribute of a module that --import names)"),
        ("model=5", "configuration: model: got 5, expected a name, or a mapping with a name and "
         "options"),
    ],
)  # fmt: skip
def test_names_and_options_are_refused_by_their_key(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({}, [override])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os:system", "is no network: "),
        ("subprocess:run", "is no network: say what the function returns, such as -> Network"),
        ("subprocess:Popen", "is no network: the class does not derive from"),
        ("neurobip.models.network:Network", "is no network: the class does not derive from"),
        ("neurobip.models.head:Head", "parameter network has no default and no plain type"),
        ("neurobip.models.sequential:Sequential", r"it takes \*parts"),
        ("neurobip.models.head:Hed", "neurobip.models.head has no 'Hed'"),
        ("nowhere:net", "'nowhere' of network 'nowhere:net' is not imported"),
    ],
)
def test_what_builds_no_network_is_not_called(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_config({"model": {"name": name}})


def test_a_name_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bait.py").write_text("raise SystemExit('was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="add --import bait, or import it before"):
        make_config({"model": {"name": "bait:Net"}})


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (BiTFormerConfig, {"widht": 3}, "BiTFormerConfig: unknown key widht; did you mean width?"),
        (BiTFormerConfig, {"width": 50}, "BiTFormerConfig: width 50 is not a multiple of heads 4"),
        (LearnConfig, {"lr": -1}, "LearnConfig: lr: got -1, input should be greater than 0"),
        (ModelConfig, {"name": "bitformer", "dept": 1},
         "ModelConfig: unknown key dept; did you mean depth?"),
        (RunConfig, {"learn": {"lrr": 1}}, "RunConfig: unknown key learn.lrr; did you mean lr?"),
    ],
)  # fmt: skip
def test_a_section_in_python_is_refused_as_in_a_file(section, values, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        section(**values)
    assert str(caught.value) == message


def test_signature_and_help_show_plain_types() -> None:
    parameters = inspect.signature(BiTFormerConfig).parameters
    assert str(parameters["width"]) == "width: int = 48"
    assert str(parameters["sensor"]) == "sensor: tuple[int, int, int] = (2, 34, 34)"
    assert parameters["attention"].default == "linear"
    assert str(inspect.signature(LearnConfig).parameters["lr"]) == "lr: float = 0.002"
    text = pydoc.render_doc(BiTFormerConfig, renderer=pydoc.plaintext)
    assert "width: int = 48" in text
    for word in ("Annotated", "FieldInfo", "pydantic_core", "model_validate", "BeforeValidator"):
        assert word not in text
