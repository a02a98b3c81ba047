"""The rules of the literature by name, each an eligibility and a teaching signal.

Of a layer with B samples, I inputs, O cells, K synapses a cell and P positions (tokens or pixels,
1 for plain layers), over T steps; C classes, S sections. Memory is what learning adds to the state
of the network, cost what it adds to the step. Nothing but :func:`truncated_bptt` depends on T.
"""

from typing import Unpack

from torch import Tensor

from neurobip.component import Component
from neurobip.learning.eligibility import (
    EProp,
    Instant,
    RewardModulatedSTDP,
    TimingDependent,
    Trace,
)
from neurobip.learning.feedback import Feedback
from neurobip.learning.learner import Settings
from neurobip.learning.local_readouts import LocalReadouts
from neurobip.learning.online import OnlineRule
from neurobip.learning.teaching import Reward, Spatial
from neurobip.learning.truncated import TruncatedBPTT
from neurobip.models.sequential import Sequential


def three_factor(chain: Sequential, frame: Tensor, **settings: Unpack[Settings]) -> OnlineRule:
    """Trace x a trained readout at every section.

    Memory: ``O(B I)`` a layer. Cost: ``O(B P K O)`` a layer, ``O(B C P O)`` a readout.

    Shape:
        frame: one step of input ``[B, ...]``, whose shape gives the readouts theirs.
    """
    teaching = LocalReadouts(chain.widths(frame), decay=chain.gain, trained=True)
    return OnlineRule(chain, Trace(), teaching, **settings)


def decolle(chain: Sequential, frame: Tensor, **settings: Unpack[Settings]) -> OnlineRule:
    """Trace x a fixed random readout at every section (Kaiser et al. 2020).

    Memory: ``O(B I)`` a layer. Cost: ``O(B P K O)`` a layer, ``O(B C P O)`` a readout.

    Shape:
        frame: one step of input ``[B, ...]``, whose shape gives the readouts theirs.
    """
    return OnlineRule(chain, Trace(), LocalReadouts(chain.widths(frame)), **settings)


def ottt(chain: Sequential, **settings: Unpack[Settings]) -> OnlineRule:
    """Trace x the adjoint within the step (OTTT, Xiao et al. 2022).

    Memory: ``O(B I)`` a layer. Cost: ``O(B P K O)`` a layer.
    """
    return OnlineRule(chain, Trace(), Spatial(), **settings)


def sltt(chain: Sequential, **settings: Unpack[Settings]) -> OnlineRule:
    """Instant x the adjoint within the step (SLTT, Meng et al. 2023).

    Memory: none. Cost: ``O(B P K O)`` a layer.
    """
    return OnlineRule(chain, Instant(), Spatial(), **settings)


def stllr(
    chain: Sequential, *, alpha_post: float = 0.2, decay_post: float = 0.5, **settings: Unpack[Settings]
) -> OnlineRule:
    """TimingDependent x the adjoint within the step (S-TLLR, Apolinario & Roy 2025).

    Memory: ``O(B (I + P O))`` a layer. Cost: ``O(B P K O)`` a layer, twice that of Trace.
    """
    timing = TimingDependent(alpha_post=alpha_post, decay_post=decay_post)
    return OnlineRule(chain, timing, Spatial(), **settings)


def eprop(
    chain: Sequential, frame: Tensor, *, symmetric: bool = False, **settings: Unpack[Settings]
) -> OnlineRule:
    """EProp x the answer's error through fixed matrices (Bellec et al. 2020).

    ``symmetric`` takes the readout's weights for the section right below it. The filter of the
    eligibility is the leak of the chain's readout.

    Memory: ``O(B P O K)`` a layer. Cost: ``O(B P O K)`` a layer, ``O(B C P O)`` a section.

    Shape:
        frame: one step of input ``[B, ...]``, whose shape gives the matrices theirs.
    """
    teaching = Feedback(chain.widths(frame), symmetric=symmetric)
    return OnlineRule(chain, EProp(kappa=chain.kappa), teaching, **settings)


def reward_stdp(
    chain: Sequential,
    *,
    stdp: RewardModulatedSTDP | None = None,
    expected: float | None = None,
    **settings: Unpack[Settings],
) -> OnlineRule:
    """RewardModulatedSTDP x one scalar a sample (Florian 2007).

    Memory: ``O(B P O K)`` a layer. Cost: ``O(B P O K)`` a layer.
    """
    return OnlineRule(chain, stdp or RewardModulatedSTDP(), Reward(expected), **settings)


def truncated_bptt(model: Component, window: int, **settings: Unpack[Settings]) -> TruncatedBPTT:
    """Backpropagation through windows of time; with one as long as the sequence, BPTT.

    Memory: ``O(B window)`` times the cells. Cost: about that of the step, once more.
    """
    return TruncatedBPTT(model, window, **settings)
