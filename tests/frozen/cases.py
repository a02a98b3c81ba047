"""What was frozen: plain data and recipes, in the words of the code of that time.

Nothing here imports neurobip. A test that compares translates the words in one place.
"""

import zlib
from math import prod
from typing import Any

import torch
from torch import Tensor

SAMPLES, STEPS, CLASSES = 5, 8, 4
CALIBRATION, FIRING = 0, 9  # seeds of the frames for calibration and for the forward pass
GRADIENT, LEARNING = 1, (1, 2, 3)  # seeds of the frames of the one batch, and of the three
DRAWS = 11  # torch.manual_seed before the gradient, and before the first of three batches
RULE_DRAWS = 7  # torch.manual_seed before a rule for a chain is made
TOTAL = 40  # total_batches of the schedule of a network's rule

MODEL: dict[str, Any] = {
    "sensor": (2, 16, 16), "classes": CLASSES, "width": 12, "hidden": 12, "heads": 2, "depth": 1,
}  # fmt: skip
LEARN: dict[str, Any] = {"lr": 5e-3}
MODEL_SEED = 0

SCALES = {
    "top_down.weight": 1.0, "gain.weight": 0.35, ".feedback": 0.2, "theta": 0.7,
    "out.synapse.weight": 0.2, "down.synapse.weight": 0.2, "weight": 1.0,
}  # fmt: skip
"""By the end of a name: every weight is filled, as what is drawn differs in the last bit from one
processor to the next; a readout, too, else it would begin at 0. The first that fits holds."""
READOUT_SCALE = 4.0

BOTH = ("online", "sequence")
ALL = ("online", 3, "sequence")


def network(model: dict | None = None, updates: tuple = ("online",), **rest: Any) -> dict:
    """A case of a network.

    Of its options ``model`` and ``learn`` are added to MODEL and LEARN. ``updates`` are the values
    of learn.update by which the weights of three batches were frozen. With ``tail`` the tail of the
    network learns, from the tokens that the network makes of the frames.
    """
    tail, dtype = rest.pop("tail", False), rest.pop("dtype", "float64")
    return {"model": model or {}, "learn": rest, "updates": updates, "tail": tail, "dtype": dtype}


ALIGNED = {"locality": "aligned", "weight_decay": 0.3}
BPTT = {"rule": "bptt"}
LOOPS = {"top_down": 3, "retina_gain": 2}
MERGE = {"merge": 2, "merged": 16}
DEEP = BPTT | {"deep_supervision": True}
# Three of each kind of column: with fewer the three ways of sharing weights are alike.
CORTICAL = {"connectivity": "cortical", "width": 27, "heads": 3}

