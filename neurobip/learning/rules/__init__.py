"""Learning rules by name, one a file: an eligibility times a learning signal.

Of a layer with B samples, I inputs, O cells, K synapses a cell and P positions (tokens or pixels,
1 for plain layers), over T steps; C classes, S stages. Memory is what learning adds to the state of
the network, cost what it adds to the step. Only :func:`bptt` depends on T.
"""

from neurobip.learning.rules.bptt import bptt
from neurobip.learning.rules.decolle import decolle
from neurobip.learning.rules.eprop import eprop
from neurobip.learning.rules.local import local
from neurobip.learning.rules.on_chip import on_chip
from neurobip.learning.rules.ottt import ottt
from neurobip.learning.rules.reward_stdp import reward_stdp
from neurobip.learning.rules.sltt import sltt
from neurobip.learning.rules.stllr import stllr

__all__ = [
    "bptt",
    "decolle",
    "eprop",
    "local",
    "on_chip",
    "ottt",
    "reward_stdp",
    "sltt",
    "stllr",
]
