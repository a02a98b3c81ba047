"""NeuroBench on any network: its hooks on our synapses and populations.

Needs ``neurobench`` 2.3 (``pip install --no-deps neurobench==2.3.0``: its requirements beyond torch
and snnTorch are for data sets that are not used here).

Source: Yik et al. 2025, "The neurobench framework for benchmarking neuromorphic computing
algorithms and systems".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from neurobench.hooks.layer import LayerHook
from neurobench.hooks.neuron import NeuronHook
from neurobench.models import NeuroBenchModel
from torch import Tensor, nn

from neurobip.component import Component
from neurobip.neurons import LI
from neurobip.neurons.neuron import Neuron
from neurobip.shapes import as_images
from neurobip.synapses import Conv2d, Delayed, Indexed, Linear, Patches, Synapse, TorchLayer


class NeuroBenchNetwork(NeuroBenchModel):
    """A network for ``neurobench.benchmarks.Benchmark``, as ``SNNTorchModel`` is for snnTorch.

    A synapse counts as the ``nn.Linear`` or ``nn.Conv2d`` that computes the same current. Synapses
    without such a layer (attention, retina) and shortcuts have no place in NeuroBench;
    :attr:`uncounted` names them, and :func:`neurobip.energy.count` counts them. Populations count
    as activations if they spike.

    Definitions that differ from ``energy.count``: here an input other than -1, 0 and 1 is a MAC,
    while ``count`` takes whole numbers as so many spikes; ``Dense`` here is of all time steps,
    ``dense`` there of one.

    Shape:
        data ``[B, T, ...]`` to outputs ``[B, T, ...]``, batch first, as NeuroBench has it.
    """

    def __init__(self, network: Component) -> None:
        super().__init__()
        self.network = network.eval()

    def __call__(self, batch: Tensor) -> Tensor:
        """The outputs of all time steps; one call a step, as a call has spikes or values."""
        state, outputs = None, []
        with torch.no_grad():
            for frame in batch.transpose(0, 1):
                z, state = self.network(frame[None], state)
                outputs.append(z[0])
        return torch.stack(outputs, 1)

    def __net__(self) -> nn.Module:
        """A view of the network whose children are layers of torch."""
        return _Layers(self.network)

    def activation_layers(self) -> list[dict[str, Any]]:
        """The populations that spike, by their dotted names."""
        return [
            {"layer_name": name, "layer": part}
            for name, part in self.network.named_modules()
            if isinstance(part, Neuron) and not isinstance(part, LI)
        ]

    def connection_layers(self) -> list[nn.Module]:
        """The synapses that have a layer of torch, see :func:`as_layer`."""
        return [synapse for _, synapse in _synapses(self.network) if as_layer(synapse) is not None]

    @property
    def uncounted(self) -> list[str]:
        """Dotted names of the synapses that have no layer of torch."""
        return [name for name, synapse in _synapses(self.network) if as_layer(synapse) is None]

    def register_hooks(self) -> None:
        """Register NeuroBench's hooks on populations and synapses."""
        for found in self.activation_layers():
            self.activation_hooks.append(_PopulationHook(found["layer"], found["layer_name"]))
        for synapse in self.connection_layers():
            self.connection_hooks.append(_SynapseHook(synapse))


def as_layer(synapse: Any) -> nn.Linear | nn.Conv2d | None:
    """The layer of torch that computes a synapse's current, with the same weights; None if none."""
    layer: nn.Linear | nn.Conv2d
    if isinstance(synapse, TorchLayer):
        return synapse.layer
    if isinstance(synapse, Linear | Indexed):
        outputs, inputs = synapse.weight.shape
        layer = nn.Linear(inputs, outputs, bias=False, device="meta")
    elif isinstance(synapse, Conv2d | Patches):
        outputs, inputs, *kernel = synapse.weight.shape
        groups = getattr(synapse, "groups", 1)
        layer = nn.Conv2d(
            inputs * groups, outputs, tuple(kernel), synapse.stride, synapse.padding,  # type: ignore[arg-type]
            groups=groups, bias=False, device="meta",
        )  # fmt: skip
    else:
        return None
    layer.weight = nn.Parameter(synapse.weight.detach(), requires_grad=False)
    return layer


def layer_input(synapse: Any, x: Tensor, state: Any) -> Tensor:
    """The input of a synapse's layer in one time step.

    Shape:
        x ``[1, B, ...]``, time first; result as the layer takes it.
    """
    if isinstance(synapse, Delayed) and synapse.delay:
        x = torch.zeros_like(x) if state is None else state.line[0][None]
    if isinstance(synapse, Linear):
        return synapse.incoming(x)
    return as_images(x) if isinstance(as_layer(synapse), nn.Conv2d) else x


class _SynapseHook(LayerHook):
    """Records the input of a synapse for its layer of torch."""

    def __init__(self, synapse: nn.Module) -> None:
        super().__init__(None)
        self.synapse, self.layer = synapse, as_layer(synapse)
        self.register_hook()

    def hook_fn(self, module: Any, input: Any) -> None:
        """Called before the synapse runs, with its input and state."""
        x, state = input
        self.inputs.append((layer_input(self.synapse, x, state),))

    def register_hook(self) -> None:
        """Put the hook on the synapse, not on the layer, which never runs."""
        self.hook = self.synapse.register_forward_pre_hook(self.hook_fn)


class _PopulationHook(NeuronHook):
    """Records the spikes of a population, without its state."""

    def hook_fn(self, layer: Any, input: Any, output: Any) -> None:
        """Called after the population has run."""
        self.activation_outputs.append(output[0])


class _Layers(nn.Module):
    """A network whose children are the layers of torch of its synapses."""

    def __init__(self, network: Component) -> None:
        super().__init__()
        self.network = network

    def children(self) -> Iterator[nn.Module]:
        """The layers, in the order of the network."""
        layers = (as_layer(synapse) for _, synapse in _synapses(self.network))
        return (layer for layer in layers if layer is not None)


def _synapses(network: nn.Module) -> list[tuple[str, Synapse]]:
    return [(name, part) for name, part in network.named_modules() if isinstance(part, Synapse)]
