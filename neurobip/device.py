"""Devices of networks, and batches moved to them."""

from collections.abc import Iterable, Iterator
from textwrap import shorten

import torch
from torch import Tensor, nn

from neurobip.errors import ConfigError


def usable_device(name: str) -> torch.device:
    """Device of torch by its name, such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        ConfigError: torch has no such device, or cannot compute on it here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except Exception as error:  # each kind of device has an exception of its own
        reason = shorten(str(error).partition(". ")[0], 90, placeholder=" …")
        raise ConfigError(
            f"device {name!r}: torch {torch.__version__} cannot compute there ({reason}); take "
            "cpu, or a torch that is made for it"
        ) from None
    return device


def device_of(model: nn.Module) -> torch.device:
    """Device of a network's parameters; the CPU if it has none."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def batches_on_device(
    model: nn.Module, data: Iterable[tuple[Tensor, Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches on the network's device, each moved as it is read."""
    device = device_of(model)
    for frames, labels in data:
        yield frames.to(device), labels.to(device)
