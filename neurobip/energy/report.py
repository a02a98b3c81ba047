"""The energy of a network on data: operations by layer, and joules by a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from neurobip.component import Component
from neurobip.energy.counts import LayerCounts, count
from neurobip.energy.tables import INT8_45NM, EnergyTable, dense_joules, joules


class EnergyReport(NamedTuple):
    """Energy of one sample, averaged over the data.

    Attributes:
        layers: operations by projection.
        table: energy per operation.

    Units:
        pj, dense_pj in picojoules.
    """

    layers: list[LayerCounts]
    table: EnergyTable

    @property
    def pj(self) -> float:
        """Energy of the spiking network, by the table."""
        return sum(joules(layer, self.table) for layer in self.layers)

    @property
    def dense_pj(self) -> float:
        """Energy of the same network without spikes, in 8-bit integers, run once a sample."""
        return sum(dense_joules(layer, INT8_45NM) for layer in self.layers)

    def __str__(self) -> str:
        """A table of the layers."""
        lines = [f"{'layer':24}{'spikes':>12}{'ACs':>14}{'MACs':>14}{'updates':>12}{'pJ':>14}"]
        for c in self.layers:
            lines.append(
                f"{c.name:24}{c.spikes:12,.1f}{c.acs:14,.0f}{c.macs:14,.0f}{c.updates:12,.0f}"
                f"{joules(c, self.table):14,.0f}"
            )
        lines.append(f"{self.pj:,.0f} pJ a sample ({self.table.name}); without spikes, once a "
                     f"sample in 8 bits: {self.dense_pj:,.0f} pJ")  # fmt: skip
        return "\n".join(lines)


def measure_energy(
    network: Component, data: Iterable[tuple[Tensor, Tensor]], table: EnergyTable = INT8_45NM
) -> EnergyReport:
    """Energy of a network on data: its operations, counted, and their costs by a table.

    Shape:
        data yields ``(frames [T, B, ...], labels [B])``.

    Raises:
        ValueError: there is no sample.
    """
    return EnergyReport(count(network, data), table)
