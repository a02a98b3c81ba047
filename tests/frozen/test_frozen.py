"""Learning computes what it computed before it was rewritten, see README.md."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from neurobip.attention import Block, LinearMemory
from neurobip.config import LearnConfig
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.qat import RoundedWeights
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.energy import count
from neurobip.errors import ConversionError
from neurobip.learning import OrthogonalProjection, calibrate, rules
from neurobip.learning.loop import build, build_rule
from neurobip.learning.rules.on_chip import freeze_feedback
from neurobip.learning.signals import direct_feedback
from neurobip.models import Sequential, network_from_snntorch
from neurobip.models.bitformer_config import BiTFormerConfig
from neurobip.neurons import ALIF, LI, LIF, Leaky
from neurobip.projection import Projection
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses import Conv2d, Linear, Patches

from . import cases as C

pytestmark = pytest.mark.slow

FROZEN = json.loads((Path(__file__).parent / "gradients.json").read_text())
FEEDBACK = {
    "block": "local_backprop", "aligned": "kolen_pollack", "sign": "sign", "feedback": "random",
    "broadcast": "direct", "reward": "reward",
}  # fmt: skip
OPTIONS = {"retina_gain": "top_down_threshold"}
RETINAS = {"motion": "event_motion", "none": "none"}


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def old_name(name: str) -> str:
    """A parameter by the name that it had."""
    return name.replace(".threshold_shift.", ".gain.").replace("signal.", "teaching.")


def learn_options(old: dict[str, Any]) -> dict[str, Any]:
    """Options of ``learn`` in today's words."""
    learn = dict(old)
    name = learn.pop("rule", "local")
    rule: dict[str, Any] = {"name": name}
    if name == "local":
        rule["feedback"] = FEEDBACK[learn.pop("locality", "block")]
    for key in ("memory_trace", "deep_supervision"):
        if key in learn:
            rule[key] = learn.pop(key)
    return learn | {"rule": rule}


def make(case: dict[str, Any]) -> tuple[Any, LearnConfig]:
    """A network with its weights filled, calibrated, and how it learns."""
    options = {OPTIONS.get(k, k): v for k, v in (C.MODEL | case["model"]).items()}
    if "retina" in options:
        options["retina"] = RETINAS[options["retina"]]
    learn = LearnConfig(**learn_options(C.LEARN | case["learn"]))
    model = build(BiTFormerConfig(**options), learn, C.MODEL_SEED)
    with torch.no_grad():
        model = model.to(getattr(torch, case["dtype"]))
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.copy_(C.network_fill(old_name(name), tuple(p.shape)))
    calibrate(model, C.events(C.CALIBRATION))
    return model, learn


def learner(case: dict[str, Any], update: Any) -> tuple[Any, Any]:
    """A network and its rule."""
    model, learn = make(case)
    if learn.rule.name == "local":
        learn = learn.model_copy(update={"update": update})
    rounding = RoundedWeights(model, learn.weight_bits) if learn.weight_bits else None
    return model, build_rule(model.head() if case["tail"] else model, learn, C.TOTAL, rounding)


