"""Huge pages of few pages: a small world in which models are quick, stretched to the kernel's.

A huge page of the small world has SHORT pages. Each stands for one of the kernel's, but the one in the middle, which
stands for all that are left. So a program of the small world is one of the kernel's, too, and every answer to it has
its like in the small world, unless pages that this one stands for are told apart: by a defect, or by a max_pages that
ends among them. Then the program itself is asked again, page by page, of the kernel and a model of its own size.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from typing import Any

from helpers.interface.uapi import PagemapBit
from helpers.model import Facts
from helpers.operations import Move, MoveIn, Operation, ReadPagemap, Region, Scan, ScanResult, Span, Target, len_of

#: Before the page in the middle, and behind it.
HALF = 4
#: Pages of a huge page of the small world.
SHORT = HALF + 1 + HALF
#: What a small world answers where pages are told apart that it has no names for.
TOLD_APART = "pages are told apart that are one in the small world"


def small(facts: Facts) -> Facts:
    """The same kernel, with huge pages of SHORT pages."""
    return replace(facts, pages_per_huge_page=SHORT)


def is_of_the_small_world_alone(operation: Operation, answer: Any) -> bool:
    """Whether an operation, with its answer, isn't one of the kernel's size too.

    A limit on pages counts one that stands for many; or such a page is moved to where one stands for itself, or the
    other way round.
    """
    pages: list[int] = []
    if isinstance(operation, Scan) and operation.max_pages:
        pages = [page for start, end, _ in answer.regions for page in range(start, end)]
    elif isinstance(operation, Move | MoveIn):
        other = operation.to if isinstance(operation, Move) else operation.source
        if (other - operation.span.start) % SHORT:
            pages = [*operation.span.pages(), *range(other, other + len_of(operation.span))]
    return any(page % SHORT == HALF for page in pages)


class Stretched:
    """A target of the kernel's size, as one of the small world."""

    def __init__(self, target: Target, stretch: Stretch) -> None:
        self.target = target
        self.stretch = stretch
        self.close = target.close

    def run(self, operation: Operation) -> Any:
        """What the target answers to an operation of the small world, in its terms."""
        answer = self.stretch.operation(operation).run(self.target)
        if isinstance(answer, ScanResult):
            return self.stretch.short_result(answer)
        if isinstance(operation, ReadPagemap):
            return self.stretch.short_entries(operation.span, answer)
        return answer


class Stretch:
    """Operations of the small world as those of the kernel's size, and answers the other way round."""

    def __init__(self, facts: Facts) -> None:
        """``facts``: of the kernel."""
        self.huge = facts.pages_per_huge_page
        self.operation = cache(self.operation_of)

    def operation_of(self, operation: Operation) -> Operation:
        """The operation of the kernel's size that one of the small world stands for."""
        found: dict[str, Any] = {}
        for one in fields(operation):
            value = getattr(operation, one.name)
            if isinstance(value, Span):
                found[one.name] = Span(self.long(value.start), self.long(value.end))
            elif one.name in ("to", "end", "source", "file_page"):
                found[one.name] = self.long(value)
        if isinstance(operation, Scan) and operation.raw:
            raise ValueError(f"{operation}: a field of an argument has no size")
        return replace(operation, **found)

    def long(self, page: int) -> int:
        """Where a page begins."""
        unit, place = divmod(page, SHORT)
        return unit * self.huge + place + (self.huge - SHORT if place > HALF else 0)

    def short(self, page: float) -> float | None:
        """The page that begins there; None where none does."""
        unit, place = divmod(page, self.huge)
        if place > HALF:
            place -= self.huge - SHORT
        is_one = place == int(place) and (place <= HALF if page % self.huge <= HALF else place > HALF)
        return int(unit * SHORT + place) if is_one else None

    def short_result(self, answer: ScanResult) -> ScanResult | str:
        regions = [(self.short(start), self.short(end), categories) for start, end, categories in answer.regions]
        walk_end = None if answer.walk_end is None else self.short(answer.walk_end)
        if any(None in region for region in regions) or (walk_end is None) != (answer.walk_end is None):
            return TOLD_APART
        return ScanResult(answer.result, tuple(Region(*region) for region in regions), walk_end)  # type: ignore[arg-type]

    def short_entries(self, span: Span, entries: tuple[PagemapBit, ...]) -> tuple[PagemapBit, ...] | str:
        found = []
        begun = self.long(span.start)
        for page in span.pages():
            first, behind = self.long(page) - begun, self.long(page + 1) - begun
            if behind - first > 1 and len({*entries[first:behind]}) > 1:
                return TOLD_APART
            found.append(entries[first])
        return tuple(found)
