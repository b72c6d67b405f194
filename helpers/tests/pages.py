"""What a page of HTML says of each test, for those who have no browser."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

_ROW = re.compile(r'<tr class="test (\w+)".*?</tr>', re.DOTALL)
_NAME = re.compile(r'<td class="name">(?:\s*<details>\s*<summary>)?([^<]*)')


def shown_on(page: Path) -> dict[str, tuple[str, str]]:
    """By test: its outcome, and all that is said of it."""
    found = {}
    for row in _ROW.finditer(page.read_text(encoding="utf-8")):
        name = _NAME.search(row[0])
        found[unescape(name[1])] = row[1], unescape(re.sub(r"<[^>]*>", "", row[0]))
    return found
