"""The pages: their size, their links, and that the configuration page has every key."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurobip.config import DataConfig, LearnConfig, ModelConfig, RunConfig
from neurobip.config.learn import RuleConfig
from neurobip.config.named import names, own_options
from neurobip.config.section import Section

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_the_readme_is_short():
    readme = (ROOT / "README.md").read_bytes()
    assert len(readme) <= 10_240
    assert "docs/" in readme.decode()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_be_filled_in(page):
    assert not re.search(r"@@|TODO|FIXME|XXX", page.read_text(encoding="utf-8"))


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in readme


def documented(heading: str) -> dict[str, str]:
    """Keys and defaults that the configuration page states right below a heading."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"no heading {heading!r}"
    part = re.split(r"^##", rest, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", part, re.MULTILINE))


def defaults(section: Section, keys: Iterable[str]) -> dict[str, str]:
    """Defaults as a file has them."""
    values = section.model_dump(mode="json")

    def written(value: Any) -> str:
        return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()

    return {key: written(values[key]) for key in keys}


def test_the_configuration_page_has_every_key_of_data_and_learn():
    config = RunConfig()
    assert documented("## data") == defaults(config.data, DataConfig.model_fields)
    learn = defaults(config.learn, LearnConfig.model_fields)
    assert documented("## learn") == learn | {"rule": config.learn.rule.name}


@pytest.mark.parametrize("base", [DataConfig, ModelConfig, RuleConfig])
def test_the_configuration_page_has_every_option_of_what_is_named(base):
    for name in names(base.kind):
        thing = base(name=name)
        if options := own_options(type(thing)):
            found = documented(f"### {name}")
            assert found.keys() == set(options)
            given = base.kind.facts  # by the data, where the configuration is silent
            own = [key for key in options if key not in given]
            assert {key: found[key] for key in own} == defaults(thing, own)


def test_the_configuration_page_names_every_rule():
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for name in names(RuleConfig.kind):
        assert f"`{name}`" in text
