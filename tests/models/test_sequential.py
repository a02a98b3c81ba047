"""Sequential refuses parts that do not fit each other, by the part's name."""

import pytest

import neurobip as nb
from neurobip.errors import ConfigError


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (lambda: (nb.Linear(6, 4), nb.LIF(), nb.Linear(5, 3), nb.LI(0.1)), "part 1, a Linear"),
        (lambda: (nb.Linear(6, 4), nb.LIF(5), nb.Linear(4, 3), nb.LI(0.1)), "part 0, a Linear"),
        (
            lambda: (
                nb.Projection(nb.Linear(6, 4), nb.LIF(), recurrent=nb.Linear(5, 4)),
                nb.Linear(4, 3), nb.LI(0.1),
            ),
            "part 0, a Linear",
        ),
        (lambda: (nb.Linear(6, 4), nb.Linear(4, 3), nb.LI(0.1)), "has no neurons after it"),
        (lambda: (nb.LIF(6),), "has no synapse before it"),
        (lambda: (nb.Linear(6, 4),), "without neurons"),
        (lambda: (), "no parts"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_named(parts, message):
    with pytest.raises(ConfigError, match=message):
        nb.Sequential(*parts(), input_shape=(6,))


def test_sizes_below_one_are_refused():
    with pytest.raises(ConfigError, match="0 outputs"):
        nb.Linear(6, 0)


def test_frozen_queries_need_queries():
    net = nb.Sequential(nb.Linear(6, 4), nb.LIF(), nb.Linear(4, 3), nb.LI(0.1), input_shape=(6,))
    with pytest.raises(ConfigError, match="no block with queries and keys"):
        nb.rules.ottt(net, freeze="qk")
