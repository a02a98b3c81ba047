"""Every rule on a Sequential and on a BiTFormer: what moves, when, resuming, and overlap."""

import copy

import pytest
import torch

from neurobip.errors import ConfigError
from neurobip.learning import calibrate, rules
from neurobip.models import BiTFormer, BiTFormerConfig, Head, Sequential
from neurobip.neurons import LI, LIF
from neurobip.shapes import Flatten
from neurobip.synapses import Conv2d, Linear

from ..halves import SMALL, task
from ..networks import batch, prepared

pytestmark = pytest.mark.slow

RULES = {
    "local": rules.local,
    "local, kolen_pollack": lambda n, **s: rules.local(
        n, feedback="kolen_pollack", **{"weight_decay": 0.1, **s}
    ),
    "local, random": lambda n, **s: rules.local(n, feedback="random", **s),
    "local, direct": lambda n, **s: rules.local(n, feedback="direct", **s),
    "local, reward": lambda n, **s: rules.local(n, feedback="reward", **s),
    "local, exact": lambda n, **s: rules.local(n, memory_trace="exact", **s),
    "decolle": rules.decolle,
    "ottt": rules.ottt,
    "sltt": rules.sltt,
    "stllr": rules.stllr,
    "eprop": rules.eprop,
    "eprop, symmetric": lambda n, **s: rules.eprop(n, symmetric=True, **s),
    "reward_stdp": rules.reward_stdp,
    "bptt": rules.bptt,
    "bptt, window": lambda n, **s: rules.bptt(n, window=3, **s),
    "bptt, deep supervision": lambda n, **s: rules.bptt(n, deep_supervision=True, **s),
    "on_chip": lambda n, **s: rules.on_chip(
        n, delay=2, **{k: v for k, v in s.items() if k != "update"}
    ),
}
ALONE = ("decolle", "ottt", "sltt", "stllr", "eprop", "eprop, symmetric", "reward_stdp", "bptt",
         "bptt, window")  # fmt: skip
"""Rules by which only the answering readout of a network learns."""
REFUSED = ("local, kolen_pollack", "local, random", "local, direct")
"""Rules that do not go with a threshold shift."""


def bitformer(**options) -> BiTFormer:
    torch.manual_seed(0)
    network = BiTFormer(BiTFormerConfig(classes=2, depth=1, **{**SMALL, **options}))
    calibrate(network, task()[0])
    with torch.no_grad():
        for readout in network.readouts:
            readout.synapse.weight.normal_(std=0.2)
        for name, parameter in network.named_parameters():
            if "top_down" in name or "threshold_shift" in name:
                parameter.normal_(std=0.1)
    return network


def pairs() -> Sequential:
    torch.manual_seed(0)
    network = Sequential(
        Conv2d(2, 4, 5, scale=2.0, stride=3), LIF(), Flatten(),
        Linear(36, 8, scale=2.0), LIF(), Linear(8, 2), LI(0.125),
        input_shape=(2, 12, 12),
    )  # fmt: skip
    calibrate(network, task()[0])
    return network


NETWORKS = {
    "bitformer": bitformer,
    "merged": lambda: bitformer(merge=2, merged=16),
    "looped": lambda: bitformer(top_down=2, retina="none"),
    "shifted": lambda: bitformer(top_down_threshold=2),
    "head": lambda: bitformer().head(),
    "pairs": pairs,
}


def small(name: str):
    """The network on which a rule is tried often."""
    return bitformer() if name == "local, reward" else prepared("two layers")[0]


def batch_of(name: str):
    """A batch of :func:`small`."""
    return task(samples=6) if name == "local, reward" else batch((6,))


