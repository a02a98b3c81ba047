"""What the pictures show, read back from the figures themselves."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from neurobip.viz import (
    accuracy_bars,
    cell_rates,
    data_uri,
    energy_bars,
    learning_curve,
    png_bytes,
    raster,
    retina_pictures,
)


def test_raster_shows_every_spike() -> None:
    torch.manual_seed(0)
    spikes = (torch.rand(12, 5, 4) < 0.3).float()
    (panel,) = raster({"cells": spikes}).axes
    drawn = {tuple(int(c) for c in point) for point in panel.collections[0].get_offsets()}
    expected = {(t, n) for t, n in spikes.flatten(1).nonzero().tolist()}
    assert drawn == expected
    assert panel.get_title(loc="right").startswith("20 cells")
    assert f"{100 * float(spikes.mean()):.1f} %" in panel.get_title(loc="right")


def test_raster_takes_an_even_choice_of_many_cells() -> None:
    spikes = torch.zeros(3, 1000)
    spikes[1, 0] = spikes[1, 999] = 1
    (panel,) = raster({"cells": spikes}, most_cells=10, step_ms=5.0).axes
    assert panel.collections[0].get_offsets().tolist() == [[1, 0], [1, 9]]
    assert panel.get_xlabel() == "time (ms)"


def test_raster_wants_layers_of_one_length() -> None:
    with pytest.raises(ValueError, match=r"\[3, 4\]"):
        raster({"a": torch.zeros(3, 2), "b": torch.zeros(4, 2)})
    with pytest.raises(ValueError, match="at least one"):
        raster({})


def test_retina_pictures_show_on_minus_off() -> None:
    frames = torch.zeros(4, 2, 6, 6, dtype=torch.uint8)
    frames[0, 1, 2, 3] = 5  # on
    frames[3, 0, 4, 1] = 2  # off
    spikes = torch.zeros(4, 4, 6, 6)
    spikes[1, 0, 0, 0] = spikes[1, 3, 5, 5] = 1
    panels = retina_pictures(frames, spikes, columns=2, step_ms=10.0).axes
    images = [np.asarray(panel.images[0].get_array()) for panel in panels]
    assert len(images) == 6
    assert images[0][2, 3] == 5 and images[0].sum() == 5
    assert images[1][4, 1] == -2 and images[1].sum() == -2
    assert images[2][0, 0] == 1 and images[4][5, 5] == -1
    assert [panel.get_title() for panel in panels[:2]] == ["0–20 ms", "20–40 ms"]
    with pytest.raises(ValueError, match=r"expected \[T, 2, H, W\]"):
        retina_pictures(frames[:, :1], spikes)


def test_cell_rates_are_counts_by_kind() -> None:
    spikes = (torch.rand(7, 4, 5, 5) < 0.2).float()
    (axes,) = cell_rates(spikes).axes
    drawn = np.stack([line.get_ydata() for line in axes.lines], 1)
    assert np.array_equal(drawn, spikes.sum((2, 3)).numpy())


def test_learning_curve_marks_the_chosen_epoch() -> None:
    history = [
        {"epoch": e, "train_accuracy": t, "valid_accuracy": v}
        for e, t, v in [(1, 0.2, 0.3), (2, 0.5, 0.8), (3, 0.9, 0.7)]
    ]
    (axes,) = learning_curve(history, chosen=2).axes
    train, valid, mark = (line.get_xydata().tolist() for line in axes.lines)
    assert train == [[1, 20], [2, 50], [3, 90]] and valid == [[1, 30], [2, 80], [3, 70]]
    assert mark == [[2, 80]]
    assert axes.texts[0].get_text() == "80.0 %"
    with pytest.raises(ValueError, match="at least one epoch"):
        learning_curve([])
    with pytest.raises(ValueError, match=r"epoch 4 is not among \[1, 2, 3\]"):
        learning_curve(history, chosen=4)


def test_bars_carry_their_numbers() -> None:
    (axes,) = accuracy_bars({"ours": 0.951, "chance": 0.1}).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([95.1, 10.0])
    assert [text.get_text() for text in axes.texts] == ["95.1", "10.0"]
    (axes,) = energy_bars({"a": 3000.0, "b": 1000.0, "c": 0.0}).axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([3.0, 1.0, 0.0])
    assert [text.get_text() for text in axes.texts] == ["3 nJ · 75 %", "1 nJ · 25 %", "0 nJ · 0 %"]
    for wrong in ({}, {"a": -1.0}):
        with pytest.raises(ValueError, match="0 or more"):
            energy_bars(wrong)


def test_figures_become_addresses() -> None:
    figure = accuracy_bars({"ours": 0.5})
    assert png_bytes(figure).startswith(b"\x89PNG")
    assert data_uri(figure, "svg").startswith("data:image/svg+xml;base64,")
    with pytest.raises(ValueError, match="'png' or 'svg'"):
        data_uri(figure, "gif")


def test_pyplot_state_stays_untouched() -> None:
    code = (
        "import torch, neurobip.viz as viz\n"
        "viz.accuracy_bars({'a': 0.5}); viz.raster({'a': torch.ones(3, 2)})\n"
        "import matplotlib.pyplot as plt; print(plt.get_fignums())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