NETWORKS: dict[str, dict] = {
    # By which way errors come.
    "block": network(updates=ALL),
    "aligned": network(updates=ALL, **ALIGNED),
    "sign": network(updates=ALL, locality="sign"),
    "feedback": network(updates=ALL, locality="feedback"),
    "broadcast": network(updates=ALL, locality="broadcast"),
    "reward": network(updates=ALL, locality="reward"),
    # Depth, and stages side by side.
    "depth 0": network({"depth": 0}),
    "depth 2": network({"depth": 2}),
    "depth 2, broadcast": network({"depth": 2}, locality="broadcast"),
    "depth 2, reward": network({"depth": 2}, locality="reward"),
    "depth 2, overlap 2": network({"depth": 2}, updates=ALL, overlap=2),
    "depth 2, exact, overlap 2": network({"depth": 2}, overlap=2, memory_trace="exact"),
    # Attention.
    "masked": network({"attention": "masked"}),
    "masked, feedback": network({"attention": "masked"}, locality="feedback"),
    "masked, broadcast": network({"attention": "masked"}, locality="broadcast"),
    "query-key": network({"attention": "query-key"}),
    "query-key, broadcast": network({"attention": "query-key"}, locality="broadcast"),
    "no attention": network({"attention": "none"}),
    "cortical": network(CORTICAL),
    "cortical, aligned": network(CORTICAL, **ALIGNED),
    "cortical, sign": network(CORTICAL, locality="sign"),
    "cortical, feedback": network(CORTICAL, locality="feedback"),
    "cortical-medium": network(CORTICAL | {"connectivity": "cortical-medium"}),
    "cortical-small": network(CORTICAL | {"connectivity": "cortical-small"}),
    # What a memory remembers.
    "slow": network(updates=ALL, memory_trace="slow"),
    "exact": network(updates=ALL, memory_trace="exact"),
    "exact, sign": network(memory_trace="exact", locality="sign"),
    "exact, reward": network(memory_trace="exact", locality="reward"),
    # In front of the blocks.
    "no retina": network({"retina": "none"}),
    "retina motion": network({"retina": "motion"}),
    "top_down": network({"top_down": 3}, updates=ALL),
    "top_down, broadcast": network({"top_down": 3}, locality="broadcast"),
    "retina_gain": network({"retina_gain": 2}, updates=ALL),
    "retina_gain, reward": network({"retina_gain": 2}, locality="reward"),
    "both loops": network(LOOPS),
    "merge": network(MERGE),
    "merge, broadcast": network(MERGE, locality="broadcast"),
    "merge, aligned": network(MERGE, **ALIGNED),
    # Learning.
    "weight_bits 4": network(updates=BOTH, weight_bits=4),
    "freeze qk": network(freeze="qk", weight_decay=0.1),
    "freeze qk, query-key": network({"attention": "query-key"}, freeze="qk", weight_decay=0.1),
    "freeze features": network(freeze="features"),
    "freeze feedforward": network(LOOPS, freeze="feedforward"),
    "label_steps 2": network(updates=ALL, label_steps=2),
    "warmup_steps 0": network(warmup_steps=0),
    "warmup_steps 5": network(updates=ALL, warmup_steps=5),
    "label_smoothing": network(label_smoothing=0.1),
    "answer_steps 3": network({"answer_steps": 3}, updates=BOTH),
    "tail": network(tail=True),
    "tail, depth 2, overlap 2": network({"depth": 2}, tail=True, overlap=2),
    "tail, merge": network(MERGE, tail=True),
    # The baseline.
    "bptt": network(**BPTT),
    "bptt, deep": network({"depth": 2}, **DEEP),
    "bptt, depth 2": network({"depth": 2}, **BPTT),
    "bptt, options": network(
        {"answer_steps": 3}, label_smoothing=0.1, label_steps=4, weight_decay=0.1, **DEEP
    ),
    "bptt, freeze qk": network(freeze="qk", weight_decay=0.1, **DEEP),
    "bptt, freeze features": network(freeze="features", **DEEP),
    "bptt, freeze feedforward": network(LOOPS, freeze="feedforward", **DEEP),
    "bptt, masked": network({"attention": "masked"}, **BPTT),
    "bptt, query-key": network({"attention": "query-key"}, **BPTT),
    "bptt, no attention": network({"attention": "none"}, **BPTT),
    "bptt, cortical": network(CORTICAL, **BPTT),
    "bptt, both loops": network(LOOPS, **DEEP),
    "bptt, merge": network(MERGE, **DEEP),
    "bptt, tail": network(tail=True, **BPTT),
    "bptt, weight_bits 4": network(weight_bits=4, **BPTT),
}
for _name in (
    "block", "aligned", "depth 2, overlap 2", "exact", "masked", "retina motion", "both loops",
    "weight_bits 4", "bptt, deep",
):  # fmt: skip
    NETWORKS[f"{_name}, single"] = NETWORKS[_name] | {"dtype": "float32", "updates": ("online",)}

MENDED = ("broadcast", "depth 2, broadcast", "top_down, broadcast", "merge, broadcast")
"""Frozen once more with a fault mended, see README.md."""

LIF, ALIF, LI = ("LIF", 0.25), ("ALIF", 0.25), ("LI", 0.25)  # and decay_v, that of the trace too
LEAKY = {kind: ("Leaky", 0.75, kind) for kind in ("subtract", "zero", "none")}  # and beta

CHAINS: dict[str, dict] = {
    # A part is its synapse and its neurons, or one that has no neurons. A synapse is a name, the
    # sizes of its axes (Linear: inputs, outputs; Conv2d and Patches: inputs, outputs, kernel,
    # stride, padding). Weights are filled, ``scale / sqrt(inputs of a cell)`` wide; a LIF in images
    # has no bias, others are filled by ``bias + 0.1 randn``.
    "linear": {"shape": (6,), "parts": [
        (("Linear", 6, 8), LIF), (("Linear", 8, 7), LIF), (("Linear", 7, 3), LI)]},
    "images": {"shape": (2, 6, 6), "parts": [
        (("Conv2d", 2, 4, 3, 1, 1), LIF), ("Pool2d", 2), ("Flatten",),
        (("Linear", 36, 7), LEAKY["subtract"]), (("Linear", 7, 3), LI)]},
    "adaptive": {"shape": (2, 6, 6), "parts": [
        (("Conv2d", 2, 4, 3, 1, 0), ALIF), ("Flatten",), (("Linear", 64, 3), LI)]},
    "tokens": {"shape": (2, 6, 6), "parts": [
        (("Patches", 2, 8, 3, 2, 1), LIF), (("Linear", 8, 6), LIF), ("Flatten",),
        (("Linear", 54, 3), LI)]},
    # A Block of the linear attention: width, heads, hidden; its memory has decay_shift 2,
    # gain_shift 0 and decay_trace 1, its shortcuts are 0.7.
    "block": {"shape": (4, 6), "parts": [
        (("Linear", 6, 8), LIF), ("Block", 8, 2, 10), ("Flatten",), (("Linear", 32, 3), LI)]},
    # By from_snntorch of an nn.Sequential of these, with biases in layers whose list ends so.
    "snntorch": {"snntorch": True, "shape": (6,), "parts": [
        ("Linear", 6, 8, "bias"), LEAKY["subtract"], ("Linear", 8, 7), LEAKY["zero"],
        ("Linear", 7, 3, "bias"), LEAKY["none"]]},
    "snntorch images": {"snntorch": True, "shape": (2, 6, 6), "parts": [
        ("Conv2d", 2, 4, 3, 1, 1, "bias"), ("AvgPool2d", 2), LEAKY["zero"], ("Flatten",),
        ("Linear", 36, 7), LEAKY["subtract"], ("Linear", 7, 3, "bias")]},
}  # fmt: skip
CHAIN_SCALE, CHAIN_BIAS, THRESHOLD, SLOPE = 1.5, 0.3, 0.6, 4  # the last two for snnTorch's Leaky

