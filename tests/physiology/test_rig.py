"""The rig reads what the retina does, and refuses what is no stimulus."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from neurobip.errors import DataError
from neurobip.physiology.receptive import receptive_fields
from neurobip.physiology.rig import Rig, batch_stimuli, crop_center
from neurobip.retina import event_camera, mouse, primate_periphery
from neurobip.stimuli import Screen, checkerboard, gray


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig(mouse(), Screen(25, 25, degrees_per_pixel=1.0, dt=0.01), noise=0.0)


def test_the_middle_of_the_retina_is_what_is_read(rig: Rig) -> None:
    frames = checkerboard(rig.screen, duration=0.6, check=2.0)
    read = rig.record(frames, block=5)
    shown = torch.cat([torch.full_like(frames[:1], 0.5), frames])
    with torch.no_grad():
        drive, _ = rig.retina.currents(shown)
        z, _ = rig.retina(shown)
    torch.testing.assert_close(read.drive, crop_center(drive, 5)[1:], atol=1e-4, rtol=1e-4)
    assert (read.spikes != crop_center(z, 5)[1:]).float().mean() < 0.002
    assert read.spikes.sum() > 100


def test_long_stimuli_go_through_in_parts(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = checkerboard(rig.screen, duration=0.5, check=2.0).repeat(1, 2, 1, 1, 1)
    whole = rig.record(frames, block=3)
    monkeypatch.setattr("neurobip.physiology.rig.CHUNK", 14)
    assert torch.equal(rig.record(frames, block=3).spikes, whole.spikes)


def test_noise_follows_its_seed(rig: Rig) -> None:
    frames = gray(rig.screen, 0.3)
    noisy = dataclasses.replace(rig, noise=0.2)
    assert torch.equal(noisy.record(frames).drive, noisy.record(frames).drive)
    other = dataclasses.replace(noisy, seed=1).record(frames).drive
    assert not torch.equal(noisy.record(frames).drive, other)
    assert rig.record(frames).drive.abs().max() < 1e-6


def test_what_lies_in_front_of_the_retina_makes_its_input() -> None:
    def camera(light: torch.Tensor) -> torch.Tensor:
        return torch.cat([0 * light, 4 * (light > 0.6).float()], 2)

    screen = Screen(15, 15, degrees_per_pixel=1.0, dt=0.015)
    rig = Rig(event_camera(), screen, camera=camera, noise=0.0)
    frames = torch.full((20, 1, 1, 15, 15), 0.5)
    frames[5, 0, 0, 6:9, 6:9] = 0.9
    spikes = rig.record(frames).spikes[:, 0, :, 0, 0]
    assert spikes[5, rig.retina.index("transient on")] == 1 and spikes[:5].sum() == 0


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (torch.full((1, 1, 1, 25, 25), 0.5), "one frame"),
        (torch.full((9, 1, 1, 25, 25), float("nan")), "NaN"),
        (torch.full((9, 1, 1, 25, 25), 1.5), "0 to 1"),
        (torch.full((9, 1, 1, 20, 25), 0.5), "25, 25"),
    ],
)
def test_what_is_no_stimulus(rig: Rig, frames: torch.Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        rig.record(frames)


def test_other_refusals(rig: Rig) -> None:
    with pytest.raises(DataError, match="block"):
        rig.record(gray(rig.screen, 0.1), block=26)
    with pytest.raises(DataError, match="mosaics"):
        Rig(primate_periphery(size=(25, 25)), rig.screen)
    with pytest.raises(DataError, match="equal length"):
        batch_stimuli([torch.zeros(3, 1), torch.zeros(4, 1)])
    even = dataclasses.replace(rig, screen=Screen(24, 24, 1.0, 0.01))
    with pytest.raises(DataError, match="odd"):
        receptive_fields(even)


def test_receptive_fields_foretell_currents_to_weak_noise(rig: Rig) -> None:
    """What impulses told, convolved with noise of little contrast, is the current itself."""
    fields = receptive_fields(rig, size=21)
    frames = checkerboard(rig.screen, duration=1.5, check=1.0, refresh=100.0, contrast=0.05)
    drive = rig.record(frames).drive[:, 0, :, 0, 0]
    contrast = crop_center(frames[:, 0, 0] / 0.5 - 1, 21).flatten(1)
    lags = fields.kernel.shape[1]
    for name in ("orientation vertical",):
        k = rig.retina.index(name)
        out = contrast @ fields.kernel[k].flatten(1).T
        foretold = sum(out[lags - lag : len(out) - lag, lag] for lag in range(lags))
        told = torch.corrcoef(torch.stack([foretold, drive[lags:, k]]))[0, 1]
        assert told > 0.9, (name, told)
    linear = dict(zip(rig.names, fields.linear.tolist(), strict=True))
    assert linear["sustained on alpha"] and linear["orientation horizontal"]
    assert not linear["local edge"] and not linear["direction up"]
