"""Energy per operation, by named table with its source and assumptions."""

from dataclasses import dataclass

from neurobip.energy.counts import LayerCounts


@dataclass(frozen=True)
class EnergyTable:
    """Picojoules per operation.

    Attributes:
        name: in reports.
        ac, mac, update: pJ per accumulate, multiply-accumulate and neuron update.
        source: of the numbers.
        assumes: assumptions, and what the numbers leave out.
    """

    name: str
    ac: float
    mac: float
    update: float
    source: str
    assumes: str


HOROWITZ_45NM = EnergyTable(
    "45nm-fp32",
    ac=0.9,
    mac=4.6,
    update=5.5,
    source="Horowitz 2014, Computing's energy problem (and what we can do about it), ISSCC",
    assumes="32-bit floating point at 45 nm, 0.9 V: addition 0.9 pJ, multiplication 3.7 pJ. A "
    "neuron update is one multiply-accumulate (decay) and one addition (threshold). No memory "
    "access, no communication, no leakage: a lower bound on arithmetic.",
)

INT8_45NM = EnergyTable(
    "45nm-int8",
    ac=0.03,
    mac=0.23,
    update=0.26,
    source="Horowitz 2014, as above",
    assumes="8-bit integers at 45 nm: addition 0.03 pJ, multiplication 0.2 pJ; otherwise as "
    "45nm-fp32. The quantised network without spikes runs once a sample on "
    "summed frames.",
)

LOIHI = EnergyTable(
    "loihi",
    ac=23.6,
    mac=23.6,
    update=81.0,
    source="Davies et al. 2018, Loihi: a neuromorphic manycore processor with on-chip learning, "
    "table 2",
    assumes="Measured on Loihi 1, 14 nm, 0.75 V: synaptic operation 23.6 pJ with its memory "
    "access, neuron update 81 pJ if active. Every neuron is charged as active at every step, a "
    "graded operation as a binary one, spike routing and idle power are left out. The retina and "
    "the memory would need Loihi 2, for which no such table is published.",
)

TABLES = {table.name: table for table in (HOROWITZ_45NM, INT8_45NM, LOIHI)}


def joules(counts: LayerCounts, table: EnergyTable) -> float:
    """Energy of one layer for one sample.

    Units:
        pJ.
    """
    return counts.acs * table.ac + counts.macs * table.mac + counts.updates * table.update


def dense_joules(counts: LayerCounts, table: EnergyTable) -> float:
    """Energy of the same layer without spikes: every weight is used once, by multiplication.

    Units:
        pJ.
    """
    return counts.dense * table.mac
