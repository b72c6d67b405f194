"""Where operations are carried out: pages by number, counted from the start of the arena."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Pages from ``start`` up to, not including, ``end``."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"page {self.start}" if len_of(self) == 1 else f"pages {self.start}-{self.end - 1}"

    def pages(self) -> range:
        return range(self.start, self.end)


def len_of(span: Span) -> int:
    """How many pages the span has."""
    return span.end - span.start


def as_span(pages: int | tuple[int, int]) -> Span:
    """A page number, or a pair of start and end, as a Span."""
    return Span(pages, pages + 1) if isinstance(pages, int) else Span(*pages)


class At(NamedTuple):
    """An address in the arena: ``offset`` bytes behind the start of a page."""

    page: int
    offset: int = 0

    def __str__(self) -> str:
        return f"page {self.page}" + (f"{self.offset:+#x}" if self.offset else "")
