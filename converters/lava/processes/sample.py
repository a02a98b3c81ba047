"""Reset of processes before each sample of a stream, as in Lava's ``LIFReset``."""

from __future__ import annotations

from typing import Any

import neurobip.converters.lava.compat  # noqa: F401

# isort: split
from lava.magma.core.model.py.model import PyLoihiProcessModel


class SampleModel(PyLoihiProcessModel):
    """A process model that clears its states at the first step of every sample.

    The process passes ``reset_interval`` (steps in a sample) and ``reset_offset`` (the Lava time
    step, counted from 1, at which the first sample arrives here) among its parameters.
    """

    states: tuple[str, ...] = ()

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.reset_interval = proc_params["reset_interval"]
        self.reset_offset = proc_params["reset_offset"] % self.reset_interval

    def begin_step(self) -> None:
        """Call first in ``run_spk``."""
        if self.time_step % self.reset_interval == self.reset_offset:
            for name in self.states:
                getattr(self, name)[:] = 0
