"""HTML report page: text, tables and figures in one self-contained file."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from neurobip.atomic import write_atomic
from neurobip.viz.figure import data_uri


@dataclass(frozen=True)
class Tile:
    """Headline number of a page: the value, its name, and a note below."""

    value: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """Figure with its caption. ``kind`` as in :func:`~neurobip.viz.data_uri`."""

    figure: Figure
    caption: str
    kind: str = "png"


@dataclass(frozen=True)
class Table:
    """Table with column names; the first column is text, the others are numbers."""

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]


@dataclass(frozen=True)
class Section:
    """Section of a page: heading, paragraphs, pictures, tables, and collapsed details.

    ``folded`` holds pairs of a summary and a text that is shown when expanded.
    """

    title: str
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    folded: Sequence[tuple[str, str]] = field(default=())


def render_page(
    title: str, subtitle: str, tiles: Sequence[Tile], sections: Sequence[Section], foot: str = ""
) -> str:
    """HTML of a page; all text is escaped."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
            f"<header><h1>{_text(title)}</h1><p>{_text(subtitle)}</p></header>",
            '<div class="tiles">',
            *(
                f'<div class="tile"><b>{_text(tile.value)}</b><span>{_text(tile.name)}</span>'
                f"<small>{_text(tile.note)}</small></div>"
                for tile in tiles
            ),
            "</div>",
            *(_section(section) for section in sections),
            f"<footer>{_text(foot)}</footer>\n</main>\n</body>\n</html>\n",
        ]
    )


def write_page(path: str | Path, content: str) -> None:
    """Write a page to a file atomically."""
    write_atomic(path, content)


def _section(section: Section) -> str:
    parts = [f"<section><h2>{_text(section.title)}</h2>"]
    parts += [f"<p>{_text(paragraph)}</p>" for paragraph in section.text]
    for picture in section.pictures:
        parts.append(
            f'<figure><img src="{data_uri(picture.figure, picture.kind)}" '
            f'alt="{_text(picture.caption)}"><figcaption>{_text(picture.caption)}</figcaption>'
            "</figure>"
        )
    parts += [_table(table) for table in section.tables]
    for title, content in section.folded:
        parts.append(
            f"<details><summary>{_text(title)}</summary><pre>{_text(content)}</pre></details>"
        )
    return "\n".join([*parts, "</section>"])


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in table.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        "</div>"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


STYLE = """
:root { color-scheme: light; --ink: #26313d; --muted: #66727f; --line: #e3e8ee; --blue: #2f6db5; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f9; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
header { padding: 0.75rem 0.25rem 0.5rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; letter-spacing: -0.01em; }
header p { margin: 0.4rem 0 0; color: var(--muted); }
h2 { margin: 0 0 0.5rem; font-size: 1.15rem; }
section, .tile { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
section { padding: 1.1rem 1.25rem; margin-top: 1rem; }
p { margin: 0.35rem 0 0.7rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
  gap: 0.75rem; margin-top: 0.75rem; }
.tile { padding: 0.8rem 1rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; color: var(--blue);
  font-weight: 650; }
.tile span { display: block; font-size: 0.95rem; }
.tile small { color: var(--muted); font-size: 0.82rem; }
figure { margin: 0.75rem 0 0; }
figure + figure { margin-top: 1.5rem; }
img { display: block; width: 100%; max-width: 38rem; height: auto; margin: 0 auto; }
figcaption { margin-top: 0.4rem; color: var(--muted); font-size: 0.88rem; line-height: 1.45; }
.scroll { overflow-x: auto; margin-top: 0.75rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 0.32rem 0.6rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--muted); font-weight: 500; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td:last-child, th:last-child { padding-right: 0; }
details { margin-top: 0.6rem; }
summary { cursor: pointer; color: var(--blue); }
pre { overflow-x: auto; margin: 0.5rem 0 0; padding: 0.75rem; background: #f4f6f9;
  border-radius: 8px; font-size: 0.82rem; line-height: 1.45; }
footer { margin-top: 1.25rem; color: var(--muted); font-size: 0.85rem; }
@media (max-width: 34rem) { section { padding: 1rem 0.9rem; } h1 { font-size: 1.45rem; }
  .tile b { font-size: 1.45rem; } .tiles { grid-template-columns: 1fr 1fr; } }
"""
