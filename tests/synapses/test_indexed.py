"""Weights by table: equal to the full matrix, exact credit for shared values, signs that stay."""

import numpy as np
import pytest
import torch

from neurobip.synapses import Indexed, Linear

TABLE = np.array([[0, 1, -1, 2], [2, 0, 0, -1], [-1, -1, 1, 3]])
SIGNS = np.array([1, -1, 1, -1])


def indexed(signs=None, **settings) -> Indexed:
    torch.manual_seed(0)
    return Indexed(TABLE, torch.randn(2, 2), signs=signs, **settings).double()


@pytest.mark.parametrize("signs", [None, SIGNS])
def test_the_weight_is_looked_up(signs):
    synapse = indexed(signs)
    values = synapse.theta.detach().flatten().tolist()
    for i, j in np.ndindex(*TABLE.shape):
        value = 0.0 if TABLE[i, j] < 0 else values[TABLE[i, j]]
        expected = value if signs is None else abs(value) * signs[j]
        assert synapse.weight[i, j].item() == expected


@pytest.mark.parametrize("signs", [None, SIGNS])
@pytest.mark.parametrize("aligned", [False, True])
def test_it_does_what_a_linear_synapse_of_that_matrix_does(signs, aligned):
    synapse, dense = indexed(signs, decay_trace=0.25), Linear(4, 3, decay_trace=0.25).double()
    dense.weight = torch.nn.Parameter(synapse.weight.detach().clone())
    if aligned:
        synapse.learn_feedback(), dense.learn_feedback()
        dense.feedback = torch.nn.Parameter(synapse._matrix(synapse.feedback).detach())
    x = torch.rand(6, 2, 5, 4).double()
    (current, state), (expected, dense_state) = synapse.scan(x), dense.scan(x)
    torch.testing.assert_close(current, expected)
    delta = torch.randn_like(current)
    torch.testing.assert_close(synapse.send(delta, state), dense.send(delta, dense_state))
    found = synapse.gradient(delta, state)
    full = dense.gradient(delta, dense_state)["weight"]
    for name, gradient in found.items():
        values = getattr(synapse, name).detach().flatten()
        for k, value in enumerate(values):
            # The sum over a value's connections, by hand.
            total = sum(
                full[i, j] * (1 if signs is None else signs[j] * value.sign())
                for i, j in np.ndindex(*TABLE.shape)
                if TABLE[i, j] == k
            )
            torch.testing.assert_close(gradient.flatten()[k], total)
    assert found.keys() == ({"theta", "feedback"} if aligned else {"theta"})


@pytest.mark.parametrize("signs", [None, SIGNS])
def test_adjoint_equals_autograd(signs):
    synapse = indexed(signs)
    x = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    current, state = synapse.step(x)
    delta = torch.randn_like(current)
    current.backward(delta)
    torch.testing.assert_close(synapse.send(delta, state), x.grad)
    torch.testing.assert_close(synapse.gradient(delta, state)["theta"], synapse.theta.grad)


@pytest.mark.parametrize("signs", [None, SIGNS])
def test_errors_by_other_ways(signs):
    synapse = indexed(signs)
    delta, x = torch.randn(5, 3).double(), torch.rand(5, 4).double()
    state = synapse.step(x)[1]
    there = torch.tensor(TABLE >= 0)
    size = synapse.weight[there].abs().mean()
    synapse.sign_feedback()
    sent = delta @ torch.where(there, synapse.weight.sign() * size, 0.0)
    torch.testing.assert_close(synapse.send(delta, state), sent)
    synapse.randomize_feedback()
    matrix = synapse._matrix(synapse.feedback)
    assert bool((matrix[there] != 0).all()) and not bool(matrix[~there].any())
    torch.testing.assert_close(synapse.send(delta, state), delta @ matrix)
    assert synapse.gradient(delta, state).keys() == {"theta"}, "a fixed way does not learn"


def test_reach_counts_connections_alone():
    x = torch.tensor([[2.0, 0.0, 1.0, 0.0]]).double()
    assert float(indexed().reach(x)) == 2 * 2 + 2
    assert float(indexed().reach(torch.ones_like(x))) == (TABLE >= 0).sum()


def test_signs_stay_whatever_is_learned():
    synapse = indexed(SIGNS)
    optimizer = torch.optim.SGD([synapse.theta], lr=0.5)
    crossed = False
    for _ in range(50):
        before = synapse.theta.detach().sign()
        x = torch.rand(8, 4).double()
        current, state = synapse.step(x)
        # The target would have every weight of the other sign.
        error = current.detach() + 5 * x @ torch.tensor(SIGNS).double()[:, None]
        synapse.theta.grad = synapse.gradient(error, state)["theta"]
        optimizer.step()
        crossed |= bool((synapse.theta.detach().sign() != before).any())
        assert bool((synapse.weight * torch.tensor(SIGNS) >= 0).all())
    assert crossed, "no value came to zero, so that nothing was put to the test"


def test_the_table_is_in_no_checkpoint_and_moves_with_the_synapse():
    synapse = indexed(SIGNS)
    assert set(synapse.state_dict()) == {"theta"}
    assert synapse.to("meta").weight.device.type == "meta"


@pytest.mark.parametrize(
    ("index", "signs", "message"),
    [
        (np.array([0, 1]), None, "expected whole numbers"),
        (np.array([[0.5]]), None, "expected whole numbers"),
        (np.array([[0, 4]]), None, "index goes from 0 to 4, and theta has 4 values"),
        (np.array([[0, -2]]), None, "index goes from -2 to 0"),
        (np.array([[0, 1]]), np.array([1]), "for each of 2 inputs"),
        (np.array([[0, 1]]), np.array([1, 0]), r"\[0, 1\]; expected \+1 or"),
    ],
)
def test_what_does_not_fit_is_refused(index, signs, message):
    with pytest.raises(ValueError, match=message):
        Indexed(index, torch.zeros(4), signs=signs)
