"""Integers that a chip can hold, and that mean what the floats meant."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurobip.converters.graph.graph import Connection, Graph, Population
from neurobip.converters.graph.neuron_nodes import ALIFNode, BipolarNode, InputNode, LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    ConvNode,
    IdentityNode,
    LinearNode,
    MemoryNode,
    SparseNode,
)
from neurobip.converters.lowering import to_graph
from neurobip.converters.quantization.bounds import peak, range_of
from neurobip.converters.quantization.formats import CURRENT, LIMIT, SHIFT
from neurobip.converters.quantization.quantize import quantize
from neurobip.converters.quantization.scale import capacity
from neurobip.converters.simulators.integer import IntegerNetwork
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError


def check_ranges(graph: Graph, weight_bits: int = 8) -> None:
    """Every number has the bits that the chip has."""
    for population, connection in graph.connections():
        if isinstance(connection.synapse, MemoryNode):
            memory = connection.synapse
            assert memory.fraction >= 0 and memory.shift >= 0
            continue
        weight = np.asarray(connection.synapse.weight)
        assert np.issubdtype(weight.dtype, np.integer)
        mixed = (weight > 0).any() and (weight < 0).any()
        if mixed:
            assert weight.min() >= -256 and weight.max() <= 254
        assert abs(weight).max(initial=0) <= 255 + mixed
        assert not (weight % 2 ** (8 - weight_bits + int(mixed))).any()
        low, high = range_of(graph, population)
        assert max(high, -low) <= capacity(population.neuron, integer=True)
    for population in graph.populations:
        match population.neuron:
            case LIFNode() as lif:
                for decay in (lif.decay_u, lif.decay_v):
                    assert 0 <= np.min(decay) and np.max(decay) <= 4095
                assert 1 <= np.min(lif.threshold) and np.max(lif.threshold) < 2**17
                if lif.bias is not None:
                    assert 0 <= lif.bias_exponent <= 7
                    assert not (lif.bias % 2**lif.bias_exponent).any()
                    assert (abs(lif.bias >> lif.bias_exponent) <= 4095).all()
            case ALIFNode() as alif:
                assert (alif.decay_v <= 4095).all() and alif.decay_a <= 4095
                highest = alif.threshold + alif.jump * 4096 / alif.decay_a
                assert highest * 64 <= LIMIT, "the adapted threshold leaves its 24 bits"
            case LINode() as li:
                assert 0 <= li.fraction <= 6
            case BipolarNode() as bipolar:
                assert bipolar.shift >= 6 and 1 <= bipolar.ceiling <= 65535


@pytest.mark.parametrize("attention", ["linear", "masked", "query-key", "none"])
@pytest.mark.parametrize("weight_bits", [8, 6, 4])
def test_a_model_fits_the_chip(make_model, attention: str, weight_bits: int) -> None:
    graph = to_graph(make_model(attention=attention))
    check_ranges(quantize(graph, weight_bits).graph, weight_bits)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    weight_scale=st.floats(1e-3, 10),
    bias_scale=st.floats(0, 10),
    decay_u=st.sampled_from([1.0, 0.5, 0.01]),
    decay_v=st.floats(0, 1),
    threshold=st.floats(0.1, 10),
    sign=st.sampled_from([0, 1, -1]),
)
def test_any_layer_fits_the_chip(
    seed, weight_scale, bias_scale, decay_u, decay_v, threshold, sign
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(5, 3, 3, 3)) * weight_scale
    if sign:
        weight = sign * abs(weight)
    bias = rng.normal(size=5) * bias_scale
    inputs = (Connection(("events",), ConvNode(weight, padding=(1, 1))),)
    layer = Population("layer", (5, 4, 4), LIFNode(decay_u, decay_v, threshold, bias), inputs)
    graph = Graph((Population("events", (3, 4, 4), InputNode(1)), layer), ("layer",))
    try:
        quantized = quantize(graph)
    except ConversionError as error:
        assert "rounds to nothing" in str(error)
        return
    check_ranges(quantized.graph)
    integer = quantized.graph["layer"]
    scale = quantized.layers[0].scale
    step = 2 if sign == 0 else 1
    step *= 2 ** integer.inputs[0].exponent
    if quantized.layers[0].clipped:
        assert quantized.layers[0].weight_error < 0.02
    else:
        assert abs(quantized.weight("layer", 0) - weight).max() <= 0.51 * step / scale
    assert integer.neuron.threshold / scale == pytest.approx(threshold, abs=0.51 / scale)
    tolerance = 0.51 * 2**integer.neuron.bias_exponent / 64 / scale
    assert abs(integer.neuron.bias / 64 / scale - bias).max() <= tolerance


def test_no_input_overflows(make_model) -> None:
    """The brightest input there is: every pixel, every step, either polarity or both."""
    quantized = quantize(to_graph(make_model()))
    network = IntegerNetwork(quantized)
    frames = torch.zeros(6, 3, 2, 14, 14)
    frames[:, 0], frames[:, 1, 0], frames[:, 2, 1] = 255, 255, 255
    state = None
    for x in frames:
        outputs, state = network.step(x, state)
        for name, parts in state.held.items():
            for part in parts if isinstance(parts, tuple) else (parts,):
                assert (part.abs() <= LIMIT).all(), name
    assert outputs["retina.bipolar"].max() <= quantized.graph["retina.bipolar"].neuron.ceiling


def test_one_format_of_a_current() -> None:
    assert CURRENT << SHIFT <= LIMIT < (CURRENT + 1) << SHIFT


def test_peak_is_in_the_units_of_the_graph() -> None:
    cells = BipolarNode(512, 2048, 1024, 1024, shift=7, ceiling=1200)
    assert (peak(cells), peak(cells, graded=16.0)) == (1200, 16.0)
    assert (peak(InputNode(7)), peak(InputNode(7), graded=16.0)) == (7, 7)
    assert peak(LIFNode(1.0, 0.25, 1.0), graded=16.0) == 1


def shortcut(weight: float, other: float, threshold: float = 1.0) -> Graph:
    x = Population("events", (2, 1, 1), InputNode(1))
    kernel = np.array([[other, -other], [-other, other]])[:, :, None, None]
    inputs = (
        Connection(("events",), IdentityNode(weight)),
        Connection(("events",), ConvNode(kernel)),
    )
    return Graph(
        (x, Population("layer", (2, 1, 1), LIFNode(1.0, 0.25, threshold), inputs)), ("layer",)
    )


@pytest.mark.parametrize("weight", [1.01, 1.125, 1.5])
@pytest.mark.parametrize("other", [0.01, 0.5, 1.0])
def test_a_strongstays_above_the_threshold(weight: float, other: float) -> None:
    layer = quantize(shortcut(weight, other)).graph["layer"]
    strong, _ = layer.inputs
    assert strong.synapse.weight * 2**strong.exponent > layer.neuron.threshold


def test_a_shortcut_that_drowns_is_refused() -> None:
    """Beside a memory the scale is a power of two, and cannot give way to the shortcut."""
    x = Population("events", (2, 1, 1), InputNode(1))
    memory = Connection(("events",) * 3, MemoryNode(1, 0, 0.125))
    inputs = (memory, Connection(("events",), IdentityNode(1.001)))
    layer = Population("layer", (2, 1, 1), LIFNode(1.0, 0.25, 1.0), inputs)
    graph = Graph((x, layer), ("layer",))
    with pytest.raises(ConversionError, match="layer: a weight of 1.001 is above the threshold"):
        quantize(graph, 2)


def test_memory_meets_its_float(make_events) -> None:
    """The integer memory's current, in the model's units, is that of the float memory."""
    x = Population("events", (8, 3, 3), InputNode(1))
    qkv = tuple("events" for _ in range(3))
    read = Population(
        "read", (8, 3, 3), LIFNode(1.0, 0.25, 1.0), (Connection(qkv, MemoryNode(2, 2, 2**-3)),)
    )
    quantized = quantize(Graph((x, read), ("read",)))
    memory = quantized.graph["read"].inputs[0].synapse
    scale = quantized.layers[0].scale
    assert scale * memory.gain == 2.0 ** (memory.fraction - memory.shift)
    frames = make_events(12, 1, 8, 3, 3, rate=0.3).clamp(max=1)
    integer, real = IntegerNetwork(quantized), FloatNetwork(Graph((x, read), ("read",)))
    si = sf = None
    for frame in frames:
        parts = [frame.flatten(2).unflatten(1, (2, -1))] * 3
        ai, si = integer.memory_step(memory, parts, si)
        af, sf = real.memory_step(read.inputs[0].synapse, parts, sf)
        assert (ai / scale - af).abs().max() <= 0.02


@pytest.mark.parametrize("decay_shift", [0, 2, 8, 12])
def test_a_slow_memory_keeps_a_usable_threshold(make_model, decay_shift: int) -> None:
    quantized = quantize(to_graph(make_model(memory_shift=decay_shift)))
    assert quantized.graph["blocks.0.attention"].neuron.threshold >= 256


def test_weights_keep_their_bits_where_lif_sees_the_events(make_model) -> None:
    graph = quantize(to_graph(make_model(retina="none"))).graph
    assert 15 <= graph.input.neuron.largest < 255
    assert graph["embed"].neuron.threshold > 60
    with_retina = quantize(to_graph(make_model())).graph
    assert with_retina.input.neuron.largest == 255


def test_a_fresh_model_whose_readouts_are_zero(make_model) -> None:
    model = make_model()
    for readout in model.readouts:
        torch.nn.init.zeros_(readout.synapse.weight)
    quantized = quantize(to_graph(model))
    check_ranges(quantized.graph)
    assert quantized.layers[-1].weight_error == 0


def test_potentials_cannot_saturate(make_model) -> None:
    graph = quantize(to_graph(make_model())).graph
    for name in graph.outputs:
        low, high = range_of(graph, graph[name])
        li = graph[name].neuron
        assert max(high, -low) * 2**li.fraction * 4096 / li.decay_v <= LIMIT


def test_report(make_model) -> None:
    layers = {layer.name: layer for layer in quantize(to_graph(make_model())).layers}
    assert "events" not in layers
    assert layers["embed"].largest_weight == 254
    assert 0 < layers["embed"].weight_error < 0.02
    assert layers["blocks.0.attention"].largest_current == CURRENT
    coarse = {layer.name: layer for layer in quantize(to_graph(make_model()), 4).layers}
    assert coarse["embed"].weight_error > 10 * layers["embed"].weight_error


@pytest.mark.parametrize("weight_bits", [2, 3, 4, 5])
def test_few_bits_lose_no_more_than_they_must(weight_bits: int) -> None:
    """Against every step size there is: no uniform grid of so many levels comes closer."""
    weight = np.random.default_rng(0).normal(size=(16, 16)) / 10
    x = Population("events", (16, 1, 1), InputNode(1))
    inputs = (Connection(("events",), LinearNode(weight)),)
    layer = Population("layer", (16, 1, 1), LIFNode(1.0, 0.25, 1.0), inputs)
    quantized = quantize(Graph((x, layer), ("layer",)), weight_bits)
    largest = 2 ** (weight_bits - 1) - 1
    steps = np.linspace(0.001, 1.5, 3000) * abs(weight).max() / largest
    best = min(
        ((np.round(weight / s).clip(-largest, largest) * s - weight) ** 2).mean() for s in steps
    )
    found = ((quantized.weight("layer", 0) - weight) ** 2).mean()
    assert found <= 1.1 * best
    report = quantized.layer("layer")
    assert report.weight_error == pytest.approx((found / (weight**2).mean()) ** 0.5, rel=1e-6)
    assert (report.clipped > 0) == (weight_bits < 5)
    check_ranges(quantized.graph, weight_bits)


def test_weak_and_strong_connections_both_keep_their_bits() -> None:
    rng = np.random.default_rng(0)
    x = Population("events", (16, 1, 1), InputNode(1))
    sizes = (1.0, 0.03)
    inputs = tuple(
        Connection(("events",), LinearNode(rng.normal(size=(16, 16)) * s)) for s in sizes
    )
    layer = Population("layer", (16, 1, 1), LIFNode(1.0, 0.25, 1.0), inputs)
    quantized = quantize(Graph((x, layer), ("layer",)))
    strong, weak = quantized.graph["layer"].inputs
    assert strong.exponent >= weak.exponent + 4
    for i, connection in enumerate(inputs):
        error = abs(quantized.weight("layer", i) - connection.synapse.weight).max()
        assert error < 0.01 * abs(connection.synapse.weight).max()


def test_bits_by_layer(make_model) -> None:
    layers = {x.name: x for x in quantize(to_graph(make_model()), {"embed": 3}).layers}
    assert layers["embed"].weight_bits == 3 and layers["blocks.0.up"].weight_bits == 8
    assert layers["embed"].weight_error > 10 * layers["blocks.0.up"].weight_error


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    weight_bits=st.integers(2, 8),
    shape=st.sampled_from([(4,), (4, 3, 3)]),
    variant=st.booleans(),
    delay=st.integers(1, 3),
)
def test_any_variant_fits_the_chip(seed, weight_bits, shape, variant, delay) -> None:
    """Constants by channel and by neuron, drives, drops and loops."""
    rng = np.random.default_rng(seed)
    some = dict(drive=rng.normal(size=shape), drop=rng.uniform(0.1, 2, shape)) if variant else {}
    neuron = LIFNode(
        rng.uniform(0.05, 1, shape), rng.uniform(0, 1, shape), rng.uniform(0.5, 2, shape),
        rng.normal(size=shape), **some,
    )  # fmt: skip
    kernel = np.where(np.eye(9), 0, rng.normal(size=(4, 4, 9, 9))).reshape(4, 4, 9, 9)
    loop = Connection(("layer",), SparseNode(*entries(kernel), (4, 3, 3)), delay)
    inputs = (
        Connection(("events",), ConvNode(rng.normal(size=(4, 2, 3, 3)), padding=(1, 1))),
        loop,
    )
    layer = Population("layer", (4, 3, 3), neuron, inputs)
    out = Population(
        "out", (2, 1, 1), LINode(rng.uniform(0.01, 1, 2), bias=rng.normal(size=2)),
        (Connection(("layer",), LinearNode(rng.normal(size=(2, 36)))),),
    )  # fmt: skip
    graph = Graph((Population("events", (2, 3, 3), InputNode(1)), layer, out), ("out",))
    quantized = quantize(graph, weight_bits)
    check_ranges(quantized.graph, weight_bits)
    integer = quantized.graph["layer"].neuron
    scale = quantized.layer("layer").scale
    assert abs(integer.threshold / scale - neuron.threshold).max() <= 0.51 / scale
    assert abs(integer.decay_v / 4096 - neuron.decay_v).max() <= 1.01 / 4096
    if variant:
        assert abs(integer.drive / 64 / scale - neuron.drive).max() <= 0.51 / 64 / scale
        assert abs(integer.drop / 64 / scale - neuron.drop).max() <= 0.51 / 64 / scale


def dense(neuron, weight: float, inputs: int = 4) -> Graph:
    connection = Connection(("events",), LinearNode(np.full((2, inputs), weight)))
    layer = Population("layer", (2, 1, 1), neuron, (connection,))
    return Graph((Population("events", (inputs, 1, 1), InputNode(1)), layer), ("layer",))


@pytest.mark.parametrize("beta", [0.5, 0.1, 0.01])
def test_a_drop_far_above_the_threshold(beta: float) -> None:
    """A soft reset that comes a step late drops the membrane by its threshold over beta."""
    graph = dense(LIFNode(1.0, 1 - beta, 1.0, drop=1.0 / beta), 0.4)
    frames = (torch.rand(60, 4, 4, 1, 1, generator=torch.manual_seed(0)) < 0.7).float()
    real = FloatNetwork(graph).forward(frames)[0]["layer"]
    found = IntegerNetwork(quantize(graph)).forward(frames)[0]["layer"]
    assert (real != found).float().mean() < 0.02 < real.mean()


@pytest.mark.parametrize("bias", [0.0, 5.0, 1000.0])
@pytest.mark.parametrize("decay", [0.01, 0.5])
def test_a_readout_has_room_for_its_bias(bias: float, decay: float) -> None:
    graph = dense(LINode(decay, bias=np.array([bias, -bias / 5])), 1e-3)
    frames = torch.ones(300, 1, 4, 1, 1)
    quantized = quantize(graph)
    real = FloatNetwork(graph).forward(frames)[0]["layer"][-1]
    found = IntegerNetwork(quantized).forward(frames)[0]["layer"][-1] * quantized.unit("layer")
    assert (real - found).abs().max() <= 0.02 * real.abs().max()


@pytest.mark.parametrize("decay_u", [0.02, 0.5, 1.0])
def test_calibrated_currents_keep_within_32_bits(decay_u: float) -> None:
    """Far busier than the recordings: the current wraps, and no number of Lava's overflows."""
    graph = dense(LIFNode(decay_u, 0.25, 1.0), 1.0, inputs=200)
    quantized = quantize(graph, peaks={"layer": 0.5})
    scale = quantized.layer("layer").scale
    network, state, largest = IntegerNetwork(quantized), None, 0.0
    for _ in range(200):
        _, state = network.step(torch.ones(1, 200, 1, 1), state)
        largest = max(largest, float(max(part.abs().max() for part in state.held["layer", None]
                                         if part.numel())))  # fmt: skip
    assert scale >= quantize(graph).layer("layer").scale
    assert largest < 2**31