def trained_on(network):
    """Frames as the network takes them, and labels."""
    frames, labels = task()
    if isinstance(network, Head):
        return bitformer().encode(frames), labels
    return frames, labels


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", RULES)
def test_it_moves_what_it_should(name, network):
    made = NETWORKS[network]()
    if name == "local, reward" and network == "pairs":
        with pytest.raises(ConfigError, match="a readout at every stage"):
            RULES[name](made)
        return
    if network == "shifted" and name in REFUSED:
        with pytest.raises(ConfigError, match="top_down_threshold learns from the error"):
            RULES[name](made)
        return
    rule = RULES[name](made, lr=1e-2)
    before = {n: p.detach().clone() for n, p in made.named_parameters()}
    torch.manual_seed(0)
    for _ in range(2):
        result = rule.learn(*trained_on(made))
    assert result.samples == 24 and result.loss > 0
    moved = {n for n, p in made.named_parameters() if not torch.equal(p, before[n])}
    expected = set(before)
    if name == "on_chip":
        expected = {n for n in expected if n.endswith("synapse.weight")}
    if name == "reward_stdp":
        expected = {n for n in expected if not n.endswith(("bias", "threshold_shift.weight"))}
    if name in ("local, random", "local, exact", "local, direct"):
        expected = {n for n in expected if not n.endswith("feedback")}
    if name in ALONE:  # earlier readouts have no error
        stages = made.stages()
        early = tuple(f"{s.readout_name}." for s in stages[:-1] if s.readout is not None)
        expected = {n for n in expected if not early or not n.startswith(early)}
    assert moved == expected


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("update", ["online", 3, "sequence"])
def test_updates_online_by_number_and_by_sequence(name, update):
    network, (frames, labels) = small(name), batch_of(name)
    if name.startswith("bptt") and update == 3:
        with pytest.raises(ConfigError, match="window=3"):
            RULES[name](network, update=update)
        return
    rule = RULES[name](network, update=update, warmup_steps=1)
    moves = []
    step = rule.optimizer.step

    def counted(gradients, group=0):
        moves.append(dict(gradients))
        step(gradients, group)

    rule.optimizer.step = counted
    rule.learn(frames, labels)
    if name == "on_chip":
        assert len(moves) == 8, "a chip moves weights at every step"
    elif name.startswith("bptt"):  # windows take the place of steps
        windows = 3 if name == "bptt, window" and update == "online" else 1
        assert len(moves) == windows
    else:
        assert len(moves) == {"online": 7, 3: 3, "sequence": 1}[update]
    assert any(moves)


@pytest.mark.parametrize("update", ["online", "sequence"])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_resumes_exactly(name, update):
    torch.manual_seed(0)
    frames, labels = batch_of(name)
    network = small(name)
    whole = RULES[name](network, update=update, lr=1e-2, total_batches=4)
    torch.manual_seed(1)
    for i in range(4):
        if i == 2:
            kept = {n: t.clone() for n, t in whole.state_dict().items()}
            half, generator = copy.deepcopy(network.state_dict()), torch.get_rng_state()
        whole.learn(frames, labels)
    torch.manual_seed(9)  # other matrices and readouts, until the state comes
    again = small(name)
    resumed = RULES[name](again, update=update, lr=1e-2, total_batches=4)
    again.load_state_dict(half)
    resumed.load_state_dict(kept)
    torch.set_rng_state(generator)
    for _ in range(2):
        resumed.learn(frames, labels)
    assert all(map(torch.equal, network.parameters(), again.parameters()))
    ours, theirs = whole.state_dict(), resumed.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[n], theirs[n]) for n in ours)


@pytest.mark.parametrize("name", ["local", "local, random", "local, kolen_pollack", "decolle"])
@pytest.mark.parametrize("update", ["online", 3, "sequence"])
@pytest.mark.parametrize("network", ["bitformer", "pairs"])
def test_overlap_changes_nothing(name, update, network):
    """Bit by bit: each stage does the same work in the same order."""
    found = []
    for overlap in (1, 2, 3):
        torch.manual_seed(3)
        made = NETWORKS[network]()
        rule = RULES[name](made, update=update, overlap=overlap, lr=1e-2)
        results = [rule.learn(*task(seed=seed)) for seed in range(2)]
        found.append((results, made.state_dict(), rule.state_dict()))
    for other in found[1:]:
        assert other[0] == found[0][0]
        for ours, theirs in zip(found[0][1:], other[1:], strict=True):
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[n], theirs[n]) for n in ours)


