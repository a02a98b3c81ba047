"""The hand-written update against autograd: the same model, one time step, every parameter."""

import pytest
import torch
from torch.nn import functional as F

from neurobip.learning import (
    LocalReadouts,
    OnlineRule,
    Trace,
    calibrate,
    set_feedback,
)
from neurobip.models import BiTFormer, BiTFormerConfig
from neurobip.neurons import LIF
from neurobip.projection import projections, state_at
from neurobip.synapses import Delayed, Linear, Patches

SMALL = dict(sensor=(2, 12, 12), width=8, hidden=12, heads=2, depth=2, patch=5, stride=4, padding=1)


def network(**changes) -> tuple[BiTFormer, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = BiTFormer(BiTFormerConfig(**{**SMALL, **changes}))
    for name, p in model.named_parameters():
        if "readouts" in name or "top_down" in name or "out." in name or "down." in name:
            torch.nn.init.normal_(p, std=0.3)
    # Many events a pixel, so that the retina spikes in the very first step.
    frames = 8 * (torch.rand(6, 5, 2, 12, 12) < 0.3).to(torch.uint8)
    calibrate(model, frames)
    return model, frames, torch.tensor([0, 3, 9, 3, 1])


def slow_gradients(model, frame, before, labels) -> dict[str, torch.Tensor]:
    """The rule's definition, by autograd.

    The weights act on the presynaptic trace as far as their own gradient goes, and on the present
    spikes for everything else; the state of the step before is a constant; blocks are detached.
    Feedback from later stages comes from an earlier step and is a constant too.
    """
    with torch.no_grad():
        _, now = model.step(frame, before)
    owners = dict(projections(model))

    def state_of(*path):
        here = before
        for key in path:
            here = here and here[key]
        return here

    def traced_synapse(synapse, seen):
        def current(x):
            if isinstance(synapse, Patches):
                return synapse.cut(x) @ synapse.weight.flatten(1).T
            return x @ synapse.weight.T

        def hook(x, state):
            learn = current(seen.pre_trace)
            weight = synapse.weight
            synapse.weight = torch.nn.Parameter(weight.detach(), requires_grad=False)
            present = current(seen.x if isinstance(synapse, Delayed) else x)
            synapse.weight = weight
            return present + learn - learn.detach(), seen

        synapse.step = hook

    def traced(name, projection):
        synapse, neuron = projection.synapse, projection.neuron

        def hook_neuron(x, state, step=neuron.step):
            if isinstance(neuron, LIF) and neuron.bias is not None:
                share = neuron.bias * state_at(now, name).neuron.bias_trace
                bias = neuron.bias
                neuron.bias = torch.nn.Parameter(bias.detach(), requires_grad=False)
                result = step(x + share - share.detach(), state)
                neuron.bias = bias
                return result
            return step(x, state)

        if isinstance(synapse, Linear | Patches):
            traced_synapse(synapse, state_at(now, name).synapse)
        if projection.top_down is not None:
            traced_synapse(projection.top_down, state_at(now, name).top_down)
        neuron.step = hook_neuron

    for name, projection in owners.items():
        traced(name, projection)
    try:
        z, _ = model.retina.step(frame.float(), state_of("retina"))
        z, _ = model.embed.step(z, state_of("embed"), above=z)
        stages = [z]
        for i, block in enumerate(model.blocks):
            z, _ = block.step(z.detach(), state_of("blocks", str(i)))
            stages.append(z)
        loss = torch.zeros(())
        for i, (readout, z) in enumerate(zip(model.readouts, stages, strict=True)):
            v, _ = readout.step(z.flatten(1), state_of("readouts", str(i)))
            loss = loss + F.cross_entropy(model.options.readout_decay * v, labels)
        model.zero_grad()
        loss.backward()
    finally:
        for projection in owners.values():
            for part in (projection.synapse, projection.neuron, projection.top_down):
                if part is not None:
                    part.__dict__.pop("step", None)
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
@pytest.mark.parametrize("top_down", [0, 2])
@pytest.mark.parametrize("t", [0, 4])
def test_credit_equals_autograd(attention, top_down, t):
    model, frames, labels = network(attention=attention, top_down=top_down)
    state = None
    with torch.no_grad():
        for frame in frames[:t]:
            _, state = model.step(frame, state)
    rule = OnlineRule(model, Trace(), LocalReadouts())
    held = None
    for i in range(t + 1):
        _, by_hand, held = rule.step(frames[i], labels if i == t else None, held)
    slow = slow_gradients(model, frames[t], state, labels)
    assert by_hand.keys() == slow.keys() == dict(model.named_parameters()).keys()
    for name, gradient in slow.items():
        scale = gradient.abs().max().clamp(min=1e-8)
        torch.testing.assert_close(
            by_hand[name] / scale,
            gradient / scale,
            rtol=0,
            atol=1e-5,
            msg=lambda m, n=name: f"{n}: {m}",
        )
    if top_down:
        assert bool(slow["embed.top_down.weight"].any()) == (t > top_down)
    alive = [n for n, g in slow.items() if g.abs().sum() > 0]
    assert len(alive) > (0.8 if t else 0.5) * len(slow), (
        f"the test says nothing about {slow.keys() - set(alive)}"
    )


def test_kolen_pollack_feedback_sends_errors_and_learns_the_same_product():
    model, frames, labels = network()
    set_feedback(model, "kolen_pollack")
    _, dw, _ = OnlineRule(model, Trace(), LocalReadouts()).step(frames[0], labels)
    assert sum(name.endswith("feedback") for name in dw) > 4
    for name in dw:
        if name.endswith("feedback"):
            torch.testing.assert_close(dw[name], dw[name.replace("feedback", "weight")])
    synapse = model.blocks[0].up.synapse
    delta = torch.randn(5, 4, 12)
    torch.testing.assert_close(synapse.send(delta, None), delta @ synapse.feedback)
