"""Spiking networks for events: retina, attention, local learning, and Lava.

    import neurobip as nb

Networks
    LIF, ALIF, LI, Leaky                     neurons
    Linear, Conv2d, Patches, Delayed         synapses
    Projection                               a synapse and the neurons that it drives
    Flatten, Pool2d                          shapes
    Sequential, BiTFormer, BiTFormerConfig   networks; Network is their protocol
    network_from_snntorch                    a network of snnTorch, with its own parameters
    event_camera, mouse, primate_periphery   retinas, see neurobip.retina

Data
    SaccadeDigits, NMNIST                    data sets
    split_dataset, batches                   train, validation and test parts; time first batches

Learning
    rules                                    rules.local, rules.eprop, rules.bptt, …
    fit, accuracy, measure_energy            training, and what comes out

Conversion
    to_graph, quantize, verify               graph, integers, Lava compared spike by spike

Every component has step(x, state) -> (z, state) and forward over [T, B, ...], time first. Names are
loaded when they are first used; everything else is in the module that its concept names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurobip.component import Component
    from neurobip.converters.lava.verify import verify
    from neurobip.converters.lowering import to_graph
    from neurobip.converters.quantization.quantize import quantize
    from neurobip.datasets.loader import batches
    from neurobip.datasets.nmnist import NMNIST
    from neurobip.datasets.saccade_digits import SaccadeDigits
    from neurobip.datasets.splits import split_dataset
    from neurobip.energy.report import measure_energy
    from neurobip.evaluation import accuracy
    from neurobip.learning import rules
    from neurobip.models.bitformer import BiTFormer
    from neurobip.models.bitformer_config import BiTFormerConfig
    from neurobip.models.network import Network
    from neurobip.models.sequential import Sequential
    from neurobip.models.snntorch import network_from_snntorch
    from neurobip.neurons import ALIF, LI, LIF, Leaky
    from neurobip.projection import Projection, projections
    from neurobip.retina import Retina, event_camera, mouse, primate_periphery
    from neurobip.runs.fit import fit
    from neurobip.shapes import Flatten, Pool2d
    from neurobip.synapses import Conv2d, Delayed, Linear, Patches

__version__ = "0.1.0"

_HOME = {
    "ALIF": "neurobip.neurons",
    "BiTFormer": "neurobip.models.bitformer",
    "BiTFormerConfig": "neurobip.models.bitformer_config",
    "Component": "neurobip.component",
    "Conv2d": "neurobip.synapses",
    "Delayed": "neurobip.synapses",
    "Flatten": "neurobip.shapes",
    "LI": "neurobip.neurons",
    "LIF": "neurobip.neurons",
    "Leaky": "neurobip.neurons",
    "Linear": "neurobip.synapses",
    "NMNIST": "neurobip.datasets.nmnist",
    "Network": "neurobip.models.network",
    "Patches": "neurobip.synapses",
    "Pool2d": "neurobip.shapes",
    "Projection": "neurobip.projection",
    "Retina": "neurobip.retina",
    "SaccadeDigits": "neurobip.datasets.saccade_digits",
    "Sequential": "neurobip.models.sequential",
    "accuracy": "neurobip.models.accuracy",
    "batches": "neurobip.datasets.loader",
    "event_camera": "neurobip.retina",
    "fit": "neurobip.runs.fit",
    "measure_energy": "neurobip.energy.report",
    "mouse": "neurobip.retina",
    "network_from_snntorch": "neurobip.models.snntorch",
    "primate_periphery": "neurobip.retina",
    "projections": "neurobip.projection",
    "quantize": "neurobip.converters.quantization.quantize",
    "rules": "neurobip.learning",
    "split_dataset": "neurobip.datasets.splits",
    "to_graph": "neurobip.converters.lowering",
    "verify": "neurobip.converters.lava.verify",
}

__all__ = [
    "ALIF",
    "BiTFormer",
    "BiTFormerConfig",
    "Component",
    "Conv2d",
    "Delayed",
    "Flatten",
    "LI",
    "LIF",
    "Leaky",
    "Linear",
    "NMNIST",
    "Network",
    "Patches",
    "Pool2d",
    "Projection",
    "Retina",
    "SaccadeDigits",
    "Sequential",
    "accuracy",
    "batches",
    "event_camera",
    "fit",
    "measure_energy",
    "mouse",
    "network_from_snntorch",
    "primate_periphery",
    "projections",
    "quantize",
    "rules",
    "split_dataset",
    "to_graph",
    "verify",
]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'neurobip' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
