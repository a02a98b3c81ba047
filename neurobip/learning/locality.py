"""Locality: by which way an error reaches the synapses of a network.

| locality    | whose error            | by what it is sent                                |
|-------------|------------------------|---------------------------------------------------|
| `block`     | the stage's readout    | the stage's own present weights                    |
| `aligned`   | the stage's readout    | feedback matrices that learn beside the weights    |
| `sign`      | the stage's readout    | the signs of the weights                           |
| `feedback`  | the stage's readout    | fixed random matrices                              |
| `broadcast` | the network's readout  | a fixed random matrix straight to each population  |
| `reward`    | one scalar             | the stage's own present weights                    |
"""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from neurobip.attention import LinearMemory
from neurobip.models.stage import Stage
from neurobip.neurons import LIF
from neurobip.projection import prefixed, projections, state_at
from neurobip.synapses import Indexed, Linear

LAST = ("broadcast", "reward")
"""Localities that wait for the last readout before any stage can learn."""


def route(model: nn.Module, locality: str) -> None:
    """Give the synapses of a fresh network what their locality sends errors through.

    The random matrices of ``aligned`` and ``feedback`` become parameters of the network.
    """
    for name, part in model.named_modules():
        # What queries, keys and values would send goes to another stage, which hears none of it.
        unheard = name.endswith(("qkv.synapse", "top_down", "threshold_shift"))
        if unheard or not isinstance(part, Linear | Indexed):
            continue
        if locality == "aligned":
            part.align()
        elif locality == "feedback":
            part.randomize()
        elif locality == "sign":
            part.sign()


def slow_traces(model: nn.Module) -> None:
    """Let the traces of queries, keys and values decay as slowly as the memories that hear them."""
    for part in model.modules():
        if isinstance(part, LinearMemory):
            part.decay_trace = 1 - part.keep


def broadcast(stage: Stage, error: Tensor, state: Any) -> dict[str, Tensor]:
    """Local gradients of a stage whose every population hears the network's error directly.

    Source: Nøkland 2016, "Direct feedback alignment provides learning in deep neural networks";
    Bellec et al. 2020, broadcast alignment of e-prop.

    Shape:
        error: of the last readout ``[..., B, classes]``; state: of the stage's part.
    """
    dw: dict[str, Tensor] = {}
    for name, projection in projections(stage.part):
        if not isinstance(projection.neuron, LIF):
            continue
        spikes = state_at(state, name).neuron.z
        matrix = random_matrix(f"{stage.name}.{name}", error.shape[-1], spikes.shape[-1])
        arrived = (error @ matrix.to(error)).unsqueeze(-2).expand(spikes.shape)
        dw |= prefixed(name, projection.credit(arrived, state_at(state, name)).dw)
    return prefixed(stage.name, dw) if dw else dw


def random_matrix(name: str, inputs: int, outputs: int) -> Tensor:
    """A fixed random matrix that belongs to a name: the same in every run, kept nowhere.

    Shape:
        ``[inputs, outputs]``, entries of variance ``1 / inputs``.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(inputs, outputs, generator=generator) / inputs**0.5
