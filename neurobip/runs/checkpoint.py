"""Checkpoints: one safetensors file that holds a run after an epoch.

The file has the tensors of the network (``model.*``), those of the learning rule (``rule.*``) and
the state of torch's generator (``rng``); the configuration, what builds the network again, the
epoch and the history are JSON in its header. Nothing in it can execute, and since it is one file
its parts always belong together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from neurobip.atomic import write_atomic
from neurobip.config import ModelConfig, RunConfig, load_config, make_config
from neurobip.constants import constants
from neurobip.errors import CheckpointError, ConfigError

FORMAT = "neurobip-checkpoint-2"
LAST = "checkpoint.safetensors"
BEST = "best.safetensors"
CONFIG = "config.yaml"

Built = dict[str, Any]


@dataclass
class Checkpoint:
    """A network after ``epoch`` epochs.

    Attributes:
        config: of the run; None of a network that was saved outside of one.
        model, rule: tensors by name, as ``state_dict`` gives them.
        rng: state of torch's CPU generator.
        history: one JSON-able dict for every epoch so far.
        network: name and options that build the network again; None where it was put together by
            hand, so that it can only be restored into one.
    """

    config: RunConfig | None
    epoch: int
    model: dict[str, Tensor]
    rule: dict[str, Tensor] = field(default_factory=dict)
    rng: Tensor | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    network: Built | None = None


def capture(
    config: RunConfig | None,
    epoch: int,
    network: nn.Module,
    rule: Mapping[str, Tensor] | None = None,
    history: list[dict[str, Any]] | None = None,
) -> Checkpoint:
    """The checkpoint of a network as it is now, as a copy.

    Raises:
        CheckpointError: constants of the network have changed, for which a checkpoint has no room.
    """
    check_constants(network)
    return Checkpoint(
        config=config,
        epoch=epoch,
        model={name: _copy(tensor) for name, tensor in network.state_dict().items()},
        rule={name: _copy(tensor) for name, tensor in (rule or {}).items()},
        rng=torch.get_rng_state(),
        history=list(history or []),
        network=built_by(network, config),
    )


def built_by(network: nn.Module, config: RunConfig | None = None) -> Built | None:
    """Name and options that build a network: its own, or those of a run; None by hand."""
    own = getattr(network, "config", None)
    try:
        found = own() if callable(own) else None
    except ConfigError:
        found = None
    if found is None and config is not None:
        found = config.model.model_dump(mode="json")
    return None if found is None else json.loads(json.dumps(found))


def write(path: str | Path, checkpoint: Checkpoint) -> None:
    """Save a checkpoint; a kill at any moment leaves the earlier file or this one."""
    tensors = {f"model.{name}": _copy(tensor) for name, tensor in checkpoint.model.items()}
    tensors |= {f"rule.{name}": _copy(tensor) for name, tensor in checkpoint.rule.items()}
    if checkpoint.rng is not None:
        tensors["rng"] = checkpoint.rng
    config = None if checkpoint.config is None else checkpoint.config.tree()
    header = {
        "format": FORMAT,
        "config": json.dumps(config),
        "network": json.dumps(checkpoint.network),
        "epoch": str(checkpoint.epoch),
        "history": json.dumps(checkpoint.history),
    }
    write_atomic(path, save(tensors, header | {"fingerprint": _fingerprint(header)}))


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
        tree = json.loads(header["config"])
        config = None if tree is None else make_config(tree, where="its configuration")
        epoch, history = int(header["epoch"]), json.loads(header["history"])
        network = json.loads(header["network"])
    except (ConfigError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: the header does not fit: {error}") from None
    if header.get("fingerprint") != _fingerprint(header):
        raise CheckpointError(
            f"{path}: the fingerprint is not that of its header; the file was edited"
        )
    return Checkpoint(
        config=config,
        epoch=epoch,
        model=_below("model.", tensors),
        rule=_below("rule.", tensors),
        rng=tensors.get("rng"),
        history=history,
        network=network,
    )


def restore(network: nn.Module, checkpoint: Checkpoint, where: str = "checkpoint") -> None:
    """Put a checkpoint's tensors into a network of the same architecture.

    It may be one that was put together by hand, such as a ``Sequential``.

    Raises:
        CheckpointError: another architecture; the message names the first key or tensor that
            differs. The network is then unchanged.
    """
    ours = built_by(network)
    if ours is not None and checkpoint.network is not None:
        check_architecture(ours, checkpoint.network, where)
    tensors, stored = network.state_dict(), checkpoint.model
    for name, tensor in tensors.items():
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
        if name not in tensors:
            raise CheckpointError(f"{where}: it has a tensor {name}, which this network lacks")
    network.load_state_dict(stored)


def check_constants(network: nn.Module) -> None:
    """Check that the constants of a network are those that its options make.

    A network that was put together by hand has no options to compare with.

    Raises:
        CheckpointError: names a constant that learns, or is not what it was.
    """
    found, options = constants(network), built_by(network)
    if not found or options is None:
        return
    with torch.random.fork_rng(devices=[]):
        expected = constants(ModelConfig(**options).build())
    learning = [name for name, _ in network.named_parameters()]
    for name, value in found.items():
        part, _, constant = name.rpartition(".")
        free = f"{part}.parametrizations.{constant}.original" in learning
        now, then = (torch.as_tensor(v, device="cpu") for v in (value, expected[name]))
        same = torch.allclose(now.double(), then.double(), rtol=1e-5)  # what learned is rounded
        if free or not same:
            raise CheckpointError(
                f"{name} is no longer what the configuration says, and a checkpoint does not hold "
                "it; keep neurobip.constants.constants(network) with it"
            )


def check_architecture(ours: Built, theirs: Built, where: str = "checkpoint") -> None:
    """Compare what builds two networks.

    Raises:
        CheckpointError: they differ; names the first key with both values.
    """
    for key in ours | theirs:
        here, there = ours.get(key), theirs.get(key)
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
    if checkpoint.config is not None:
        write_atomic(folder / CONFIG, checkpoint.config.to_yaml())
    if best:
        write(folder / BEST, checkpoint)
    write(folder / LAST, checkpoint)


def checkpoint_of(folder: str | Path, which: str = BEST) -> tuple[Checkpoint, str]:
    """The checkpoint of a run and its path; of a checkpoint file, that one.

    Raises:
        CheckpointError: see :func:`~neurobip.runs.run.load_run`.
    """
    path = Path(folder)
    if path.is_dir():
        path = path / (which if (path / which).is_file() else LAST)
    checkpoint = read(path)
    if checkpoint.config is None:
        raise CheckpointError(
            f"{path}: a network that was saved outside of a run; restore it into one in Python"
        )
    settings = path.with_name(CONFIG)
    if settings.is_file():
        ours, theirs = (
            c.model.model_dump(mode="json") for c in (load_config(settings), checkpoint.config)
        )
        check_architecture(ours, theirs, str(path))
    return checkpoint, str(path)


def _fingerprint(header: Mapping[str, str]) -> str:
    """SHA-256 of what a header says about configuration and network."""
    text = header["config"] + header["network"]
    return hashlib.sha256(text.encode()).hexdigest()


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
