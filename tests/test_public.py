"""The public face: names by tab, real signatures, a light import."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

import neurobip as nb
from neurobip.errors import ConfigError

WANTED = (
    "LIF", "ALIF", "LI", "Linear", "Conv2d", "Sequential", "BiTFormer", "event_camera", "mouse",
    "primate_periphery", "fit", "rules", "SaccadeDigits", "NMNIST", "to_graph", "quantize",
    "verify", "measure_energy", "accuracy",
)  # fmt: skip


def test_tab_shows_what_people_need():
    assert set(WANTED) <= set(dir(nb))
    assert dir(nb) == sorted(nb.__all__), "and nothing else"


@pytest.mark.parametrize("name", nb.__all__)
def test_every_name_is_there_with_a_docstring(name):
    value = getattr(nb, name)
    assert inspect.getdoc(value), name
    assert name in nb.__doc__ or name in ("Component", "Retina", "projections")


def test_tab_works_before_anything_is_loaded():
    code = (
        "import sys, neurobip as nb\n"
        "names = dir(nb)\n"
        "assert 'torch' not in sys.modules, 'dir() loads torch'\n"
        "import rlcompleter\n"
        "complete = rlcompleter.Completer({'nb': nb}).complete\n"
        "found = [complete('nb.Seq', i) for i in range(1)]\n"
        "print(found[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("nb.Sequential")


def test_help_is_a_page():
    assert nb.__doc__.count("\n") > 20 and "import neurobip as nb" in nb.__doc__


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("LIF", ["size", "decay_v", "decay_u", "threshold", "bias", "width"]),
        ("Conv2d", ["inputs", "outputs", "kernel_size"]),
        ("Linear", ["inputs", "outputs"]),
        ("Sequential", ["parts", "input_shape", "answer_steps"]),
        ("BiTFormerConfig", ["sensor", "classes", "width", "heads", "attention"]),
    ],
)
def test_constructors_show_real_signatures(name, parameters):
    signature = inspect.signature(getattr(nb, name))
    assert [p for p in signature.parameters if p in parameters] == sorted(
        parameters, key=list(signature.parameters).index
    )
    assert set(parameters) <= set(signature.parameters)
    text = str(signature)
    for internal in ("Annotated", "BeforeValidator", "FieldInfo", "pydantic"):
        assert internal not in text, text


def test_a_wrong_keyword_reads_as_in_a_file():
    with pytest.raises(ConfigError, match=r"widht.*did you mean width"):
        nb.BiTFormerConfig(widht=3)


def test_an_unknown_name_says_so():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nb.nothing  # noqa: B018


def test_sizes_and_leaks_are_stated_once():
    net = nb.Sequential(
        nb.Conv2d(2, 4, 3), nb.LIF(decay_v=0.5), nb.Flatten(), nb.Linear(4 * 36, 3), nb.LI(0.125),
        input_shape=(2, 8, 8),
    )  # fmt: skip
    conv, _, readout = (part for _, part in net.parts)
    assert conv.neuron.bias.shape == (4, 1, 1) and conv.synapse.decay_trace == 0.5
    assert readout.synapse.decay_trace == 0.125
    assert net.classes == 3 and net.widths() == [144, 3]
    z, _ = net(torch.ones(5, 2, 2, 8, 8))
    assert z.shape == (5, 2, 3)