@pytest.mark.parametrize("name", ["local, reward", "local, direct", "ottt", "sltt", "stllr",
                                  "eprop", "reward_stdp", "bptt", "on_chip"])  # fmt: skip
def test_rules_whose_stages_wait_refuse_overlap(name):
    with pytest.raises(ConfigError, match="overlap"):
        RULES[name](bitformer(), overlap=2)


def plain(**trace) -> Sequential:
    torch.manual_seed(0)
    network = Sequential(
        Linear(6, 8, scale=1.5, **trace), LIF(decay_v=0.125), Linear(8, 3, scale=2.0, **trace),
        LI(0.5), input_shape=(6,),
    )  # fmt: skip
    network.parts[0][1].neuron.bias.data.fill_(0.2)
    return network.double()


def test_ottt_is_not_sltt_where_no_trace_was_asked_for():
    """A layer without decay_trace traces as its membrane: nothing has to be said twice."""
    frames, labels = batch((6,), steps=9)
    network = plain()
    assert [part.synapse.decay_trace for _, part in network.parts] == [0.125, 0.5]
    traced = rules.ottt(network).gradients(frames, labels)
    instant = rules.sltt(network).gradients(frames, labels)
    for name in traced:
        assert not torch.allclose(traced[name], instant[name], rtol=1e-2), name
    # Said explicitly, it is the same.
    said = plain()
    for _, part in said.parts:
        part.synapse.decay_trace = part.neuron.leak
    assert all(torch.equal(g, traced[n]) for n, g in
               rules.ottt(said).gradients(frames, labels).items())  # fmt: skip
    # And without a trace the two rules agree but for the bias, whose trace is the neuron's own.
    none = plain(decay_trace=1.0)
    ours, theirs = (make(none).gradients(frames, labels) for make in (rules.ottt, rules.sltt))
    for name in ours:
        assert torch.equal(ours[name], theirs[name]) == name.endswith("weight")


def test_traces_of_ottt_decay_as_the_membrane():
    """A single event long ago, on a membrane that does not fire: error times what is left."""
    network = plain()
    network.parts[0][1].neuron.bias.data.fill_(0.0)
    with torch.no_grad():
        network.parts[0][1].synapse.weight.mul_(0.2)
    frames = torch.zeros(6, 1, 6).double()
    frames[0, 0, 2] = 1.0
    labels, at_end = torch.tensor([1]), {"label_steps": 1}
    late = rules.ottt(network, **at_end).gradients(frames, labels)["0.synapse.weight"]
    _, states = network.scan(frames)
    assert not states["0"].neuron.z.any()
    left = states["0"].neuron.v[-1, 0]
    torch.testing.assert_close(left, 0.875**5 * network.parts[0][1].synapse.weight[:, 2])
    bias = rules.ottt(network, **at_end).gradients(frames, labels)["0.neuron.bias"]
    ones = sum(0.875**k for k in range(6))
    torch.testing.assert_close(late[:, 2], 0.875**5 * bias / ones)
    assert bool(late[:, 2].any()) and not late[:, :2].any() and not late[:, 3:].any()
    assert not rules.sltt(network, **at_end).gradients(frames, labels)["0.synapse.weight"].any()


def test_a_step_of_ones_own_moves_as_learn_does():
    frames, labels = batch((6,), steps=5)
    ours, theirs = plain(), plain()
    rules.ottt(ours, lr=1e-2).learn(frames, labels)
    rule, state = rules.ottt(theirs, lr=1e-2), None
    for frame in frames:
        output, dw, state = rule.step(frame, labels, state)
        assert output.shape == (5, 3)
        rule.optimizer.step(dw)
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
