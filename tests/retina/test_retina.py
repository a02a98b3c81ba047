"""The retina against the physiology that it stands for."""

import torch

from neurobip.projection import projections
from neurobip.retina import Bipolar, event_camera, gaussian

SUSTAINED_ON, SUSTAINED_OFF, TRANSIENT_ON, TRANSIENT_OFF = range(4)


def run(events):
    with torch.no_grad():
        return event_camera()(events)[0]


def spot(polarity, steps=12, edge=21, radius=1):
    """Events of one polarity on a small spot, in the first step."""
    events = torch.zeros(steps, 1, 2, edge, edge)
    middle = slice(edge // 2 - radius, edge // 2 + radius + 1)
    events[0, :, polarity, middle, middle] = 3
    return events


def test_on_cells_answer_light_on_and_off_cells_light_off():
    on = run(spot(1))[:3, 0, :, 9:12, 9:12].sum((0, 2, 3))
    off = run(spot(0))[:3, 0, :, 9:12, 9:12].sum((0, 2, 3))
    assert min(on[SUSTAINED_ON], on[TRANSIENT_ON]) > 0 == max(on[SUSTAINED_OFF], on[TRANSIENT_OFF])
    assert min(off[SUSTAINED_OFF], off[TRANSIENT_OFF]) > 0
    assert max(off[SUSTAINED_ON], off[TRANSIENT_ON]) == 0


def test_polarities_are_mirror_images():
    torch.manual_seed(0)
    events = (torch.rand(10, 2, 2, 16, 16) < 0.1).float()
    z, mirrored = run(events), run(events.flip(2))
    assert z.sum() > 100
    assert torch.equal(
        mirrored, z[:, :, [SUSTAINED_OFF, SUSTAINED_ON, TRANSIENT_OFF, TRANSIENT_ON]]
    )


def test_surround_silences_a_uniform_field():
    """Far from the border center and surround have the same sum: what is left is the delay."""
    retina = event_camera()
    events = torch.zeros(30, 1, 2, 41, 41)
    events[0, :, 1] = 1
    graded, _ = retina.bipolar(events)
    middle = graded[:, 0, SUSTAINED_ON, 20, 20] - graded[:, 0, SUSTAINED_OFF, 20, 20]
    alone, _ = retina.bipolar(spot(1, 30, 41) / 3)
    spot_response = alone[:, 0, SUSTAINED_ON, 20, 20] - alone[:, 0, SUSTAINED_OFF, 20, 20]
    assert middle[8:].abs().max() < 0.1 * spot_response.abs().max()
    assert middle[0] > 0, "the horizontal cells come later than the center"


def test_transient_cells_stop_before_sustained_cells():
    retina = event_camera()
    events = torch.zeros(12, 1, 2, 21, 21)
    events[:4, :, 1, 10, 10] = 2
    graded, _ = retina.bipolar(events)
    sustained = (graded[:, 0, SUSTAINED_ON, 10, 10] > 0).nonzero().max()
    transient = (graded[:, 0, TRANSIENT_ON, 10, 10] > 0).nonzero().max()
    assert transient < sustained


def test_bipolar_equals_its_equations_in_plain_python():
    torch.manual_seed(0)
    x = torch.randn(20, 1, 2, 1, 1, dtype=torch.float64)
    z, _ = Bipolar()(x)
    c = s = h = low = 0.0
    for t in range(20):
        c = 0.875 * c + x[t, 0, 0].item()
        s = 0.875 * s + x[t, 0, 1].item()
        h = 0.5 * h + 0.5 * s
        o = c - h
        low = 0.75 * low + 0.25 * o
        expected = [o - 0.25 * low, -(o - 0.25 * low), o - low, low - o]
        torch.testing.assert_close(z[t].flatten().tolist(), [max(e, 0.0) for e in expected])


def test_streaming_equals_the_whole_and_state_is_constant():
    torch.manual_seed(0)
    retina, events = event_camera(), (torch.rand(9, 2, 2, 12, 12) < 0.1).float()
    whole, end = retina(events)
    first, state = retina(events[:5])
    second, last = retina(events[5:], state)
    assert torch.equal(whole, torch.cat([first, second]))
    for name, _ in projections(retina):
        found = [part.shape for part in state[name].neuron if part is not None]
        assert found == [part.shape for part in end[name].neuron if part is not None]


def test_gaussian_sums_to_one_and_has_its_width():
    profile = gaussian(1.5, 15)
    offset = torch.arange(15) - 7.0
    torch.testing.assert_close(profile.sum(), torch.tensor(1.0))
    torch.testing.assert_close(
        (profile * offset**2).sum().sqrt(), torch.tensor(1.5), rtol=0.01, atol=0
    )


def test_a_real_recording_drives_all_four_types(nmnist_frames):
    rates = run(nmnist_frames.float()).mean((0, 1, 3, 4))
    assert all(0.01 < rate < 0.2 for rate in rates.tolist()), rates
