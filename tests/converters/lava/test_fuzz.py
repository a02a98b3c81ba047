"""Random graphs: the integer simulator and Lava agree in every population at every step.

``NEUROBIP_FUZZ`` sets the number of graphs; ``make fuzz`` runs thousands.
"""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from neurobip.converters.lava.verify import verify
from neurobip.converters.quantize import QuantizedGraph

pytest.importorskip("lava", reason="Lava is not installed; run 'neurobip install-lava'")

GRAPHS = int(os.environ.get("NEUROBIP_FUZZ", "30"))

TOGETHER = 10
"""Graphs in one run of Lava, side by side, since starting it takes longer than running it."""


@settings(
    max_examples=-(-GRAPHS // TOGETHER),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data(), seed=st.integers(0, 1000), rate=st.sampled_from([0.1, 0.5, 3.0]))
def test_random_graphs(random_graphs, data, seed: int, rate: float) -> None:
    graph = data.draw(random_graphs(TOGETHER))
    generator = torch.Generator().manual_seed(seed)
    frames = torch.poisson(torch.full((9, 2, *graph.input.shape), rate), generator=generator)
    check = verify(QuantizedGraph(graph, {}), frames)
    wrong = {x.name: (x.mismatches, x.first_step) for x in check.layers if x.mismatches}
    assert wrong == {}
