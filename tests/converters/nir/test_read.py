"""What NIR says and what becomes of it: numbers, shapes, loops, and what is refused."""

from __future__ import annotations

import random

import nir
import numpy as np
import pytest
import torch

from neurobip.converters.graph.graph import Graph
from neurobip.converters.graph.neuron_nodes import LIFNode, LINode
from neurobip.converters.graph.synapse_nodes import (
    ConvNode,
    IdentityNode,
    LinearNode,
    SparseNode,
    TokenSumNode,
)
from neurobip.converters.nir import assumptions, from_nir, from_norse, to_nir
from neurobip.converters.simulators.reference import FloatNetwork
from neurobip.errors import ConversionError

DT = 1e-4


def lif(*dims: int, tau: float = 4e-4, r: float = 2.0, leak: float = 0.0, reset: float = 0.0):
    def whole(value: float) -> np.ndarray:
        return np.full(dims, value)

    return nir.LIF(whole(tau), whole(r), whole(leak), whole(1.0), whole(reset))


def graph(nodes: dict, edges: list[tuple[str, str]], **metadata) -> nir.NIRGraph:
    return nir.NIRGraph(nodes, edges, metadata, type_check=False)


def row(*nodes, shape: tuple[int, ...] = (3,)) -> nir.NIRGraph:
    """Nodes one after the other, named by their number."""
    parts = {"in": nir.Input(np.array(shape))}
    parts |= {str(i): node for i, node in enumerate(nodes)}
    parts["out"] = nir.Output(np.array(shape))
    names = list(parts)
    return graph(parts, list(zip(names, names[1:], strict=False)))


