"""Pages: everything escaped, everything inside."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from neurobip.viz import accuracy_bars
from neurobip.viz.page import Picture, Section, Table, Tile, render_page, write_page


def test_page_holds_all_and_escapes_all(tmp_path: Path) -> None:
    nasty = "<script>alert('&')</script>"
    section = Section(
        nasty,
        [nasty],
        [Picture(accuracy_bars({"a": 0.5}), nasty)],
        [Table((nasty, "n"), [(nasty, 3)])],
        [(nasty, nasty)],
    )
    text = render_page(nasty, nasty, [Tile(nasty, nasty, nasty)], [section], nasty)
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;") == 15
    (address,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert base64.b64decode(address).startswith(b"\x89PNG")
    write_page(tmp_path / "a" / "page.html", text)
    assert (tmp_path / "a" / "page.html").read_text() == text
