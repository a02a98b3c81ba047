"""Writes the graphs in this folder with the exporters of the frameworks themselves.

    python make_graphs.py snntorch | spikingjelly | norse

needs that framework (snntorch 1.0.0, spikingjelly 2.0.0, norse 1.1.0; each with nir 1.0.8 and
nirtorch 2.6), and neurobip not at all. For each network there is its graph, ``<name>.nir``, as the
exporter and ``nir.write`` leave it, and ``<name>.npz`` with spikes that went in and spikes that
came out of the network in its own framework:

    x  [T, B, ...]  input of every step        z  [T, B, ...]  its output

``snntorch_default_reset.npz`` also holds the parameters of its network, by the names that they have
in its ``state_dict``: its graph does not say all of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nir
import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
STEPS, BATCH = 40, 3


def spikes(*shape: int, rate: float = 0.4) -> torch.Tensor:
    """Random input spikes."""
    return (torch.rand(STEPS, BATCH, *shape) < rate).to(torch.get_default_dtype())


def dense(inputs: int, outputs: int, shift: float = 0.1, bias: bool = True) -> nn.Linear:
    """A layer that makes its neurons fire."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, shift, 1.2 / inputs**0.5)
    if bias:
        nn.init.normal_(layer.bias, 0.05, 0.1)
    return layer


def convolution(inputs: int, outputs: int, kernel: int, **options) -> nn.Conv2d:
    """A convolution that makes its neurons fire."""
    layer = nn.Conv2d(inputs, outputs, kernel, **options)
    nn.init.normal_(layer.weight, 0.1, 1.2 / (inputs * kernel**2) ** 0.5)
    nn.init.normal_(layer.bias, 0.05, 0.1)
    return layer


def store(
    name: str, graph: nir.NIRGraph, x: torch.Tensor, z: torch.Tensor, **parameters: torch.Tensor
) -> None:
    """Both files of a network."""
    # Compressed, the files would be larger, and HDF5 compresses no scalar, as Norse writes them.
    nir.write(HERE / f"{name}.nir", graph, compression=None)
    values = z.detach().numpy()
    spiking = np.isin(values, (0, 1)).all()
    output = values.astype(np.uint8) if spiking else values
    more = {key: value.detach().numpy() for key, value in parameters.items()}
    np.savez_compressed(HERE / f"{name}.npz", x=x.numpy().astype(np.uint8), z=output, **more)
    print(f"{name}: {len(graph.nodes)} nodes, output {list(z.shape)}, mean {z.float().mean():.3f}")


