"""The configuration of a run: what data, what network, how it learns.

A configuration is one YAML file with the sections ``data``, ``model`` and ``learn`` and a ``seed``.
Every key has a default; an unknown key or a value that does not fit is refused by its dotted name.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

from neurobip.errors import ConfigError


def _no_bool(value: Any) -> Any:
    # pydantic takes true for 1; in a configuration it is a slip.
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Index = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Seed = Annotated[int, BeforeValidator(_no_bool), Field(ge=0, lt=2**63)]
Positive = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, allow_inf_nan=False)]
Decay = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, le=1)]


def _pace(value: Any) -> Any:
    # One sentence instead of pydantic's one for each side of a union.
    steps = isinstance(value, int) and not isinstance(value, bool) and value >= 2
    if not steps and value not in ("online", "sequence"):
        raise ValueError("expected online (at every step), sequence, or a number of steps from 2")
    return value


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Which recordings, how they are binned and how they are split.

    ``steps`` bins of ``window_ms`` milliseconds make a sample; what comes later is dropped. The
    test set is fold ``fold`` of ``folds`` by hash of the sample's name, and ``valid_fraction`` of
    the rest is held out to choose the epoch. Training samples are moved by up to ``shift`` pixels,
    turned by up to ``rotate`` degrees and zoomed by up to the share ``zoom``. ``seed`` is that of
    simulated recordings.
    """

    name: Literal["nmnist", "saccade_digits"] = "saccade_digits"
    root: Path | None = None
    steps: Count = 20
    window_ms: Annotated[Positive, Field(le=3_600_000)] = 15.0
    samples: Count | None = None
    folds: Annotated[Count, Field(ge=2)] = 5
    fold: Index = 0
    valid_fraction: Annotated[NotNegative, Field(lt=1)] = 0.1
    shift: Index = 2
    rotate: NotNegative = 0.0
    zoom: Annotated[NotNegative, Field(lt=1)] = 0.0
    batch: Count = 32
    workers: Index = 0
    cache: Path | None = None
    seed: Seed = 0

    @property
    def window_us(self) -> int:
        """Length of a time bin in microseconds."""
        return round(self.window_ms * 1000)

    @field_serializer("root", "cache")
    def _path_as_text(self, value: Path | None) -> str | None:
        return None if value is None else str(value)

    @model_validator(mode="after")
    def _fits(self) -> DataConfig:
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} does not exist among {self.folds} folds")
        if self.window_us < 1:
            raise ValueError(f"window_ms {self.window_ms} is less than a microsecond")
        return self


