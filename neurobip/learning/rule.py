"""The learning rule: a network, gradients, and an optimiser."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, NamedTuple, TypedDict

import torch
from torch import Tensor, nn

from neurobip.attention import Block
from neurobip.device import device_of
from neurobip.errors import ConfigError, DataError
from neurobip.learning.loss import CrossEntropy, Loss
from neurobip.learning.optimizer import Optimizer, WeightRounding
from neurobip.learning.orthogonal import OrthogonalProjection
from neurobip.learning.targets import Targets
from neurobip.models.network import Network

Update = Literal["online", "sequence"] | int
Freeze = Literal["none", "qk", "features", "feedforward"]
Precision = Literal["fp32", "bf16"]


class BatchResult(NamedTuple):
    """Loss of the answer averaged over the learning steps, and the count of right answers."""

    loss: float
    correct: int
    samples: int


class Settings(TypedDict, total=False):
    """What every rule takes besides its own options; see :class:`Rule`."""

    lr: float
    weight_decay: float
    warmup_steps: int
    label_steps: int | None
    loss: Loss
    update: Update
    overlap: int
    precision: Precision
    freeze: Freeze
    only: Collection[str] | None
    total_batches: int | None
    rounding: WeightRounding | None
    optimizer: Callable[[Mapping[str, nn.Parameter]], Optimizer]


class Rule:
    """A learning rule: gradients of a network, and the optimiser that applies them.

    Subclasses define :meth:`learn` and :meth:`gradients`.

    Args:
        network: learns in place.
        own: parameters of the rule itself that learn too, by name.
        lr, weight_decay: of Adam with decoupled weight decay.
        warmup_steps: time steps at the start of a sample without learning.
        label_steps: learn at that many steps at the end alone; None or 0 is all of them.
        loss: of the answer at a time step.
        update: when weights move: at every step that has a target (``online``), after a number of
            steps, or once a ``sequence``; always by the mean gradient over the steps since.
        overlap: threads on which stages learn at the same time, to the same result.
        precision: of matrix products. Half precision (``bf16``) is for GPUs; membranes, traces and
            weights stay in single precision.
        freeze: ``qk`` keeps queries and keys at their initial weights; ``features`` trains readouts
            alone; ``feedforward`` trains readouts and feedback from later stages.
        only: names of the parameters of the network that learn; all by default.
        total_batches: length of the whole training, for a schedule of the learning rate; None for a
            constant one.
        rounding: of weights, for quantization-aware training.
        optimizer: builds an optimiser from the parameters that learn, instead of the usual one,
            whose options it does not take.

    Attributes:
        plastic: the parameters that learn, by name.
        known: names of all parameters, those that are frozen as well.

    Raises:
        ConfigError: a number or a name that does not fit, nothing that could learn, or half
            precision on a CPU.
    """

    def __init__(
        self,
        network: Network,
        own: Mapping[str, nn.Parameter] | None = None,
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        label_steps: int | None = None,
        loss: Loss | None = None,
        update: Update = "online",
        overlap: int = 1,
        precision: Precision = "fp32",
        freeze: Freeze = "none",
        only: Collection[str] | None = None,
        total_batches: int | None = None,
        rounding: WeightRounding | None = None,
        optimizer: Callable[[Mapping[str, nn.Parameter]], Optimizer] | None = None,
    ) -> None:
        check_settings(warmup_steps, label_steps, update, overlap)
        check_precision(precision, device_of(network))
        self.network, self.loss = network, CrossEntropy() if loss is None else loss
        self.warmup_steps, self.label_steps, self.update = warmup_steps, label_steps, update
        self.overlap, self.precision = overlap, precision
        self.stages = network.stages()
        self.classes = classes_of(network)
        self.known = {n for n, _ in network.named_parameters(remove_duplicate=False)}
        for name in only or ():
            if name not in self.known:
                raise ConfigError(
                    f"only: {type(network).__name__} has no parameter {name!r}; it has "
                    + ", ".join(sorted(self.known))
                )
        self.known |= set(own or {})
        learning = {n: p for n, p in network.named_parameters() if p.requires_grad}
        kept = unfrozen(network, freeze)
        self.plastic = {
            n: p for n, p in learning.items() if kept(n) and (only is None or n in only)
        }
        self.plastic |= {n: p for n, p in (own or {}).items() if p.requires_grad}
        if not self.plastic:
            raise ConfigError("the network has no parameter that could learn")
        rows = query_key_rows(network) if freeze == "qk" else {}
        if freeze == "qk" and not rows:
            raise ConfigError(
                "freeze qk: the network has no block with queries and keys; use none, features or "
                "feedforward"
            )
        if optimizer is not None:
            check_default({
                "weight_decay": bool(weight_decay), "total_batches": total_batches is not None,
                "rounding": rounding is not None, "freeze qk": bool(rows),
            })  # fmt: skip
            self.optimizer = optimizer(self.plastic)
        else:
            self.optimizer = Optimizer(
                self.plastic,
                lr=lr,
                weight_decay=weight_decay,
                total_batches=total_batches,
                groups=self.groups(),
                frozen_rows={n: count for n, count in rows.items() if n in self.plastic},
                rounding=rounding,
            )

    @property
    def protection(self) -> OrthogonalProjection | None:
        """Orthogonal projection of every step, so that currents of earlier tasks do not change."""
        return self.optimizer.protection

    @protection.setter
    def protection(self, protection: OrthogonalProjection | None) -> None:
        self.optimizer.protection = protection

    def groups(self) -> list[list[str]]:
        """Names of the parameters that move together."""
        return [list(self.plastic)]

    def learn(self, frames: Tensor, targets: Tensor) -> BatchResult:
        """Learn from one batch.

        Shape:
            frames ``[T, B, ...]``; targets: class numbers ``[B]`` or ``[T, B]``, or values
            ``[B, classes]`` or ``[T, B, classes]``.

        Raises:
            DataError: the sequence is over before learning begins, or the targets do not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} has no learn")

    def gradients(self, frames: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The gradients of a batch, summed over its learning steps; no weight moves.

        Shape, Raises: as :meth:`learn`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no gradients")

    def first_target(self, steps: int) -> int:
        """The first time step of a sequence that is learned from."""
        learning_steps = self.label_steps or steps
        return max(self.warmup_steps, steps - learning_steps)

    def learned(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of the parameters that learn; those of frozen ones are left out.

        Raises:
            ConfigError: a gradient of no parameter at all.
        """
        found = {n: gradient for n, gradient in gradients.items() if n in self.plastic}
        if len(found) < len(gradients):
            unknown = [n for n in gradients if n not in self.known]
            if unknown:
                raise ConfigError(
                    f"gradients of {', '.join(unknown)}, which are no parameters; the network and "
                    f"the rule have {', '.join(sorted(self.known))}"
                )
        return found

    def checked(self, frames: Tensor, targets: Tensor) -> Targets:
        """The targets of a batch.

        Raises:
            DataError: see :meth:`learn`.
        """
        if frames.ndim < 3:
            raise DataError(f"frames {tuple(frames.shape)}; expected time first, [T, B, ...]")
        if frames.shape[1] == 0:
            raise DataError(f"frames {tuple(frames.shape)}: a batch without samples")
        found = self.targets(targets, len(frames), frames.shape[1])
        if self.first_target(len(frames)) >= len(frames):
            raise DataError(
                f"a sequence of {len(frames)} steps leaves nothing to learn from after "
                f"warmup_steps {self.warmup_steps}; use longer sequences or fewer warmup_steps"
            )
        return found

    def targets(self, targets: Tensor, steps: int, batch: int) -> Targets:
        """Targets in the precision of the network."""
        like = next((p for p in self.network.parameters() if p.is_floating_point()), None)
        return Targets(targets, steps, batch, self.classes, None if like is None else like.dtype)

    def in_precision(self, work: Any) -> Any:
        """A function, with its matrix products in the precision of the rule.

        Spikes are exact in bfloat16; weights and errors are rounded as they enter a product. Sums
        over time stay in single precision, see :mod:`neurobip.kernels.cuda`.
        """
        if self.precision == "fp32":
            return work
        # Weights move within the work: a rounded one must not be kept for later products.
        place = device_of(self.network).type
        return torch.autocast(place, torch.bfloat16, cache_enabled=False)(work)

    def state_dict(self) -> dict[str, Tensor]:
        """All that a resumed run needs beyond the network, as flat tensors by name."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`state_dict`.

        Raises:
            KeyError: a tensor belongs to a parameter that this rule does not train.
        """
        self.optimizer.load_state_dict(state)


def classes_of(network: Network) -> int | None:
    """The number of classes of a network; None where it is known from its outputs alone."""
    try:
        return network.classes
    except ConfigError:
        return None


def unfrozen(network: Network, freeze: Freeze) -> Callable[[str], bool]:
    """Predicate of parameter names: those that learn under a value of ``freeze``.

    Readouts are those of the stages, or the last stage where it has none.

    Raises:
        ConfigError: another value of ``freeze``.
    """
    if freeze in ("none", "qk"):
        return lambda name: True
    if freeze not in ("features", "feedforward"):
        raise ConfigError(f"freeze {freeze!r}; expected none, qk, features or feedforward")
    stages = network.stages()
    readouts = tuple(f"{s.readout_name}." for s in stages if s.readout is not None)
    if not stages:
        raise ConfigError("the network has no parameter that could learn")
    last = stages[-1]
    back = (".top_down.", ".threshold_shift.") if freeze == "feedforward" else ()

    def learns(name: str) -> bool:
        answers = last.readout is None and last.owns(name)
        return answers or name.startswith(readouts) or any(part in name for part in back)

    return learns


def query_key_rows(network: nn.Module) -> dict[str, int]:
    """Leading rows that belong to queries and keys, by parameter."""
    found = {}
    for name, block in network.named_modules():
        if isinstance(block, Block):
            share = sum(x in "qk" for x in block.takes)
            for own, p in block.qkv.named_parameters():
                parameter = f"{name}.qkv.{own}" if name else f"qkv.{own}"
                found[parameter] = len(p) * share // len(block.takes)
    return found


def check_default(given: Mapping[str, bool]) -> None:
    """Check that what goes to the default optimiser is not given besides another one.

    Raises:
        ConfigError: it is.
    """
    found = [name for name, is_given in given.items() if is_given]
    if found:
        raise ConfigError(f"optimizer and {', '.join(found)}: give them to the optimiser itself")


def check_settings(
    warmup_steps: int, label_steps: int | None, update: Update, overlap: int = 1
) -> None:
    """Check the settings that every rule takes.

    Raises:
        ConfigError: one that does not fit.
    """
    steps = isinstance(update, int) and not isinstance(update, bool) and update >= 1
    if update not in ("online", "sequence") and not steps:
        raise ConfigError(
            f"update {update!r}; expected 'online', 'sequence' or a number of time steps"
        )
    if overlap < 1:
        raise ConfigError(f"overlap {overlap}; expected 1 thread or more")
    if warmup_steps < 0 or (label_steps is not None and label_steps < 0):
        raise ConfigError(
            f"warmup_steps {warmup_steps}, label_steps {label_steps}; expected 0 or more time steps"
        )


def check_precision(precision: Precision, device: torch.device) -> None:
    """Check that a precision is for a device.

    Raises:
        ConfigError: half precision on a CPU.
    """
    if precision == "bf16" and device.type == "cpu":
        raise ConfigError(
            "learn.precision bf16 needs a GPU (--device cuda): on a CPU it is slower than fp32 and "
            "rounds membranes too"
        )
