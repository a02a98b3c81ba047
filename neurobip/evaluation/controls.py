"""Controls: networks and classifiers that an accuracy is compared with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from neurobip.config import RunConfig
from neurobip.errors import DataError

#: The networks that are trained with the same budget, by the one thing that they lack.
WITHOUT: dict[str, dict[str, dict[str, str | bool]]] = {
    "no_attention": {"model": {"attention": "none"}},
    "frozen_qk": {"learn": {"freeze": "qk"}},
    "frozen_features": {"learn": {"freeze": "features"}},
    "rate_code": {"data": {"shuffle_time": True}},
}

#: Controls that only networks with attention have.
ATTENTION = ("no_attention", "frozen_qk")

LOGISTIC = "logistic_regression"
ANN_TWIN = "ann_twin"

#: Bits of the activations of the network without spikes.
ANN_BITS = 4


class Control(NamedTuple):
    """Test accuracy of a control and the number of test samples."""

    accuracy: float
    samples: int


def variants(config: RunConfig) -> dict[str, RunConfig]:
    """The controls of a run that are networks, by name: everything equal but one thing.

    A network without an option ``attention``, or with none, has neither of the two controls of
    attention, and a network that is already one of the controls is left out.
    """
    found = {}
    for name, change in WITHOUT.items():
        if getattr(config.model, "attention", "none") == "none" and name in ATTENTION:
            continue
        control = config.changed(**change)
        if control != config:
            found[name] = control
    return found


def count_features(frames: np.ndarray, bins: int = 3) -> np.ndarray:
    """Logarithms of event counts in a few equal time bins, the input of a linear control.

    Shape:
        frames ``[S, T, 2, H, W]`` counts, features float32 ``[S, bins * 2 * H * W]``.

    Raises:
        DataError: fewer time steps than bins.
    """
    samples, steps = frames.shape[:2]
    if steps < bins:
        raise DataError(f"count_features: {steps} time steps do not make {bins} bins")
    edges = np.linspace(0, steps, bins + 1).round().astype(int)
    parts = [
        frames[:, a:b].sum(1, dtype=np.float32) for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.log1p(np.stack(parts, 1)).reshape(samples, -1)


def logistic_regression(
    train: tuple[np.ndarray, np.ndarray],
    valid: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    strengths: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1),
) -> Control:
    """Multinomial logistic regression; the strength is chosen on the validation samples.

    Shape:
        each pair is ``(features [S, F], labels [S])``; without validation samples the second
        strength is taken.

    Raises:
        DataError: no training or no test sample, or a single class.
    """
    from sklearn.linear_model import LogisticRegression

    if not len(train[1]) or not len(test[1]):
        raise DataError(
            f"logistic_regression: {len(train[1])} training and {len(test[1])} test samples; "
            "both are needed"
        )
    if len(np.unique(train[1])) < 2:
        raise DataError(
            f"logistic_regression: all {len(train[1])} training samples are of class "
            f"{train[1][0]}; at least two classes are needed"
        )

    def fitted(strength: float, features: np.ndarray, labels: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(features, labels)

    best = strengths[min(1, len(strengths) - 1)]
    if len(valid[1]):
        best = max(strengths, key=lambda strength: fitted(strength, *train).score(*valid))
    # In favour of the control, it also learns from the samples that chose its strength.
    features, labels = (np.concatenate(parts) for parts in zip(train, valid, strict=True))
    return Control(float(fitted(best, features, labels).score(*test)), len(test[1]))
