"""The retina in a graph, in integers and in Lava, and what of it stays in floating point."""

import pytest
import torch

from neurobip.converters.graph.neuron_nodes import BipolarNode
from neurobip.converters.lava.verify import verify
from neurobip.converters.lowering import to_graph
from neurobip.converters.lowering.retina import float_only
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError
from neurobip.retina import (
    EVENT_CAMERA,
    EVENT_MOTION,
    Kinetics,
    Retina,
    event_camera,
    mouse,
    orientation_selective,
    primate_periphery,
)

LONG = orientation_selective(
    "long", 45, excited_by={"sustained on": 8.0}, field=0.7, tau=4, elongation=3.0, spacing=2
)
RETINAS = {
    "camera": lambda: event_camera(),
    "mosaics": lambda: event_camera((*EVENT_CAMERA, LONG), size=(12, 10)),
    "motion": lambda: event_camera(EVENT_MOTION),
    "motion on mosaics": lambda: event_camera((*EVENT_MOTION, LONG), size=(12, 10)),
}


@pytest.mark.parametrize("name", RETINAS)
def test_the_graph_is_the_retina_spike_by_spike(make_events, name):
    retina = RETINAS[name]().double()
    graph = to_graph(retina, shape=(2, 12, 10))
    frames = make_events(14, 2, 2, 12, 10, rate=0.4)
    with torch.no_grad():
        wanted, _ = retina(frames.double())
    found, _ = FloatNetwork(graph).forward(frames)
    assert torch.equal(found["ganglion"].double(), wanted)
    assert (wanted.sum((0, 1, 3, 4)) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", RETINAS)
def test_lava_is_the_integers_in_every_population_at_every_step(make_events, name):
    quantized = quantize(to_graph(RETINAS[name](), shape=(2, 12, 10)))
    frames = make_events(10, 1, 2, 12, 10, rate=0.4)
    checked = verify(quantized, frames)
    assert checked.mismatches == 0
    spikes, _ = IntegerNetwork(quantized).forward(frames)
    assert (spikes["ganglion"].sum((0, 1, 3, 4)) > 0).all()


def test_integers_keep_the_direction_of_motion():
    """An edge of events moves right, then left, a pixel a step."""
    retina = event_camera(EVENT_MOTION)
    frames = torch.zeros(40, 2, 2, 15, 20)
    for t in range(20):
        frames[t, 0, 1, :, t] = frames[t, 1, 1, :, 19 - t] = 2
    spikes, _ = IntegerNetwork(quantize(to_graph(retina, (2, 15, 20)))).forward(frames)
    right, left = (spikes["ganglion"][:, i, :, 4:11, 5:15].sum((0, 2, 3)) for i in (0, 1))
    for ours, other in ((right, left), (left, right)):
        channel = retina.index("direction right" if ours is right else "direction left")
        assert ours[channel] > 3 * other[channel] + 5


def test_mosaics_know_the_size_of_the_image():
    retina = event_camera(EVENT_MOTION, size=(9, 7))
    assert to_graph(retina).input.shape == (2, 9, 7)
    with pytest.raises(ConversionError, match="20 x 20 pixels; the mosaics of this retina have"):
        to_graph(retina, (2, 20, 20))


def test_a_starburst_cell_is_a_bipolar_node_whose_connections_are_late():
    graph = to_graph(event_camera(EVENT_MOTION), shape=(2, 8, 8))
    assert isinstance(graph["starburst.on"].neuron, BipolarNode)
    late = {c.sources[0]: c.delay for c in graph["ganglion"].inputs}
    assert late == {"bipolar": 0, "starburst.on": 1, "starburst.off": 1}


def test_what_is_float_only_is_told_and_refused_by_name():
    assert float_only(event_camera(EVENT_MOTION, size=(9, 9))) == {}
    assert float_only(mouse(inputs="events")).keys() == {"amacrine.0", "amacrine.1"}
    colour = float_only(primate_periphery(inputs="cones"))
    assert colour.keys() == {
        "photoreceptor", "amacrine.0", "amacrine.1", "cell type 'small bistratified'",
    }  # fmt: skip
    with pytest.raises(ConversionError) as error:
        to_graph(mouse(), shape=(1, 8, 8))
    for part in ("photoreceptor: ", "amacrine.0: ", "amacrine.1: ", "event_camera converts"):
        assert part in str(error.value)
    simple = event_camera()
    kinetic = Retina(
        simple.bipolar, simple.ganglion, simple.cell_types,
        amacrine=[Kinetics(ka=1.0, kfi=1.0, kfr=1.0, ksi=0.0, ksr=0.0)],
    )  # fmt: skip
    with pytest.raises(ConversionError, match=r"amacrine\.0: its kinetics divide"):
        to_graph(kinetic, shape=(2, 8, 8))