def batch(case: dict[str, Any], model: Any, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = C.events(seed)
    return (model.encode(x) if case["tail"] else x), C.answers(seed, C.CLASSES)


def assert_print(found: Any, expected: Any, rtol: float, what: str) -> None:
    """A tensor has the fingerprint that it had."""
    if expected is None:
        assert found is None or not bool(found.abs().sum() > 0), f"{what}: was without a gradient"
        return
    norm, total, dot, size = C.fingerprint(found)
    assert size == expected[3], what
    bound = rtol * expected[0] + 1e-30
    for now, then in zip((norm, total, dot), expected[:3], strict=True):
        # sum and product add up to sqrt(size) times the norm
        assert abs(now - then) <= bound * max(1.0, size**0.5), f"{what}: {now} was {then}"


def check_columns(columns: dict[str, dict[str, Any]], frozen: dict[str, Any], rtol: float) -> None:
    """Gradients and weights, parameter by parameter."""
    for name, expected in frozen.items():
        for column, stored in expected.items():
            if column in columns:
                found = columns[column]
                now = {old_name(n): tensor for n, tensor in found.items()}
                assert_print(now.get(name), stored, rtol, f"{name} [{column}]")


def check_case(name: str, frozen: dict[str, Any]) -> None:
    """One way of learning: the gradient of a batch, and the weights after three."""
    case = C.NETWORKS[name]
    rtol = 1e-5 if case["dtype"] == "float32" or "broadcast" in name else 1e-6
    model, rule = learner(case, "sequence")
    torch.manual_seed(C.DRAWS)
    rule.learn(*batch(case, model, C.GRADIENT))
    columns = {"gradient": {n: p.grad for n, p in rule.plastic.items()}}
    for update in case["updates"]:
        model, rule = learner(case, update)
        torch.manual_seed(C.DRAWS)
        results = [rule.learn(*batch(case, model, seed)) for seed in C.LEARNING]
        for now, (loss, correct) in zip(results, frozen["results"][str(update)], strict=True):
            assert now.loss == pytest.approx(loss, rel=10 * rtol) and now.correct == correct
        columns[str(update)] = dict(rule.plastic)
    check_columns(columns, frozen["parameters"], rtol)


FAULTY = ("masked, broadcast", "query-key, broadcast")
"""Frozen with the fault alone: gradients of the blocks, which it did not reach."""


@pytest.mark.parametrize("name", FAULTY)
def test_direct_feedback_within_blocks(name):
    case = C.NETWORKS[name]
    model, rule = learner(case, "sequence")
    rule.learn(*batch(case, model, C.GRADIENT))
    frozen = {n: v for n, v in FROZEN["cases"][name]["parameters"].items() if "embed" not in n}
    assert frozen
    check_columns({"gradient": {n: p.grad for n, p in rule.plastic.items()}}, frozen, 1e-5)


@pytest.mark.parametrize("name", [n for n in C.NETWORKS if n not in (*C.MENDED, *FAULTY)])
def test_ways_of_learning_of_a_network(name):
    check_case(name, FROZEN["cases"][name])


@pytest.mark.parametrize("name", C.MENDED)
def test_direct_feedback_with_its_fault_mended(name, monkeypatch):
    """Then, a stage that is one projection had a matrix by its name and a dot."""
    matrix = direct_feedback.random_matrix
    monkeypatch.setattr(
        direct_feedback,
        "random_matrix",
        lambda n, *sizes: matrix(f"{n}." if n in ("embed", "merge") else n, *sizes),
    )
    check_case(name, FROZEN["mended"][name])


@pytest.mark.parametrize("key", FROZEN["networks"])
@torch.no_grad()
def test_activity_energy_and_integers_of_a_network(key):
    frozen, options = FROZEN["networks"][key], json.loads(key)
    dtype = options.pop("dtype", "float64")
    model, _ = make(C.network(options, dtype=dtype))
    rtol = 1e-5 if dtype == "float32" else 1e-6
    x = C.events(C.FIRING)
    potentials, _ = model(x)
    assert_print(potentials, frozen["potentials"], rtol, "potentials")
    rows = count(model, [(x, C.answers(C.FIRING, C.CLASSES))])
    for row, (name, *numbers) in zip(rows, frozen["energy"], strict=True):
        assert row[0] == name and list(row[1:]) == pytest.approx(numbers)
    try:
        integers, _ = IntegerNetwork(quantize(to_graph(model))).potentials(x)
    except ConversionError:
        assert frozen["integer"] is None
        return
    stored = frozen["integer"]["sha256"]
    assert hashlib.sha256(integers.contiguous().numpy().tobytes()).hexdigest() == stored


def neuron(spec: tuple, size: int, image: bool) -> Any:
    kind, decay, *rest = spec
    if kind == "LIF":
        return LIF(decay_v=decay, bias=not image)
    if kind == "ALIF":
        return ALIF((decay,) * size)
    return LI(decay) if kind == "LI" else Leaky(decay, reset=rest[0])


def synapse(spec: tuple) -> Any:
    """A synapse whose trace is that of its neurons."""
    kind, inputs, outputs, *rest = spec
    if kind == "Linear":
        return Linear(inputs, outputs)
    size, stride, padding = rest
    if kind == "Conv2d":
        return Conv2d(inputs, outputs, size, stride=stride, padding=padding)
    return Patches(inputs, outputs, patch=size, stride=stride, padding=padding)


def part(spec: tuple) -> Any:
    if spec[0] == "Flatten":
        return Flatten()
    if spec[0] == "Pool2d":
        return Pool2d(spec[1])
    if spec[0] == "Block":
        _, width, heads, hidden = spec

        def cells(inputs: int, outputs: int, shortcut: float = 0.0) -> Projection:
            return Projection(Linear(inputs, outputs), LIF(decay_v=0.25), shortcut)

        memory = LinearMemory(width, heads, decay_shift=2, gain_shift=0)
        return Block(
            cells(width, 3 * width), Projection(memory, LIF(width, decay_v=0.25)),
            cells(width, width, 0.7), cells(width, hidden), cells(hidden, width, 0.7), "qkv",
        )  # fmt: skip
    connected, cells_ = spec
    return Projection(synapse(connected), neuron(cells_, connected[2], connected[0] == "Conv2d"))


def make_chain(name: str) -> Sequential:
    recipe = C.CHAINS[name]
    if recipe.get("snntorch"):
        net: Sequential = network_from_snntorch(
            nn.Sequential(*map(layer, recipe["parts"])).double(), input_shape=recipe["shape"]
        )
    else:
        net = Sequential(*map(part, recipe["parts"]), input_shape=recipe["shape"]).double()
    with torch.no_grad():
        for n, p in net.named_parameters():
            p.copy_(C.chain_fill(n, tuple(p.shape)))
    return net


def layer(spec: tuple) -> nn.Module:
    """A layer of torch or snnTorch."""
    import snntorch as snn
    from snntorch import surrogate

    kind, *rest = spec
    bias = bool(rest) and rest[-1] == "bias"
    match kind:
        case "Linear":
            return nn.Linear(*rest[:2], bias=bias)
        case "Conv2d":
            return nn.Conv2d(*rest[:5], bias=bias)
        case "AvgPool2d":
            return nn.AvgPool2d(rest[0])
        case "Flatten":
            return nn.Flatten()
    return snn.Leaky(
        beta=rest[0], threshold=C.THRESHOLD, reset_mechanism=rest[1], init_hidden=True,
        spike_grad=surrogate.fast_sigmoid(slope=C.SLOPE),
    )  # fmt: skip


def chain_batch(name: str, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return C.spikes(seed, C.CHAINS[name]["shape"]), C.answers(seed, 3)


def chain_rule(name: str, rule: str, update: str) -> Any:
    net, spec = make_chain(name), C.RULES[rule]
    made = {"three_factor": "local", "truncated_bptt": "bptt"}.get(spec["rule"], spec["rule"])
    torch.manual_seed(C.RULE_DRAWS)
    settings = C.SETTINGS | {"update": update} | spec.get("options", {})
    return getattr(rules, made)(net, **settings)


@pytest.mark.parametrize("key", [k for k, frozen in FROZEN["rules"].items() if frozen])
def test_rules_of_a_sequential(key):
    name, _, rule_name = key.partition(" / ")
    frozen = FROZEN["rules"][key]
    rule = chain_rule(name, rule_name, "online")
    torch.manual_seed(C.DRAWS)
    gradient = rule.gradients(*chain_batch(name, C.GRADIENT))
    columns: dict[str, Any] = {"gradient": gradient}
    for update in C.RULES[rule_name].get("updates", ("online",)):
        rule = chain_rule(name, rule_name, update)
        torch.manual_seed(C.DRAWS)
        results = [rule.learn(*chain_batch(name, seed)) for seed in C.LEARNING]
        for now, (loss, correct) in zip(results, frozen["results"][update], strict=True):
            assert now.loss == pytest.approx(loss, rel=1e-5) and now.correct == correct
        columns[update] = dict(rule.plastic)
    check_columns(columns, frozen["parameters"], 1e-5 if "drawn" in frozen else 1e-6)


@pytest.mark.parametrize("name", C.CHAINS)
@torch.no_grad()
def test_activity_and_energy_of_a_sequential(name):
    frozen, net = FROZEN["chains"][name], make_chain(name)
    x, y = chain_batch(name, C.FIRING)
    assert_print(net(x)[0], frozen["potentials"], 1e-6, "outputs")
    for row, (where, *numbers) in zip(count(net, [(x, y)]), frozen["energy"], strict=True):
        assert row[0] == where and list(row[1:]) == pytest.approx(numbers)


@pytest.mark.parametrize("name", C.ONCHIP)
def test_learning_as_on_a_chip(name):
    spec, frozen = C.ONCHIP[name], FROZEN["onchip"][name]
    model, _ = make(C.NETWORKS["block"])
    if spec["freeze_feedback"]:
        freeze_feedback(model)
    rule = rules.on_chip(
        model, spec["projections"],
        lr=spec["lr"], delay=spec["delay"], warmup_steps=spec["warmup_steps"],
    )  # fmt: skip
    results = [rule.learn(C.events(s, 1), C.answers(s, C.CLASSES, 1)) for s in C.LEARNING]
    for now, (loss, correct) in zip(results, frozen["results"], strict=True):
        assert now.loss == pytest.approx(loss, rel=1e-6) and now.correct == correct
    for stored in ("before flush", "weights"):
        for n, p in rule.optimizer.plastic.items():
            assert_print(p, frozen[stored][n], 1e-6, f"{n}, {stored}")
        rule.optimizer.flush()


@pytest.mark.parametrize("which", FROZEN["protection"])
def test_protection_of_earlier_tasks(which):
    frozen = FROZEN["protection"][which]
    if which == "network":
        case = C.NETWORKS[C.PROTECTED["network"]]
        model, rule = learner(case, "online")
        seen = C.events(C.CALIBRATION)
        batches = [batch(case, model, seed) for seed in C.LEARNING]
    else:
        name, _ = C.PROTECTED["chain"]
        rule = chain_rule(*C.PROTECTED["chain"], "online")
        model, seen = rule.network, chain_batch(name, C.CALIBRATION)[0]
        batches = [chain_batch(name, seed) for seed in C.LEARNING]
    protection = OrthogonalProjection(model, **C.PROTECTION)
    protection.observe(seen)
    for name, held in protection.consolidate().items():
        directions, new, share = frozen["held"][name]
        assert (held.directions, held.new) == (directions, new)
        assert held.share == pytest.approx(share, rel=1e-5)
    rule.protection = protection
    torch.manual_seed(C.DRAWS)
    for (loss, correct), given in zip(frozen["results"], batches, strict=True):
        now = rule.learn(*given)
        assert now.loss == pytest.approx(loss, rel=1e-5) and now.correct == correct
    for n, p in rule.plastic.items():
        assert_print(p, frozen["weights"][old_name(n)], 1e-5, n)


def test_a_copy_learns_as_the_original():
    model, rule = learner(C.NETWORKS["block"], "online")
    twin = copy.deepcopy(rule)
    for seed in C.LEARNING:
        rule.learn(*batch(C.NETWORKS["block"], model, seed))
        twin.learn(*batch(C.NETWORKS["block"], model, seed))
    for name, p in rule.plastic.items():
        assert torch.equal(p, twin.plastic[name])
