"""Statements in lines of 120 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable

from helpers.c_source.term import LINES, Term

#: Where a statement isn't broken in two lines, from the best way to the last.
_WHOLE = (r" (?=[^()]*\))|(?<!,) ", r"(?<!,) ", r"(?<![,|]) ")


def wrapped(statement: str, indent: int = 1) -> str:
    """A statement, indented, in lines of 120 columns."""
    first, rest = " " * 8 * indent, " " * 8 * (indent + 1)
    for whole in _WHOLE:
        told = re.sub(whole, "\0", statement)
        lines = textwrap.wrap(
            told, 120, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )
        if all(len(line) <= 120 for line in lines):
            break
    starts = ["\t" * indent, *["\t" * (indent + 1)] * (len(lines) - 1)]
    return "\n".join(start + line.strip().replace("\0", " ") for start, line in zip(starts, lines, strict=True))


def block(statements: Iterable[Term], shortened: Callable[[str], str] = str) -> str:
    """Statements in lines, those of a loop indented."""
    lines, depth, once = [], 1, 0
    for statement in statements:
        for part in statement.children if statement.between == LINES else (statement,):
            text = shortened(str(part))
            depth -= text == "}"
            lines.append(wrapped(text, depth + once))
            once = int(text.startswith("for") and not text.endswith("{"))
            depth += text.endswith("{")
    return "\n".join(lines)