def test_weights_on_a_grid_come_through() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-7, 8, (6, 6)) * 0.125
    x = Population("events", (6, 1, 1), InputNode(1))
    inputs = (Connection(("events",), LinearNode(weight)),)
    layer = Population("layer", (6, 1, 1), LIFNode(1.0, 0.25, 1.0), inputs)
    quantized = quantize(Graph((x, layer), ("layer",)), 4)
    np.testing.assert_allclose(quantized.weight("layer", 0), weight, rtol=1e-12)
    assert quantized.layer("layer").threshold == quantized.layer("layer").scale


def entries(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A kernel ``[O, I, places, places]`` as the entries of a sparse map."""
    o, i, y, x = np.nonzero(kernel)
    return kernel[o, i, y, x], o * 9 + y, i * 9 + x


@pytest.mark.parametrize("weight_bits", [1, 9])
def test_bits_out_of_range(make_model, weight_bits: int) -> None:
    with pytest.raises(ConversionError, match="expected 2 to 8"):
        quantize(to_graph(make_model()), weight_bits)


def test_a_threshold_beside_huge_weights_is_refused() -> None:
    with pytest.raises(ConversionError, match="layer: the threshold of 1e-06 rounds to nothing"):
        quantize(shortcut(0.0, 50.0, threshold=1e-6))
