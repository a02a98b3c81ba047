"""Checkpoints: one safetensors file that holds a run as it stood after an epoch.

The file has the tensors of the network (``model.*``), those of the learning rule (``rule.*``) and
the state of torch's generator (``rng``); the configuration, the epoch and the history are JSON in
its header. Nothing in it can execute, and since it is one file its parts always belong together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from neurobip.atomic import write_atomic
from neurobip.config import ModelConfig, RunConfig, load_config, make_config
from neurobip.constants import constants
from neurobip.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from neurobip.models.bitformer import BiTFormer

FORMAT = "neurobip-checkpoint-1"
LAST = "checkpoint.safetensors"
BEST = "best.safetensors"
CONFIG = "config.yaml"
FIXED = tuple(f"retina.{n}" for n in ("bipolar.synapse.weight", "ganglion.synapse.weight",
                                      "ganglion.neuron.decay_v"))  # fmt: skip
"""Constants of the retina that earlier versions stored; they never differed."""


@dataclass
class Checkpoint:
    """A run after ``epoch`` epochs.

    Attributes:
        model, rule: tensors by name, as ``state_dict`` gives them.
        rng: state of torch's CPU generator.
        history: one JSON-able dict for every epoch so far.
    """

    config: RunConfig
    epoch: int
    model: dict[str, Tensor]
    rule: dict[str, Tensor] = field(default_factory=dict)
    rng: Tensor | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


def capture(
    config: RunConfig,
    epoch: int,
    model: nn.Module,
    rule: Mapping[str, Tensor] | None = None,
    history: list[dict[str, Any]] | None = None,
) -> Checkpoint:
    """The checkpoint of a model as it stands now, as a copy.

    Raises:
        CheckpointError: constants of the retina have learned, for which a checkpoint has no room.
    """
    check_constants(model)
    return Checkpoint(
        config=config,
        epoch=epoch,
        model={name: _copy(tensor) for name, tensor in model.state_dict().items()},
        rule={name: _copy(tensor) for name, tensor in (rule or {}).items()},
        rng=torch.get_rng_state(),
        history=list(history or []),
    )


def write(path: str | Path, checkpoint: Checkpoint) -> None:
    """Save a checkpoint; a kill at any moment leaves the earlier file or this one."""
    tensors = {f"model.{name}": _copy(tensor) for name, tensor in checkpoint.model.items()}
    tensors |= {f"rule.{name}": _copy(tensor) for name, tensor in checkpoint.rule.items()}
    if checkpoint.rng is not None:
        tensors["rng"] = checkpoint.rng
    header = {
        "format": FORMAT,
        "fingerprint": checkpoint.config.model.fingerprint(),
        "config": json.dumps(checkpoint.config.model_dump(mode="json")),
        "epoch": str(checkpoint.epoch),
        "history": json.dumps(checkpoint.history),
    }
    write_atomic(path, save(tensors, header))


def read(path: str | Path) -> Checkpoint:
    """Load a checkpoint.

    Raises:
        CheckpointError: no such file, not a whole safetensors file, not a checkpoint of ours, or
            one whose configuration this version does not know.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no checkpoint; train first, or name another run")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({error}); restore it or train again"
        ) from None
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: its format is {header.get('format')!r}, expected {FORMAT!r}; "
            "it was not written by this version of neurobip"
        )
    try:
        config = make_config(json.loads(header["config"]), where="its configuration")
        epoch, history = int(header["epoch"]), json.loads(header["history"])
    except (ConfigError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: the header does not fit: {error}") from None
    if header.get("fingerprint") != config.model.fingerprint():
        raise CheckpointError(
            f"{path}: the fingerprint is not that of its own model section; the file was edited"
        )
    return Checkpoint(
        config=config,
        epoch=epoch,
        model=_below("model.", tensors),
        rule=_below("rule.", tensors),
        rng=tensors.get("rng"),
        history=history,
    )


def restore(model: nn.Module, checkpoint: Checkpoint, where: str = "checkpoint") -> None:
    """Put a checkpoint's tensors into a network of the same architecture.

    Raises:
        CheckpointError: another architecture; the message names the first key that differs. The
            model is then unchanged.
    """
    config = getattr(model, "config", None)
    if isinstance(config, ModelConfig):
        check_architecture(config, checkpoint.config.model, where)
    ours = model.state_dict()
    stored = {name: t for name, t in checkpoint.model.items() if name not in FIXED}
    for name, tensor in ours.items():
        if name not in stored:
            raise CheckpointError(f"{where}: it has no tensor {name}, which this network needs")
        theirs = stored[name]
        if theirs.shape != tensor.shape:
            raise CheckpointError(
                f"{where}: {name} has shape {list(theirs.shape)}, this network needs "
                f"{list(tensor.shape)}"
            )
        if theirs.is_floating_point() and not bool(torch.isfinite(theirs).all()):
            raise CheckpointError(f"{where}: {name} holds values that are not finite")
    for name in stored:
        if name not in ours:
            raise CheckpointError(f"{where}: it has a tensor {name}, which this network lacks")
    model.load_state_dict(stored)


def check_constants(model: nn.Module) -> None:
    """Check that the retina of a network is the one that its configuration makes.

    Raises:
        CheckpointError: names a constant that is free, or not what it was.
    """
    from neurobip.models.bitformer import BiTFormer  # which asks this package for its configuration

    if not isinstance(model, BiTFormer) or model.retina is None:
        return
    retina = model.retina
    with torch.random.fork_rng(devices=[]):
        fresh: Any = BiTFormer(model.config).retina
    expected = constants(fresh)
    for name, value in constants(retina).items():
        free = any(f"{name.rpartition('.')[2]}.original" in p for p, _ in retina.named_parameters())
        now, then = (torch.as_tensor(v, device="cpu") for v in (value, expected[name]))
        same = torch.allclose(now.double(), then.double(), rtol=1e-5)  # what was free is rounded
        if free or not same:
            raise CheckpointError(
                f"retina.{name} is no longer what the configuration says, and a checkpoint does "
                "not hold it; keep neurobip.constants.constants(model.retina) beside it"
            )


def check_architecture(ours: ModelConfig, theirs: ModelConfig, where: str = "checkpoint") -> None:
    """Compare two architectures.

    Raises:
        CheckpointError: they differ; names the first key with both values.
    """
    for key in ModelConfig.model_fields:
        here, there = getattr(ours, key), getattr(theirs, key)
        if here != there:
            raise CheckpointError(
                f"{where}: another architecture: model.{key} is {there!r} there and {here!r} "
                "here; use the configuration it was trained with, or train anew"
            )


def save_run(folder: str | Path, checkpoint: Checkpoint, *, best: bool = False) -> None:
    """Save a checkpoint as the last of a run, and as its best too where ``best``.

    The best is written first: should a kill come between the two, the resumed epoch is the same
    again and writes the same best.
    """
    folder = Path(folder)
    write_atomic(folder / CONFIG, checkpoint.config.to_yaml())
    if best:
        write(folder / BEST, checkpoint)
    write(folder / LAST, checkpoint)


def load_run(folder: str | Path, which: str = BEST) -> tuple[BiTFormer, Checkpoint]:
    """Build the network of a run and load it: its best epoch, or its last with ``which=LAST``.

    ``folder`` may also be a checkpoint file.

    Raises:
        CheckpointError: nothing there, damaged, or of another architecture than the run's
            ``config.yaml``.
    """
    from neurobip.learning.loop import build

    path = Path(folder)
    if path.is_dir():
        path = path / (which if (path / which).is_file() else LAST)
    checkpoint = read(path)
    beside = path.with_name(CONFIG)
    if beside.is_file():
        check_architecture(load_config(beside).model, checkpoint.config.model, str(path))
    config = checkpoint.config
    model = build(config.model, config.learn, config.seed)
    restore(model, checkpoint, str(path))
    return model, checkpoint


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
