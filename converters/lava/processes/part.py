"""A part of a network as one Lava process: its processes, and the ports in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.decorator import implements
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Part(AbstractProcess):
    """Holds processes of its own, such as the populations of a block with their connections.

    Args:
        name: of the part, as the model has it.
        inputs, outputs: size of every port, ``in_0, in_1 …`` and ``out_0, out_1 …``.
        open_up: is called with the part when the network is compiled; connects the processes inside
            and returns it.
    """

    def __init__(
        self,
        *,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        open_up: Callable[[Any], Sequence[AbstractProcess]],
    ) -> None:
        super().__init__(name=name, open_up=open_up)
        for i, size in enumerate(inputs):
            setattr(self, f"in_{i}", InPort(shape=(size,)))
        for i, size in enumerate(outputs):
            setattr(self, f"out_{i}", OutPort(shape=(size,)))


@implements(proc=Part, protocol=LoihiProtocol)
class PartModel(AbstractSubProcessModel):
    """Lava finds the inner processes among the attributes."""

    def __init__(self, proc: Part) -> None:
        for i, process in enumerate(proc.proc_params["open_up"](proc)):
            setattr(self, f"process_{i}", process)
