"""The pages: their size, their links, and that the configuration page has every key."""

import re
from pathlib import Path

import pytest
import yaml

from neurobip.config import RunConfig

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


def documented(section: str) -> dict[str, str]:
    """Keys and defaults that the configuration page states for a section."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n## {section}\n")
    part = re.split(r"^## ", rest, flags=re.MULTILINE)[0]
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", part, re.MULTILINE))


@pytest.mark.parametrize("section", ["data", "model", "learn"])
def test_the_configuration_page_has_every_key_with_its_default(section):
    defaults = RunConfig().model_dump(mode="json")[section]
    expected = {
        key: yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
        for key, value in defaults.items()
    }
    assert documented(section) == expected