def snntorch() -> None:
    """snnTorch: Leaky, Synaptic and RLeaky, dense and convolutional."""
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    def run(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        steps = []
        with torch.no_grad():
            for frame in x:
                z = network(frame)
                steps.append(z[0] if isinstance(z, tuple) else z)
        return torch.stack(steps)

    # NIR says that a spike resets to v_reset at once: "zero" without delay.
    reset = dict(init_hidden=True, reset_mechanism="zero", reset_delay=False)

    def cells(kind, *shape: int, **options):
        beta = torch.rand(shape) * 0.5 + 0.4
        return kind(beta=beta, threshold=torch.rand(shape) * 0.5 + 0.7, **reset, **options)

    networks = {
        "leaky": [dense(12, 10), cells(snn.Leaky, 10), dense(10, 5), cells(snn.Leaky, 5)],
        "synaptic": [
            dense(12, 10, 0.0), cells(snn.Synaptic, 10, alpha=torch.rand(10) * 0.6),
            dense(10, 5, 0.0), cells(snn.Synaptic, 5, alpha=torch.rand(5) * 0.6),
        ],
        "rleaky": [
            dense(12, 10), cells(snn.RLeaky, 10, linear_features=10),
            dense(10, 5), cells(snn.RLeaky, 5, all_to_all=False, V=torch.randn(5) * 0.5),
        ],
        "leaky_conv": [
            convolution(2, 4, 3, padding=1), cells(snn.Leaky, 4, 8, 6), nn.AvgPool2d(2),
            convolution(4, 3, 2), cells(snn.Leaky, 3, 3, 2), nn.Flatten(),
            dense(18, 5), cells(snn.Leaky, 5),
        ],
    }  # fmt: skip
    for name, layers in networks.items():
        network = nn.Sequential(*layers)
        shape = (2, 8, 6) if "conv" in name else (12,)
        x = spikes(*shape)
        z = run(network, x)
        # A batch axis in the sample would become an axis of the graph's shapes.
        sample = x[0, 0]
        if "conv" in name:
            network[5] = nn.Flatten(0)
        for layer in network:
            if isinstance(layer, snn.SpikingNeuron):
                layer.reset_mem()
        store(f"snntorch_{name}", export_to_nir(network, sample), x, z)

    # The default: a spike subtracts the threshold, one step later. The graph does not say so.
    reset = dict(init_hidden=True)
    network = nn.Sequential(dense(12, 10), cells(snn.Leaky, 10), dense(10, 5), cells(snn.Leaky, 5))
    x = spikes(12)
    z = run(network, x)
    for layer in (network[1], network[3]):
        layer.reset_mem()
    graph = export_to_nir(network, x[0, 0])
    store("snntorch_default_reset", graph, x, z, **network.state_dict())


def spikingjelly() -> None:
    """SpikingJelly: IF and LIF with convolution, pooling and flattening; CUBALIF."""
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    torch.set_default_dtype(torch.float64)
    networks = {
        "if_conv": [
            convolution(2, 4, 3, padding=1), neuron.IFNode(), layer.AvgPool2d(2),
            convolution(4, 3, 2, stride=1), neuron.IFNode(v_threshold=1.3), layer.Flatten(),
            dense(18, 5), neuron.IFNode(v_threshold=0.8),
        ],
        "lif": [
            dense(12, 10, 0.3), neuron.LIFNode(tau=2.0, v_threshold=0.4), dense(10, 5, 0.2),
            neuron.LIFNode(tau=1.7, decay_input=False, v_threshold=0.9, v_reset=-0.2),
        ],
        "cubalif": [
            dense(12, 10), neuron.CUBALIFNode(c_decay=0.4, v_decay=0.7), dense(10, 5, 0.0),
            neuron.CUBALIFNode(c_decay=0.0, v_decay=0.5, v_threshold=0.6),
        ],
    }  # fmt: skip
    for name, layers in networks.items():
        network = nn.Sequential(*layers)
        x = spikes(*((2, 8, 6) if "conv" in name else (12,)))
        with torch.no_grad():
            z = torch.stack([network(frame) for frame in x])
        functional.reset_net(network)
        store(f"spikingjelly_{name}", export_to_nir(network, x[0]), x, z)

    # Exact binary fractions, so that membranes meet their thresholds: SpikingJelly fires there.
    network = nn.Sequential(nn.Linear(6, 4), neuron.IFNode())
    with torch.no_grad():
        network[0].weight.copy_(torch.randint(-2, 4, (4, 6)) / 4)
        network[0].bias.zero_()
    x = spikes(6)
    with torch.no_grad():
        z = torch.stack([network(frame) for frame in x])
    functional.reset_net(network)
    store("spikingjelly_at_threshold", export_to_nir(network, x[0]), x, z)


def norse() -> None:
    """Norse: LIFBox, LIF (with a synaptic current), IAF and a leaky readout."""
    import norse.torch as norse

    torch.set_default_dtype(torch.float64)

    def around(value: float, neurons: int | None) -> torch.Tensor:
        """A number, or one a neuron around it."""
        if neurons is None:
            return torch.as_tensor(value)
        return value * (1 + 0.3 * torch.rand(neurons))

    def box(neurons: int | None, inverse: float, threshold: float) -> nn.Module:
        inverse, threshold = around(inverse, neurons), around(threshold, neurons)
        leak = torch.zeros_like(threshold)
        p = norse.LIFBoxParameters(tau_mem_inv=inverse, v_th=threshold, v_leak=leak)
        return norse.LIFBoxCell(p)

    def lif(neurons: int, synaptic: float, membrane: float, threshold: float) -> nn.Module:
        p = norse.LIFParameters(
            tau_syn_inv=around(synaptic, neurons), tau_mem_inv=around(membrane, neurons),
            v_th=around(threshold, neurons), v_leak=torch.zeros(neurons),
        )  # fmt: skip
        return norse.LIFCell(p)

    def iaf(neurons: int) -> nn.Module:
        return norse.IAFCell(norse.IAFParameters(v_th=around(0.9, neurons)))

    networks = {
        "lif_box": [dense(12, 10, 0.3), box(10, 300, 0.4), dense(10, 5, 0.3), box(5, 150, 0.2)],
        "lif": [dense(12, 10, 0.2), lif(10, 400, 300, 0.5), dense(10, 5), lif(5, 200, 250, 0.3)],
        "iaf": [dense(12, 10), iaf(10), dense(10, 5), iaf(5)],
        "scalar_readout": [
            dense(12, 10, 0.3), box(None, 300.0, 0.4), dense(10, 5, bias=False), norse.LIBoxCell(),
        ],
    }  # fmt: skip
    for name, layers in networks.items():
        network = norse.SequentialState(*layers)
        x = spikes(12)
        state, steps = None, []
        with torch.no_grad():
            for frame in x:
                z, state = network(frame, state)
                steps.append(z)
        store(f"norse_{name}", norse.to_nir(network, x[0, 0]), x, torch.stack(steps))


if __name__ == "__main__":
    torch.manual_seed(0)
    {"snntorch": snntorch, "spikingjelly": spikingjelly, "norse": norse}[sys.argv[1]]()
