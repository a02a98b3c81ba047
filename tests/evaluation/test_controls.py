"""The controls: features in closed form, and variants that differ in one thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurobip.config import make_config
from neurobip.errors import DataError
from neurobip.evaluation.controls import count_features, logistic_regression, variants


def test_features_are_logs_of_counts_in_equal_bins() -> None:
    frames = np.zeros((2, 6, 2, 3, 3), dtype=np.uint8)
    frames[0, 0, 1, 2, 2] = 200
    frames[0, 1, 1, 2, 2] = 100  # 300 in one bin: more than 8 bits hold
    frames[1, 5, 0, 0, 1] = 1
    features = count_features(frames, bins=3).reshape(2, 3, 2, 3, 3)
    assert features[0, 0, 1, 2, 2] == pytest.approx(np.log(301))
    assert features[1, 2, 0, 0, 1] == pytest.approx(np.log(2))
    assert np.count_nonzero(features) == 2
    with pytest.raises(DataError, match="2 time steps"):
        count_features(frames[:, :2], bins=3)


def test_every_event_is_in_one_bin() -> None:
    frames = np.random.default_rng(0).integers(0, 9, (3, 20, 2, 4, 4), dtype=np.uint8)
    for bins in (1, 3, 7, 20):
        counts = np.expm1(count_features(frames, bins)).sum()
        assert counts == pytest.approx(frames.sum(), rel=1e-4)


def test_logistic_regression_separates_what_a_line_can() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(300, 5)).astype(np.float32)
    labels = (features[:, 0] - features[:, 1] > 0).astype(int)
    parts = [(features[a:b], labels[a:b]) for a, b in ((0, 150), (150, 200), (200, 300))]
    result = logistic_regression(*parts)
    assert result.accuracy > 0.9 and result.samples == 100
    shuffled = [(x, rng.permutation(y)) for x, y in parts]
    assert abs(logistic_regression(*shuffled).accuracy - 0.5) < 0.2
    empty = (features[:0], labels[:0])
    assert logistic_regression(parts[0], empty, parts[2]).accuracy > 0.85
    with pytest.raises(DataError, match="0 training"):
        logistic_regression(empty, empty, parts[2])


def test_variants_change_one_thing() -> None:
    config = make_config({})
    found = variants(config)
    assert list(found) == ["no_attention", "frozen_qk", "frozen_features", "rate_code"]
    assert found["no_attention"].model.attention == "none"
    assert found["frozen_qk"].learn.freeze == "qk"
    assert found["frozen_features"].learn.freeze == "features"
    assert found["rate_code"].data.shuffle_time
    for control in found.values():
        assert control.seed == config.seed
        changed = [
            key
            for section in ("data", "model", "learn")
            for key, value in getattr(config, section).model_dump().items()
            if getattr(control, section).model_dump()[key] != value
        ]
        assert len(changed) == 1


def test_a_control_is_not_its_own_control() -> None:
    plain = make_config({}, ["model.attention=none"])
    assert list(variants(plain)) == ["frozen_features", "rate_code"]
    frozen = make_config({}, ["learn.freeze=features"])
    assert "frozen_features" not in variants(frozen)
    shuffled = make_config({}, ["data.shuffle_time=true"])
    assert "rate_code" not in variants(shuffled)
    assert all(control.data.shuffle_time for control in variants(shuffled).values())


def test_controls_have_the_encoder_of_the_run(tmp_path: Path) -> None:
    config = make_config({"data": {"shift": 0}, "learn": {"encoder": str(tmp_path)}})
    found = variants(config)
    assert len(found) == 4
    assert all(control.learn.encoder == tmp_path for control in found.values())