class ModelConfig(Section):
    """The architecture of a :class:`~neurobip.models.bitformer.BiTFormer`.

    Two networks with equal ``ModelConfig`` have the same tensors, by name and shape; a checkpoint
    loads into no other.

    ``retina`` is ``event`` (four types of ganglion cells), ``motion`` (four direction selective
    types beside them) or ``none``. The spikes of the last block come back after ``top_down`` steps
    as currents into the embedding, and after ``retina_gain`` steps as gain of the ganglion cells.

    Units:
        decays: fraction lost in a time step; patch, stride, padding: pixels; surrogate_width and
        shortcut: firing thresholds; top_down, retina_gain: time steps, 0 is no feedback at all.
    """

    sensor: tuple[Count, Count, Count] = (2, 34, 34)
    classes: Annotated[Count, Field(ge=2)] = 10
    retina: Literal["event", "motion", "none"] = "event"
    width: Count = 48
    hidden: Count = 96
    depth: Index = 2
    heads: Count = 4
    attention: Literal["linear", "masked", "query-key", "none"] = "linear"
    memory_shift: Annotated[Index, Field(le=12)] = 2
    top_down: Index = 0
    retina_gain: Index = 0
    patch: Count = 7
    stride: Count = 4
    padding: Index = 2
    decay_v: Decay = 0.25
    readout_decay: Decay = 0.125
    shortcut: NotNegative = 1.125
    surrogate_width: Positive = 1.0

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        channels, height, width = self.sensor
        if channels != 2:
            raise ValueError(f"sensor has {channels} channels, events have 2 polarities")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if min(height, width) + 2 * self.padding < self.patch:
            raise ValueError(
                f"a patch of {self.patch} with padding {self.padding} is larger than the "
                f"sensor of {height} x {width}"
            )
        for name in ("top_down", "retina_gain"):
            if getattr(self, name) and not self.depth:
                raise ValueError(f"{name} needs a block to come from, depth is 0")
        if self.retina_gain and self.retina == "none":
            raise ValueError("retina_gain needs a retina to go to, retina is none")
        return self

    @property
    def heard(self) -> str:
        """Which of queries, keys and values the attention takes."""
        return {"linear": "qkv", "masked": "qkv", "query-key": "qk", "none": "v"}[self.attention]

    @property
    def loops(self) -> bool:
        """Whether anything comes back from above, so that a step has to wait for the last one."""
        return bool(self.top_down or self.retina_gain)

    @property
    def loop(self) -> int:
        """Connections from the embedding through all blocks and back, on the longest way.

        Where every connection takes a time step, as in Lava, it is the shortest ``top_down`` that
        the loop can keep. A block has four connections (into queries, out, up, down), and the
        attention as many more as follow one another in it.
        """
        inside = {"linear": 1, "masked": 3, "query-key": 2, "none": 0}[self.attention]
        return self.depth * (4 + inside) + 1

    def fingerprint(self) -> str:
        """SHA-256 of the architecture, the same for equal configurations."""
        # A setting that came later counts where it is used: older checkpoints keep their prints.
        later = {name for name in ("top_down", "retina_gain") if not getattr(self, name)}
        text = json.dumps(self.model_dump(mode="json", exclude=later), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class LearnConfig(Section):
    """How the network learns.

    ``warmup_steps`` time steps at the start of each sample pass without learning. ``freeze`` makes
    the controls: ``qk`` leaves queries and keys random, ``features`` trains the readouts alone,
    ``feedforward`` them and what comes back from above.
    ``select`` says which epoch a run answers with: the ``last``, at which the learning rate has
    come down, or that with the least loss on validation samples; with few of those the last is
    safer. With ``weight_bits`` the network learns with weights rounded as on a chip. ``update``
    says when the weights of the local rule move: at every step (``online``), after a number of
    steps, or once a ``sequence``. With ``overlap`` its stages learn side by side on that many
    threads, to the same result. ``precision`` is that of matrix products, of which half
    (``bf16``) is for GPUs; membranes, traces and weights are kept in single precision.
    """

    rule: Literal["local", "bptt"] = "local"
    locality: Literal["block", "aligned"] = "block"
    update: Annotated[Literal["online", "sequence"] | int, BeforeValidator(_pace)] = "online"
    overlap: Count = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    deep_supervision: bool = False
    epochs: Index = 8
    lr: Positive = 2e-3
    weight_decay: NotNegative = 0.0
    warmup_steps: Index = 2
    calibrate: bool = True
    freeze: Literal["none", "qk", "features", "feedforward"] = "none"
    select: Literal["last", "validation"] = "last"
    weight_bits: Annotated[int, Field(ge=2, le=8)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> LearnConfig:
        if self.rule == "local" and self.locality == "aligned" and self.weight_decay == 0:
            raise ValueError(
                "locality aligned needs a weight_decay above 0, such as 0.3: without forgetting "
                "where they began, feedback and weights do not become alike"
            )
        if self.rule != "local" and self.overlap > 1:
            raise ValueError(
                f"overlap {self.overlap} needs the rule local: backpropagation goes back through "
                "all blocks, so that none can go ahead"
            )
        return self


class RunConfig(Section):
    """Everything that a run depends on."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    learn: LearnConfig = LearnConfig()
    seed: Seed = 0

    @model_validator(mode="after")
    def _fits(self) -> RunConfig:
        if self.learn.warmup_steps >= self.data.steps:
            raise ValueError(
                f"learn.warmup_steps {self.learn.warmup_steps} leaves nothing to learn from in "
                f"data.steps {self.data.steps}"
            )
        if self.model.retina_gain and self.learn.locality == "aligned":
            raise ValueError(
                "model.retina_gain does not go with learn.locality aligned: the embedding sends "
                "its error down through its own weights; use block"
            )
        if self.model.retina_gain and self.learn.weight_bits is not None:
            raise ValueError(
                "model.retina_gain does not go with learn.weight_bits: no chip has a threshold "
                "that later spikes move"
            )
        if self.learn.freeze == "feedforward" and not self.model.loops:
            raise ValueError(
                "learn.freeze feedforward leaves feedback to learn, and there is none; set "
                "model.top_down or model.retina_gain, or freeze features"
            )
        for name in ("top_down", "retina_gain"):
            delay = getattr(self.model, name)
            if delay >= self.data.steps:
                raise ValueError(
                    f"model.{name} {delay} is no shorter than data.steps {self.data.steps}: "
                    "nothing would ever come back"
                )
            if delay and self.learn.overlap > 1:
                raise ValueError(
                    f"learn.overlap {self.learn.overlap} does not go with model.{name}: the first "
                    "block waits for the last one at every step"
                )
        return self

    def to_yaml(self) -> str:
        """The configuration as YAML that :func:`load_config` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number and a key may stand only once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else repr(key))
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a YAML configuration, with ``key=value`` overrides such as ``learn.lr=0.002``.

    Raises:
        ConfigError: the file is missing or no YAML, a key is unknown, a value does not fit; the
            message is one line and names the dotted key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; give a YAML configuration") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from None
    tree = _parse(text, str(path))
    if tree is None:
        raise ConfigError(f"{path}: the file is empty; it needs at least one section, such as data")
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: the top level is a {type(tree).__name__}; expected the keys "
            f"{', '.join(RunConfig.model_fields)}"
        )
    return make_config(tree, overrides, where=str(path))