def run(found: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every population by name, one sample, flattened."""
    frames = torch.as_tensor(x, dtype=torch.float64).reshape(len(x), 1, *found.input.shape)
    outputs, _ = FloatNetwork(found).forward(frames)
    return {name: z.reshape(len(x), -1).numpy() for name, z in outputs.items()}


def test_forward_euler() -> None:
    weight, bias = np.arange(6.0).reshape(2, 3), np.array([0.5, -1.0])
    node = lif(2, tau=4e-4, r=2.0, leak=0.3, reset=-0.1)
    found = from_nir(row(nir.Affine(weight, bias), node))["1"]
    # dt / tau = 1/4 and r dt / tau = 1/2; v counted from v_reset.
    assert found.neuron.decay_u == 1.0
    np.testing.assert_allclose(found.neuron.decay_v, 0.25)
    np.testing.assert_allclose(found.neuron.threshold, 1.1)
    np.testing.assert_allclose(found.neuron.bias, 0.25 * 0.4 + 0.5 * bias)
    np.testing.assert_allclose(found.inputs[0].synapse.weight, 0.5 * weight)


def test_a_membrane_by_hand() -> None:
    found = from_nir(row(nir.Linear(np.eye(3)), lif(3, tau=2e-4, r=3.0)))
    z = run(found, np.array([[1, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 0]]))["1"]
    # 3/2 a spike, halved every step.
    assert z.tolist() == [[1, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 0]]
    assert isinstance(found["1"].inputs[0].synapse, LinearNode)


def test_a_synaptic_current() -> None:
    ones = np.ones(2)
    node = nir.CubaLIF(5e-4 * ones, 2e-4 * ones, 3 * ones, 0.2 * ones, ones, 0 * ones, 4 * ones)
    weight = np.arange(6.0).reshape(2, 3)
    found = from_nir(row(nir.Affine(weight, ones), node))["1"]
    np.testing.assert_allclose([found.neuron.decay_u, found.neuron.decay_v], [0.2, 0.5])
    np.testing.assert_allclose(found.neuron.bias, 0.1)
    np.testing.assert_allclose(found.neuron.drive, 4 * 0.2 * 3 * 0.5)
    np.testing.assert_allclose(found.inputs[0].synapse.weight, 1.2 * weight)


def test_numbers_are_as_plain_as_they_can_be() -> None:
    cells = lif(4, 3, 2)
    cells.tau = np.broadcast_to(np.array([1, 2, 3, 4.0])[:, None, None] * DT, (4, 3, 2))
    cells.r = cells.tau / DT
    cells.v_leak = np.random.default_rng(0).random((4, 3, 2))
    conv = nir.Conv2d((3, 2), np.ones((4, 2, 1, 1)), 1, 0, 1, 1, np.arange(4.0))
    found = from_nir(row(conv, cells, shape=(2, 3, 2)))["1"]
    assert isinstance(found.neuron.threshold, float)
    np.testing.assert_allclose(found.neuron.decay_v, [1, 1 / 2, 1 / 3, 1 / 4])
    assert found.neuron.bias.shape == (4, 3, 2)
    assert isinstance(found.inputs[0].synapse, ConvNode)
    assert (found.inputs[0].synapse.weight == 1).all(), "r = tau / dt takes the input as it is"


def test_a_parameter_for_all_neurons() -> None:
    node = nir.LIF(*(np.array(x) for x in (4e-4, 2.0, 0.0, 1.0)))
    found = from_nir(row(nir.Linear(np.ones((5, 3))), node))
    assert found["1"].shape == (5, 1, 1) and found["1"].neuron.threshold == 1.0


def test_a_time_step_from_the_metadata_or_the_caller() -> None:
    source = row(lif(3))
    assert from_nir(source)["0"].neuron.decay_v == pytest.approx(0.25)
    assert from_nir(source, dt=2e-4)["0"].neuron.decay_v == pytest.approx(0.5)
    source.metadata = {"dt": 4e-4}
    assert from_nir(source)["0"].neuron.decay_v == 1.0
    assert from_nir(source, dt=1e-4)["0"].neuron.decay_v == pytest.approx(0.25)


TOLD = {
    "the dt in its metadata = 'soon'; expected seconds above 0": {"dt": "soon"},
    r"the dt in its metadata = array\(\[1.e-04, 2.e\+00\]\); expected": {
        "dt": np.array([1e-4, 2.0])
    },
    "the dt in its metadata = 0; expected": {"dt": 0},
    "the order in its metadata = 5; expected a list of names": {"order": 5},
    "the order in its metadata = 'in'; expected": {"order": "in"},
    r"the order in its metadata = \[0, 1\]; expected": {"order": [0, 1]},
    "in: largest = -3; expected a whole number from 1": {"largest": -3},
}


@pytest.mark.parametrize("message", TOLD)
def test_what_a_graph_tells_wrongly_is_refused_in_a_line(message: str) -> None:
    source, told = row(lif(3)), dict(TOLD[message])
    if "largest" in told:
        source.nodes["in"].metadata = told
    else:
        source.metadata = told
    with pytest.raises(ConversionError, match=f"^{message}") as caught:
        from_nir(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("largest", [-3, 0, 1.5, True, "many", None, np.array([1, 2])])
def test_the_largest_count_is_a_whole_number_from_one(largest) -> None:
    with pytest.raises(ConversionError, match="^in: largest = .*; expected a whole number from 1"):
        from_nir(row(lif(3)), largest=largest)
    with pytest.raises(ConversionError, match="^in: largest = "):
        from_norse(row(lif(3)), dt=2e-4, largest=largest)


@pytest.mark.parametrize("dt", ["x", "1e-4", True, [1e-4], np.array([1e-4, 2e-4]), 0, -1, np.nan])
def test_a_time_step_is_a_number_of_seconds(dt) -> None:
    for read in (from_nir, from_norse):
        with pytest.raises(ConversionError, match="^dt = .*; expected seconds above 0"):
            read(row(lif(3)), dt=dt)


def test_numbers_of_numpy_are_numbers() -> None:
    source = row(lif(3))
    source.metadata = {"dt": np.float32(2e-4), "order": np.array([b"in", b"0"])}
    found = from_nir(source, largest=np.int64(7))
    assert found.input.neuron.largest == 7
    assert found["0"].neuron.decay_v == pytest.approx(0.5)


def test_what_is_taken_for_granted_is_told() -> None:
    """Of neurons with a reset in a graph of others; ours say how all of theirs are reset."""
    (said,) = assumptions(row(lif(3)))
    assert said.startswith("resets are taken as immediate, to v_reset")
    assert assumptions(nested(2)) == [said]
    assert assumptions(row(nir.Threshold(np.ones(3)))) == assumptions(row(READ)) == []
    assert assumptions(to_nir(from_nir(row(lif(3))))) == []


def test_firing_at_the_threshold() -> None:
    source = row(nir.Threshold(np.array([0.1, 1.0, 3.0])))
    x = np.array([[0.1, 1.0, 3.0]])
    assert run(from_nir(source), x)["0"].tolist() == [[0, 0, 0]]
    assert run(from_nir(source, fires_at_threshold=True), x)["0"].tolist() == [[1, 1, 1]]


def test_layers_keep_their_form_or_become_entries() -> None:
    """Equal to torch in every case; see test_random for chains of all kinds."""
    conv = nir.Conv2d((6, 5), np.ones((4, 2, 3, 3)), 1, "same", 1, 1, np.zeros(4))
    pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    whole = nir.SumPool2d(np.array([6, 5]), np.array([6, 5]), np.array([0, 0]))
    flat = nir.Flatten(None, 0, -1)
    dense = nir.Linear(np.ones((3, 60)))
    scale = nir.Scale(np.full((2, 6, 5), 2.5))
    cases = [
        ([conv], (4, 6, 5), ConvNode),
        ([pool], (2, 3, 2), ConvNode),
        ([whole], (2, 1, 1), TokenSumNode),
        ([flat, dense], (3,), LinearNode),
        ([conv, pool], (4, 3, 2), SparseNode),
        ([flat], (60,), SparseNode),
        ([pool, flat, nir.Linear(np.ones((3, 12)))], (3,), SparseNode),
        ([scale], (2, 6, 5), IdentityNode),
        ([scale, flat, dense], (3,), LinearNode),
        ([], (2, 6, 5), IdentityNode),
        ([whole, flat, nir.Linear(np.ones((3, 2)))], (3,), LinearNode),
    ]
    for layers, dims, kind in cases:
        found = from_nir(row(*layers, lif(*dims), shape=(2, 6, 5)))
        assert isinstance(found.populations[-1].inputs[0].synapse, kind), layers


def test_a_bias_behind_a_delay_begins_late() -> None:
    steps = nir.Delay(np.full(2, 2 * DT))
    source = row(nir.Affine(np.zeros((2, 3)), np.array([2.0, 0.0])), steps, lif(2, tau=DT, r=1.0))
    found = from_nir(source)
    assert run(found, np.ones((4, 3)))["2"].tolist() == [[0, 0], [0, 0], [1, 0], [1, 0]]
    assert [p.name for p in found.populations] == ["in", "always", "2"]


def test_the_name_of_the_neuron_that_always_fires_is_free() -> None:
    nodes = {
        "in": nir.Input(np.array([1])),
        "b": nir.Affine(np.ones((1, 1)), np.ones(1)),
        "d": nir.Delay(np.array([DT])),
        "always": lif(1),
        "out": nir.Output(np.array([1])),
    }
    edges = [("in", "b"), ("b", "d"), ("d", "always"), ("always", "out")]
    names = [p.name for p in from_nir(graph(nodes, edges)).populations]
    assert names == ["in", "always+", "always"]


def test_outputs() -> None:
    nodes = {
        "in": nir.Input(np.array([3])),
        "a": lif(3),
        "flat": nir.Flatten(None, 0, -1),
        "w": nir.Affine(np.ones((2, 3)), np.array([1.0, 0.0])),
        "o2": nir.Output(np.array([3])),
        "o1": nir.Output(np.array([2])),
        "o3": nir.Output(np.array([3])),
        "copy": nir.Scale(np.ones(3)),
    }
    edges = [("in", "a"), ("a", "w"), ("w", "o1"), ("a", "flat"), ("flat", "o2"), ("in", "copy")]
    edges.append(("copy", "o3"))
    found = from_nir(graph(nodes, edges))
    assert found.outputs == ("w", "a", "copy")
    outputs = run(found, np.eye(3))
    np.testing.assert_array_equal(outputs["copy"], np.eye(3))


def test_an_output_behind_a_layer_is_read_as_it_is() -> None:
    found = from_nir(row(lif(3, tau=DT), nir.Affine(np.ones((2, 3)), np.array([1.0, 0.0]))))
    assert found.outputs == ("1",) and isinstance(found["1"].neuron, LINode)
    assert run(found, np.array([[1, 1, 0], [0, 0, 0]]))["1"].tolist() == [[3, 2], [1, 0]]


def test_what_no_output_needs_is_left_out() -> None:
    source = row(lif(3))
    source.nodes["aside"] = object()
    source.edges += [("0", "aside")]
    assert [p.name for p in from_nir(source).populations] == ["in", "0"]


def loop(edges: list[tuple[str, str]], *cells: str, **metadata) -> nir.NIRGraph:
    nodes = {"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}
    return graph(nodes | {name: lif(2, tau=DT, r=2.0) for name in cells}, edges, **metadata)


def delays(found: Graph) -> dict[tuple[str, str], int]:
    return {(c.sources[0], p.name): c.delay for p, c in found.connections()}


def test_the_edge_back_to_the_population_nearest_to_the_input_closes_a_loop() -> None:
    edges = [("in", "z"), ("z", "m"), ("m", "a"), ("a", "z"), ("a", "out"), ("z", "a")]
    found = from_nir(loop(edges, "a", "m", "z"))
    assert [p.name for p in found.populations] == ["in", "z", "m", "a"]
    late = {pair for pair, delay in delays(found).items() if delay}
    assert late == {("a", "z")} and delays(found)["a", "z"] == 1


def test_behind_a_loop_nothing_is_late() -> None:
    """``n`` is as near to the input as the loop, takes all of it, and comes last."""
    edges = [("in", "n"), ("in", "a"), ("a", "b"), ("b", "a"), ("b", "n"), ("n", "out")]
    found = from_nir(loop(edges, "n", "a", "b"))
    assert [p.name for p in found.populations] == ["in", "a", "b", "n"]
    assert {pair for pair, delay in delays(found).items() if delay} == {("b", "a")}


def test_the_order_of_the_nodes_is_of_no_account() -> None:
    edges = [("in", "b"), ("in", "a"), ("a", "b"), ("b", "a"), ("a", "c"), ("c", "b"), ("c", "out")]
    names = ["a", "b", "c"]
    wanted = None
    for seed in range(6):
        random.Random(seed).shuffle(names)
        found = from_nir(loop(edges, *names))
        wanted = wanted or delays(found)
        assert delays(found) == wanted
    # b is named by the first edge.
    assert wanted["a", "b"] == 1 and wanted["b", "a"] == 0


def test_a_graph_may_declare_its_order() -> None:
    edges = [("in", "b"), ("in", "a"), ("a", "b"), ("b", "a"), ("a", "out")]
    found = from_nir(loop(edges, "a", "b", order=["in", "a", "b"]))
    assert delays(found)["a", "b"] == 0 and delays(found)["b", "a"] == 1


def test_a_delay_in_a_loop_comes_on_top() -> None:
    source = loop([("in", "a"), ("a", "d"), ("d", "a"), ("a", "out")], "a")
    source.nodes["d"] = nir.Delay(np.full(2, 3 * DT))
    assert delays(from_nir(source))["a", "a"] == 4


def test_the_bias_of_a_feedback_layer_is_there_from_the_start() -> None:
    source = loop([("in", "a"), ("a", "w"), ("w", "a"), ("a", "out")], "a")
    source.nodes["w"] = nir.Affine(np.zeros((2, 2)), np.array([0.6, 0.0]))
    assert run(from_nir(source), np.zeros((2, 2)))["a"].tolist() == [[1, 0], [1, 0]]


def nested(depth: int) -> nir.NIRGraph:
    inner = row(lif(3))
    for _ in range(depth):
        inner = row(inner)
    return inner


def test_subgraphs_are_taken_apart() -> None:
    found = from_nir(nested(2))
    assert [p.name for p in found.populations] == ["in", "0.0.0"]
    plain = run(from_nir(nested(0)), np.eye(3))["0"]
    np.testing.assert_array_equal(run(found, np.eye(3))["0.0.0"], plain)


def beside(name: str) -> nir.NIRGraph:
    """A subgraph that holds the nodes in, 0 and out, and a neuron beside it."""
    source = row(row(lif(3, tau=2e-4)), shape=(3,))
    source.nodes[name] = lif(3, tau=8e-4)
    source.edges[:] = [("in", "0"), ("0", name), (name, "out")]
    return source


def test_a_dotted_name_of_its_own_is_no_subgraph() -> None:
    found = from_nir(beside("0.1"))
    assert [p.name for p in found.populations] == ["in", "0.0", "0.1"]
    assert [p.neuron.decay_v for p in found.populations[1:]] == [0.5, 0.125]


@pytest.mark.parametrize("name", ["", "a/0"])
def test_names_that_no_population_can_have(name: str) -> None:
    source = row(lif(3))
    source.nodes[name] = source.nodes.pop("0")
    source.edges[:] = [("in", name), (name, "out")]
    with pytest.raises(ConversionError, match=f"^'{name}': .* without a slash; rename it"):
        from_nir(source)


def two_ports() -> nir.NIRGraph:
    source = nested(1)
    source.nodes["0"].nodes["more"] = nir.Input(np.array([3]))
    return source


def two_inputs() -> nir.NIRGraph:
    source = row(lif(3))
    source.nodes["other"] = nir.Input(np.array([3]))
    return source


def cut(name: str, **parts) -> nir.NIRGraph:
    """A graph with an edge more, and nodes more."""
    source = row(lif(3), lif(3))
    source.nodes |= parts
    a, b = name.split(">")
    source.edges.append((a, b))
    return source


def layered_loop() -> nir.NIRGraph:
    source = cut("x>y", x=nir.Scale(np.ones(3)), y=nir.Scale(np.ones(3)))
    source.edges += [("y", "x"), ("0", "x"), ("y", "1")]
    return source


def unheard() -> nir.NIRGraph:
    source = row(lif(3))
    source.nodes["aside"] = lif(3)
    source.edges.append(("aside", "0"))
    return source


def summed() -> nir.NIRGraph:
    source = cut("w>1", w=nir.Linear(np.ones((2, 3))))
    source.edges.append(("in", "w"))
    return source


def delayed(*seconds: float) -> nir.NIRGraph:
    return row(nir.Delay(np.array(seconds)), lif(len(seconds)), shape=(len(seconds),))


SMALL = nir.Conv2d(None, np.ones((4, 3, 1, 1)), 1, 0, 1, 1, np.zeros(4))
EVEN = nir.Conv2d(None, np.ones((4, 2, 2, 2)), 1, "same", 1, 1, np.zeros(4))
LONG = nir.CubaLI(np.full(3, 2e-4), np.full(3, 2e-4), np.ones(3), np.zeros(3))
READ = nir.LI(np.full(3, 2e-4), np.ones(3), np.zeros(3))
REFUSED = {
    "0: tau of 1e-05 s is shorter than the time step of 0.0001 s; .* give its dt":
        lambda: row(lif(3, tau=1e-5)),
    "0: tau holds 0": lambda: row(lif(3, tau=0.0)),
    "0: tau holds inf": lambda: row(lif(3, tau=np.inf)),
    r"0: tau has shape \(2,\); expected \(3,\)": lambda: row(lif(2)),
    r"0: weight \(5, 4\) takes \(4,\), it gets \(3,\)": lambda: row(nir.Linear(np.ones((5, 4)))),
    r"0: weight .* gets \(1, 3\); .* without batch axes":
        lambda: row(nir.Linear(np.ones((5, 3))), shape=(1, 3)),
    r"0: weight \(2, 5, 3\); expected \[O, I\]": lambda: row(nir.Linear(np.ones((2, 5, 3)))),
    r"in: shape \(1, 2, 3, 4\); .* without batch": lambda: row(lif(3), shape=(1, 2, 3, 4)),
    r"0: Conv weight .* does not fit 2 incoming": lambda: row(SMALL, lif(4, 5, 5), shape=(2, 5, 5)),
    r"0: Conv2d .* takes \(C, H, W\), it gets \(3,\)": lambda: row(SMALL),
    "0: padding 'same' that differs": lambda: row(EVEN, lif(4, 5, 5), shape=(2, 5, 5)),
    r"0: AvgPool2d takes \(C, H, W\)":
        lambda: row(nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))),
    "0: flattens axes 1 to -1": lambda: row(nir.Flatten(None, 1, -1)),
    r"0: scale has shape \(4,\)": lambda: row(nir.Scale(np.ones(4))),
    "0: a CubaLI with a synaptic memory": lambda: row(LONG),
    "1: its source '0' sends its membrane": lambda: row(READ, lif(3)),
    "0: no rule takes a NIR node of the type object": lambda: row(object(), lif(3)),
    "0: delays its neurons differently": lambda: delayed(1e-4, 2e-4),
    "0: a delay of 0.00015 s is 1.5 time steps": lambda: delayed(1.5e-4),
    "0: a delay of -0.0001 s": lambda: delayed(-1e-4),
    "0.0: two nodes come to this name, '0' of '0' and '0.0'; rename one": lambda: beside("0.0"),
    "0: a subgraph with 2 Input nodes": two_ports,
    "needs one Input node, this one has 2: in, other": two_inputs,
    "has no Output node": lambda: graph({"in": nir.Input(np.array([3]))}, []),
    "an edge names 'ghost'": lambda: cut("0>ghost"),
    "the edge from '0' to '1' is there twice": lambda: cut("0>1"),
    "in: the Input node feeds an Output": lambda: row(shape=(3,)),
    "in: the Input node has a source, '0'": lambda: cut("0>in"),
    "out: an Output node takes one node": lambda: cut("0>out"),
    "[xy]: is in a loop without any spiking neuron": layered_loop,
    "aside: nothing leads to it from the input": unheard,
    "1: gets shape .* what adds up has one shape": summed,
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_fit_is_refused_by_name(message: str) -> None:
    with pytest.raises(ConversionError, match=rf"{message}"):
        from_nir(REFUSED[message]())


def test_neurons_are_what_they_were() -> None:
    """A guard for the table above: the same small graphs are fine without the mistake."""
    for node in (lif(3), READ, nir.IF(np.ones(3) / DT, np.ones(3)), nir.Threshold(np.ones(3))):
        neuron = from_nir(row(node))["0"].neuron
        assert isinstance(neuron, LINode if node is READ else LIFNode)
