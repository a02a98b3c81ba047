"""The network on SpikingJelly 2: its LIF node in multi-step mode, with its fused CPU operators.

``tau = 4`` without decay of the input is a leak of a quarter a step; ``PiecewiseQuadratic(1)`` is
the triangle of width 1. It is one of the surrogates that SpikingJelly's registered operators know,
and cheaper than its default. It fires at ``v >= threshold``, we at ``v > threshold``: they differ
where a membrane hits the threshold exactly.
"""

import logging

from spikingjelly.activation_based import functional, neuron, surrogate

from peers.network import Network, Trainer

# Its operators look for Triton at every first call, which no CPU build of torch has.
logging.getLogger("torch._library.triton").setLevel(logging.ERROR)


def population(decay_v: float = 0.25) -> neuron.LIFNode:
    """A layer of leaky integrate-and-fire neurons over ``[T, ...]``, reset to zero."""
    return neuron.LIFNode(
        tau=1 / decay_v,
        decay_input=False,
        v_threshold=1.0,
        v_reset=0.0,
        surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),
        detach_reset=True,
        step_mode="m",
    )


def trainer(model) -> Trainer:
    """Training of a copy of ``model``; state is set back before each batch."""
    network = Network(model, lambda: population(model.options.decay_v))
    scale = model.options.readout_decay
    return Trainer(network, lambda: functional.reset_net(network), scale)