def make_config(
    tree: Mapping[str, Any], overrides: Iterable[str] = (), where: str = "configuration"
) -> RunConfig:
    """Check a nested mapping, after ``key=value`` overrides; see :func:`load_config`."""
    tree = {key: dict(part) if isinstance(part, Mapping) else part for key, part in tree.items()}
    for override in overrides:
        _set(tree, override)
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(f"{where}: {'; '.join(map(_sentence, error.errors()))}") from None


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}{place}: not valid YAML: {problem}") from None


def _set(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"override {override!r}: expected key=value, such as learn.lr=0.002")
    place: Any = tree
    for i, part in enumerate(parts[:-1]):
        if place.get(part) is None:
            place[part] = {}
        place = place[part]
        if not isinstance(place, dict):
            raise ConfigError(f"override {override!r}: {'.'.join(parts[: i + 1])} has no keys")
    place[parts[-1]] = _parse(value, f"override {override!r}")


def _sentence(error: Any) -> str:
    """One problem: the dotted key, what came, what fits."""
    path = [str(part) for part in error["loc"]]
    name = ".".join(path)
    if error["type"] == "extra_forbidden":
        known = _keys(path[:-1])
        close = difflib.get_close_matches(path[-1], known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
        return f"unknown key {name}; {hint}"
    if error["type"] == "model_type":
        return f"{name}: got {_short(error['input'])}, expected the keys {', '.join(_keys(path))}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if error["type"] == "value_error" and len(path) < 2:
        return f"{name}: {message}" if name else message
    return f"{name}: got {_short(error['input'])}, {message}"


def _keys(path: list[str]) -> list[str]:
    section: Any = RunConfig
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
