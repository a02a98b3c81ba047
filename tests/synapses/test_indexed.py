"""Weights by table: equal to the full matrix, exact credit for shared values, signs that stay."""

import numpy as np
import pytest
import torch

from neurobip.synapses import Indexed, Linear

TABLE = np.array([[0, 1, -1, 2], [2, 0, 0, -1], [-1, -1, 1, 3]])
SIGN = np.array([1, -1, 1, -1])


def indexed(sign=None, **settings) -> Indexed:
    torch.manual_seed(0)
    return Indexed(TABLE, torch.randn(2, 2), sign=sign, **settings).double()


@pytest.mark.parametrize("sign", [None, SIGN])
def test_the_weight_is_looked_up(sign):
    synapse = indexed(sign)
    values = synapse.theta.detach().flatten().tolist()
    for i, j in np.ndindex(*TABLE.shape):
        value = 0.0 if TABLE[i, j] < 0 else values[TABLE[i, j]]
        expected = value if sign is None else abs(value) * sign[j]
        assert synapse.weight[i, j].item() == expected


@pytest.mark.parametrize("sign", [None, SIGN])
@pytest.mark.parametrize("aligned", [False, True])
def test_it_does_what_a_linear_synapse_of_that_matrix_does(sign, aligned):
    synapse, dense = indexed(sign, decay_trace=0.25), Linear(4, 3, decay_trace=0.25).double()
    dense.weight = torch.nn.Parameter(synapse.weight.detach().clone())
    if aligned:
        synapse.align(), dense.align()
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
                full[i, j] * (1 if sign is None else sign[j] * value.sign())
                for i, j in np.ndindex(*TABLE.shape)
                if TABLE[i, j] == k
            )
            torch.testing.assert_close(gradient.flatten()[k], total)
    assert found.keys() == ({"theta", "feedback"} if aligned else {"theta"})


@pytest.mark.parametrize("sign", [None, SIGN])
def test_adjoint_equals_autograd(sign):
    synapse = indexed(sign)
    x = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    current, state = synapse.step(x)
    delta = torch.randn_like(current)
    current.backward(delta)
    torch.testing.assert_close(synapse.send(delta, state), x.grad)
    torch.testing.assert_close(synapse.gradient(delta, state)["theta"], synapse.theta.grad)


def test_reach_counts_connections_alone():
    x = torch.tensor([[2.0, 0.0, 1.0, 0.0]]).double()
    assert float(indexed().reach(x)) == 2 * 2 + 2
    assert float(indexed().reach(torch.ones_like(x))) == (TABLE >= 0).sum()


def test_signs_stay_whatever_is_learned():
    synapse = indexed(SIGN)
    optimizer = torch.optim.SGD([synapse.theta], lr=0.5)
    crossed = False
    for _ in range(50):
        before = synapse.theta.detach().sign()
        x = torch.rand(8, 4).double()
        current, state = synapse.step(x)
        # The target would have every weight of the other sign.
        error = current.detach() + 5 * x @ torch.tensor(SIGN).double()[:, None]
        synapse.theta.grad = synapse.gradient(error, state)["theta"]
        optimizer.step()
        crossed |= bool((synapse.theta.detach().sign() != before).any())
        assert bool((synapse.weight * torch.tensor(SIGN) >= 0).all())
    assert crossed, "no value came to zero, so that nothing was put to the test"


def test_the_table_is_in_no_checkpoint_and_moves_with_the_synapse():
    synapse = indexed(SIGN)
    assert set(synapse.state_dict()) == {"theta"}
    assert synapse.to("meta").weight.device.type == "meta"


@pytest.mark.parametrize(
    ("index", "sign", "message"),
    [
        (np.array([0, 1]), None, "expected whole numbers"),
        (np.array([[0.5]]), None, "expected whole numbers"),
        (np.array([[0, 4]]), None, "index goes from 0 to 4, and theta has 4 values"),
        (np.array([[0, -2]]), None, "index goes from -2 to 0"),
        (np.array([[0, 1]]), np.array([1]), "for each of 2 inputs"),
        (np.array([[0, 1]]), np.array([1, 0]), r"\[0, 1\]; expected \+1 or -1"),
    ],
)
def test_what_does_not_fit_is_refused(index, sign, message):
    with pytest.raises(ValueError, match=message):
        Indexed(index, torch.zeros(4), sign=sign)