SETTINGS = {"lr": 0.01, "warmup_steps": 1}

RULES: dict[str, dict] = {
    # The function and what it takes beside the chain; ``frame`` is the first step of the first
    # batch. Updates are online where nothing is said, chains all.
    "three_factor": {"rule": "three_factor", "frame": True, "updates": BOTH},
    "decolle": {"rule": "decolle", "frame": True},
    "ottt": {"rule": "ottt", "updates": BOTH},
    "sltt": {"rule": "sltt"},
    "stllr": {"rule": "stllr"},
    "eprop": {"rule": "eprop", "frame": True},
    "eprop symmetric": {"rule": "eprop", "frame": True, "options": {"symmetric": True}},
    "reward_stdp": {"rule": "reward_stdp", "updates": BOTH},
    "truncated_bptt 3": {"rule": "truncated_bptt", "options": {"window": 3}, "updates": BOTH},
    "truncated_bptt T": {"rule": "truncated_bptt", "options": {"window": STEPS}},
    "ottt, settings": {
        "rule": "ottt", "options": {"weight_decay": 0.1, "warmup_steps": 2, "label_steps": 3},
        "updates": BOTH, "chains": ("linear", "images"),
    },
}  # fmt: skip

BLOCK = ("blocks.0.qkv", "blocks.0.out", "blocks.0.up", "blocks.0.down")
EVERY = ("embed", *BLOCK, "readouts.0", "readouts.1")
READOUTS = ("readouts.0", "readouts.1")
ONCHIP: dict[str, dict] = {
    # One sample at a time, three of them, then flush(). freeze_feedback before, where so said.
    f"{which}, delay {delay}": {
        "projections": names, "delay": delay, "freeze_feedback": which == "all", "lr": 0.1,
        "warmup_steps": 1,
    }
    for which, names in (("readouts", READOUTS), ("all", EVERY)) for delay in (0, 2)
}  # fmt: skip
PROTECTION = {"directions": 6, "share": 0.9}  # observes the frames of CALIBRATION, consolidates
PROTECTED = {"network": "block", "chain": ("linear", "three_factor")}  # update online


def events(seed: int, samples: int = SAMPLES) -> Tensor:
    """Frames for a network, ``[T, B, 2, H, W]`` event counts in bytes."""
    generator = torch.Generator().manual_seed(seed)
    fired = torch.rand(STEPS, samples, *MODEL["sensor"], generator=generator) < 0.3
    return 8 * fired.to(torch.uint8)


def spikes(seed: int, shape: tuple[int, ...], samples: int = SAMPLES) -> Tensor:
    """Frames for a chain, ``[T, B, *shape]``, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, samples, *shape, generator=generator) < 0.4).double()


def answers(seed: int, classes: int, samples: int = SAMPLES) -> Tensor:
    """Labels ``[B]`` of a batch."""
    return (torch.arange(samples) + seed) % classes


def fill(name: str, shape: tuple[int, ...], scale: float) -> Tensor:
    """Random numbers for a parameter by its old name, in double precision."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def network_fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """The same for a weight of a network; biases are those that calibration finds."""
    scale = next(scale for end, scale in SCALES.items() if name.endswith(end))
    scale = READOUT_SCALE if name.startswith("readouts.") else scale
    return fill(name, shape, scale / prod(shape[1:] if "theta" not in name else (4,)) ** 0.5)


def chain_fill(name: str, shape: tuple[int, ...]) -> Tensor:
    """The same for a parameter of a chain."""
    if len(shape) == 1:
        return CHAIN_BIAS + fill(name, shape, 0.1)
    return fill(name, shape, CHAIN_SCALE / prod(shape[1:]) ** 0.5)


def fingerprint(tensor: Tensor) -> list[float]:
    """Norm, sum, product with a fixed random vector, and number of elements."""
    flat = tensor.detach().double().cpu().flatten()
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(flat.numel(), generator=generator, dtype=torch.float64)
    return [float(flat.norm()), float(flat.sum()), float(flat @ vector), flat.numel()]
