"""Networks of snnTorch as Sequential: the same parameters and spikes, with any learning rule."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from neurobip.component import Component
from neurobip.errors import ConfigError
from neurobip.models.sequential import Sequential
from neurobip.neurons import LI, Leaky
from neurobip.projection import Projection
from neurobip.shapes import Flatten, Pool2d
from neurobip.synapses.torch_layer import TorchLayer


def network_from_snntorch(
    net: nn.Sequential, input_shape: tuple[int, ...] | None = None
) -> Sequential:
    """A view of a network of snnTorch, spike for spike, that shares its parameters.

    Training it trains the network. Takes an ``nn.Sequential``, nested or not, of Linear,
    Conv2d (optionally followed by AvgPool2d), AvgPool2d, Flatten, Identity and ``snn.Leaky``
    with reset ``subtract``, ``zero`` or ``none``. Weights and biases learn; what a Leaky may learn
    (``learn_beta``, ``learn_threshold``) is a constant here, with its present value. A layer
    without neurons at the end is read step by step.

    The traces of a synapse decay as the membrane after it; where that differs from cell to cell, as
    its mean.

    Raises:
        ConfigError: names the module, and what of it a Sequential cannot hold.
    """
    parts: list[Component] = []
    pending: tuple[str, TorchLayer] | None = None
    seen: dict[int, str] = {}
    for name, module in _leaves(net, ""):
        first = seen.setdefault(id(module), name)
        if first != name and not isinstance(module, nn.AvgPool2d | nn.Flatten | nn.Identity):
            raise ConfigError(f"{name}: the same module as {first}; expected one of its own")
        _check_plain(name, module)
        if isinstance(module, nn.AvgPool2d):
            pool = _pool(name, module)
            if pending is None:
                parts.append(pool)
                continue
            _, synapse = pending
            if synapse.pool is not None or isinstance(synapse.layer, nn.Linear):
                raise ConfigError(
                    f"{name}: a pool after {pending[0]}; expected neurons (snn.Leaky) there"
                )
            pending = (name, TorchLayer(synapse.layer, pool))
        elif isinstance(module, nn.Linear | nn.Conv2d):
            _check_neurons_follow(pending, name)
            pending = (name, TorchLayer(module))
        elif isinstance(module, nn.Flatten):
            _check_neurons_follow(pending, name)
            if (module.start_dim, module.end_dim) != (1, -1):
                raise ConfigError(
                    f"{name}: flattens axes {module.start_dim} to {module.end_dim}; expected all "
                    "after the batch, nn.Flatten()"
                )
            parts.append(Flatten())
        elif not isinstance(module, nn.Identity):
            if pending is None:
                raise ConfigError(f"{name}: neurons without a Linear or Conv2d before them")
            neuron = _neuron(name, module)
            _, synapse = pending
            decay = 1 - float(neuron.keep.mean())
            synapse = TorchLayer(synapse.layer, synapse.pool, decay_trace=decay)
            parts.append(Projection(synapse, neuron))
            pending = None
    if pending is not None:
        parts.append(Projection(pending[1], LI(1.0)))
    return Sequential(*parts, input_shape=input_shape)


def _leaves(module: nn.Module, name: str) -> Iterator[tuple[str, Any]]:
    """The modules of a network in the order in which they run, with dotted names."""
    # A subclass may run its parts in another way, and a hook change what they do.
    if type(module) is not nn.Sequential or module._forward_hooks or module._forward_pre_hooks:
        yield name or type(module).__name__, module
        return
    for own, part in module._modules.items():  # named_children() leaves out what comes again
        yield from _leaves(part, f"{name}.{own}" if name else own)


def _check_plain(name: str, module: nn.Module) -> None:
    """Check that a module is of a supported class and has no hook on its forward pass.

    Raises:
        ConfigError: another class, a subclass or a hook.
    """
    import snntorch as snn

    known = (nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.Flatten, nn.Identity, snn.Leaky)
    if type(module) not in (*known, nn.Sequential):
        raise ConfigError(
            f"{name}: a {type(module).__name__} has no counterpart here; expected "
            + ", ".join(kind.__name__ for kind in known)
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise ConfigError(f"{name}: has a hook on its forward pass, which is not read; remove it")


def _check_neurons_follow(pending: tuple[str, TorchLayer] | None, name: str) -> None:
    """Check that the layer before has its neurons.

    Raises:
        ConfigError: it has none.
    """
    if pending is not None:
        raise ConfigError(f"{name}: there are no neurons after {pending[0]}; expected snn.Leaky")


def _pool(name: str, module: nn.AvgPool2d) -> Pool2d:
    """The pool of a module.

    Raises:
        ConfigError: its windows hold different numbers of places.
    """
    if module.ceil_mode or (module.padding not in (0, (0, 0)) and not module.count_include_pad):
        raise ConfigError(
            f"{name}: AvgPool2d whose windows hold different numbers of places (ceil_mode, or "
            "padding that is not counted)"
        )
    return Pool2d(module.kernel_size, module.stride, module.padding, module.divisor_override)


def _neuron(name: str, module: Any) -> Leaky:
    """The neurons of a module.

    Raises:
        ConfigError: an option that has no counterpart.
    """
    for option in ("state_quant", "inhibition"):
        if getattr(module, option):
            raise ConfigError(f"{name}: {option} has no counterpart; leave it out")
    if not module.reset_delay:
        raise ConfigError(f"{name}: reset_delay=False; expected True, the default")
    if not bool((module.graded_spikes_factor == 1).all()):
        raise ConfigError(f"{name}: a graded_spikes_factor; expected 1, which is no factor")
    points = torch.tensor([-2.0, -1e-3, 0.0, 1e-3, 2.0])
    if module.spike_grad(points).tolist() != [0, 0, 0, 1, 1]:
        raise ConfigError(f"{name}: its spike_grad does not fire at v > threshold, and only there")
    return Leaky(
        module.beta.detach(),
        threshold=module.threshold.detach(),
        reset=module.reset_mechanism,
        surrogate=module.spike_grad,
    )
