"""Energy proxies: operations counted from real activity, and joules by named tables."""

from neurobip.energy.counts import LayerCounts, count
from neurobip.energy.report import EnergyReport, measure_energy
from neurobip.energy.tables import (
    HOROWITZ_45NM,
    INT8_45NM,
    LOIHI,
    TABLES,
    EnergyTable,
    dense_joules,
    joules,
)

__all__ = [
    "HOROWITZ_45NM",
    "INT8_45NM",
    "LOIHI",
    "TABLES",
    "EnergyReport",
    "EnergyTable",
    "LayerCounts",
    "count",
    "dense_joules",
    "joules",
    "measure_energy",
]
