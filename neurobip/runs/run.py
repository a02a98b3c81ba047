"""A run: the network and the rule that a configuration describes, and what training left."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from neurobip.config import LearnConfig, RunConfig, make_config
from neurobip.converters.quantization.qat import RoundedWeights
from neurobip.errors import ConfigError
from neurobip.learning.loop import build as fresh
from neurobip.learning.loop import build_rule
from neurobip.learning.rule import Rule
from neurobip.models.network import Network
from neurobip.runs.checkpoint import BEST, Checkpoint, checkpoint_of, restore
from neurobip.runs.data import Data, open_data
from neurobip.runs.output import Output

FREE = {"root", "cache", "workers", "overlap"}
"""Keys of a configuration that say where and how fast, not what: they may differ on resuming."""


def one_thread() -> None:
    """Compute on one thread unless the environment says otherwise.

    The tensors of a step are small: threads wait for each other longer than they work, above all
    where another process has the second core. One thread also adds in one order, so that a run
    gives the same numbers on every machine of a kind.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def settled(config: RunConfig, facts: Mapping[str, Any]) -> RunConfig:
    """The configuration with the facts of the data, where it was silent about them.

    Args:
        facts: see :attr:`~neurobip.runs.data.Data.facts`.
    """
    options = config.model.options(**facts)
    keys = {key: options[key] for key in config.model.kind.facts if key in options}
    return config.changed(model=keys) if keys else config


def build(config: RunConfig) -> Network:
    """A fresh network of a configuration, equal for equal seeds, as its rule trains it.

    A rule may add parameters to a network, such as feedback matrices. The generator of the caller
    is left as it was.

    Raises:
        ConfigError: options of network and rule that do not fit.
    """
    check_settings(config.learn)
    single = config.learn.model_copy(update={"precision": "fp32"})  # fits every device
    network: Network = fresh(config.model, single, config.seed)
    if config.learn.freeze == "feedforward" and not network.loops:
        raise ConfigError(
            f"learn.freeze feedforward leaves feedback to learn, and {config.model.name} has none; "
            "give it some, or freeze features"
        )
    steps = config.data.sample_steps
    if network.answer_steps > steps:
        raise ConfigError(
            f"model.answer_steps {network.answer_steps} is more than the {steps} steps of a sample "
            "(data.steps)"
        )
    return network


def check_settings(learn: LearnConfig) -> None:
    """Check that a rule takes what the section ``learn`` sets.

    Raises:
        ConfigError: a key that the rule would ignore.
    """
    rule, fields = learn.rule, type(learn).model_fields
    keys = {key: key for key in rule.kind.given & fields.keys()} | {"weight_bits": "rounding"}
    for key, parameter in sorted(keys.items()):
        taken = rule.takes_all() or parameter in rule.takes()
        if not taken and getattr(learn, key) != fields[key].default:
            raise ConfigError(f"learn.{key}: the rule {rule.name} does not take it")


def make_rule(network: Network, learn: LearnConfig, batches: int) -> Rule:
    """The rule of a configuration, over a network; rounds weights where it says so.

    Args:
        batches: length of the whole training, for the schedule of the learning rate.

    Raises:
        ConfigError: options that do not fit the network.
    """
    rounding = None
    if learn.weight_bits is not None:
        rounding = RoundedWeights(network, learn.weight_bits)
    return build_rule(network, learn, batches, rounding)


class Run(NamedTuple):
    """A trained network with what it was trained from and the data that it is measured on."""

    folder: Path
    network: Network
    checkpoint: Checkpoint
    data: Data

    @property
    def config(self) -> RunConfig:
        """The configuration that it was trained with."""
        assert self.checkpoint.config is not None  # runs always have one
        return self.checkpoint.config


def load_run(folder: str | Path, which: str = BEST) -> tuple[Network, Checkpoint]:
    """Build the network of a run and load it: its best epoch, or its last with ``which=LAST``.

    Args:
        folder: of a run, or a checkpoint file.

    Raises:
        CheckpointError: nothing there, damaged, not of a run, or of another architecture than the
            run's ``config.yaml``.
    """
    checkpoint, where = checkpoint_of(folder, which)
    assert checkpoint.config is not None
    network = build(checkpoint.config)
    restore(network, checkpoint, where)
    return network, checkpoint


def open_run(folder: Path, overrides: Sequence[str], out: Output) -> Run:
    """The chosen epoch of a run, with its data; overrides such as ``data.root=...`` move the data.

    Raises:
        CheckpointError, ConfigError, DataError: as the parts do.
    """
    one_thread()
    for override in overrides:
        key = override.partition("=")[0].strip()
        # Another fold or seed would put samples that the run has learned from into its test set.
        if key not in {f"data.{name}" for name in FREE}:
            raise ConfigError(
                f"--set {key}: a trained run is measured as it was trained; only "
                f"{', '.join(f'data.{name}' for name in sorted(FREE))} can be set"
            )
    network, checkpoint = load_run(folder)
    assert checkpoint.config is not None
    config = make_config(checkpoint.config.tree(), overrides)
    return Run(folder, network, checkpoint, open_data(config, out))


def open_run_with(folder: Path, data: Data) -> Run:
    """A run whose data are open already."""
    return Run(folder, *load_run(folder), data)
