"""``neurobip retina characterize``: the document, the table, the page, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from neurobip.cli.main import run
from neurobip.errors import ConfigError
from neurobip.runs.retinas import rig_of, through_camera

from .conftest import Command


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retina") / "deep" / "primate.html"


@pytest.fixture(scope="session")
def document(command: Command, page: Path) -> dict:
    preset = ["--preset", "primate_periphery"]
    return command("retina", "characterize", *preset, "--quick", "--out", page)


@pytest.mark.slow
def test_the_document_holds_measures_claims_and_curves(document: dict) -> None:
    names = ["midget on", "midget off", "parasol on", "parasol off"]
    assert [m["name"] for m in document["types"]] == names
    assert document["types"][2]["doubling"] > 1 and document["types"][2]["ln_explained"] is None
    assert document["claims"] and all(claim["holds"] for claim in document["claims"])
    assert list(document["spatial"]["f1"]) == names
    assert len(document["spatial"]["f1"]["midget on"]) == len(
        document["spatial"]["cycles_per_degree"]
    )


@pytest.mark.slow
def test_the_page_is_one_file_with_pictures(document: dict, page: Path) -> None:
    assert document["page"] == str(page)
    content = page.read_text()
    assert content.count("<img") == 8 and "src=\"http" not in content
    for word in ("Receptive fields", "The chirp", "Mosaics", "parasol off", "frequency doubling"):
        assert word in content


@pytest.mark.slow
def test_people_get_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A retina of one wrong type: the table, the claim that fails, and exit code 1."""
    import dataclasses

    from neurobip.physiology.rig import Rig
    from neurobip.retina import PRIMATE, primate_periphery
    from neurobip.runs import retinas

    parasol = dataclasses.replace(PRIMATE[2], name="wrong", field=1.0)
    chosen = rig_of("primate_periphery")
    wrong = dataclasses.replace(
        chosen, rig=Rig(primate_periphery([parasol]), chosen.rig.screen), laid=None,
        noise_seconds=2.0,
    )  # fmt: skip
    monkeypatch.setattr(retinas, "rig_of", lambda preset: wrong)
    out = tmp_path / "page.html"
    assert run(["retina", "characterize", "--quick", "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "F2/F1" in said and "NO   transient cells double" in said and "(wrong)" in said
    assert str(out) in said.replace("\n", "")
    assert "Mosaics" not in out.read_text()


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_another_preset(extra: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["retina", "characterize", "--preset", "cat", *extra]) == 2
    said = capsys.readouterr()
    fits = "no retina 'cat'; event_camera, mouse and primate_periphery fit"
    assert said.out == "" and fits in said.err
    with pytest.raises(ConfigError):
        rig_of("")


def test_a_folder_is_no_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Told before anything is measured."""
    assert run(["retina", "characterize", "--quick", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "name the page, such as retina.html" in said.err


@pytest.mark.slow
def test_the_event_retina_keeps_its_claims(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but one: frequency doubling of its transient on cells is near the bound, 1."""
    out = tmp_path / "event.html"
    arguments = ["retina", "characterize", "--preset", "event_camera", "--quick", "--json"]
    assert run([*arguments, "--out", str(out)]) in (0, 1)
    document = json.loads(capsys.readouterr().out)
    failing = [claim["text"] for claim in document["claims"] if not claim["holds"]]
    assert all("double the frequency" in text for text in failing)
    assert max(m["light_spread"] for m in document["types"]) < 0.1
    assert all(m["gain_ratio"] is None for m in document["types"])
    assert min(m["doubling"] for m in document["types"] if "transient" in m["name"]) > 0.9
    assert "no contrast gain control" in out.read_text()


def test_a_camera_stands_in_front_of_the_event_retina() -> None:
    frames = torch.full((6, 2, 1, 4, 5), 0.2)
    frames[2:, 0, 0, 1, 3] = 0.2 * 2.75  # ln 2.75 = 1.01: two thresholds of 0.35
    frames[4:, 1, 0, 2, 0] = 0.2 / 1.5  # ln 1.5 = 0.41
    counts = through_camera(0.015)(frames)
    assert counts.shape == (6, 2, 2, 4, 5)
    assert counts[2, 0, 1, 1, 3] == 2 and counts[4, 1, 0, 2, 0] == 1
    assert counts.sum() == 3
    rig = rig_of("event_camera").rig
    assert rig.retina.photoreceptor is None and rig.camera is not None
