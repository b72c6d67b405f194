"""The memory of a process, page by page: looked up, and its huge pages split."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator
from copy import copy
from typing import Any, Self

from helpers.model.facts import Facts, Unspecified
from helpers.model.pages import STATE, Page, Space
from helpers.operations import Span, Target


def _copied(space: Space) -> Space:
    """The pages, copied; those that are one and the same stay so."""
    copies = {id(page): page.copy() for page in space.values()}
    found = Space({number: copies[id(page)] for number, page in space.items()})
    found.take_tables_of(space)
    return found


def _state_of(part: Any) -> Hashable:
    """A part of a model, as a value. Whose pages are one and the same, as of hugetlb, is told by what they are."""
    if isinstance(part, Space):
        tables = frozenset(part.tables), frozenset(part.doubtful_tables), part.has_upper_table
        return (*((number, STATE(page)) for number, page in part.items()), tables)
    return part  # type: ignore[no-any-return]


def is_within(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


class Memory(Target):
    """What all that is promised is about."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.known = facts.known.value
        self.memory = Space()
        self.child: Space | None = None
        self.has_child = False
        #: Whether soft-dirty bits were ever cleared: until then, everything is new.
        self.was_cleared = False
        #: The pages that files may have, mapped or not, by file; shared memory is a file that the model has a name for.
        self.filled: set[tuple[str, int]] = set()

    def copy(self) -> Self:
        """Another model in the same state, from where both go on by themselves."""
        found = copy(self)
        found.memory = _copied(self.memory)
        found.child = None if self.child is None else _copied(self.child)
        found.filled = {*self.filled}
        return found

    def state(self) -> Hashable:
        """Equal for models, of the same class and facts, that nothing that follows can tell apart."""
        parts = vars(self).values()
        return tuple(frozenset(part) if isinstance(part, set) else _state_of(part) for part in parts)

    def close(self) -> None:
        self.memory.clear()
        self.child = None

    def pages(self, span: Span) -> Iterator[Page]:
        """The mapped pages of a span; every page must be mapped."""
        for number in span.pages():
            yield self.memory[number]

    def pages_of_file(self, file: str, span: Span) -> Iterator[Page]:
        """The pages of a file that are mapped, by a child as well."""
        for page in itertools.chain(self.memory.values(), (self.child or Space()).values()):
            if page.file == file and page.file_page in span.pages():
                yield page

    def unit(self, number: int) -> Span:
        """The aligned stretch of a huge page around a page."""
        size = self.facts.pages_per_huge_page
        return Span(number // size * size, number // size * size + size)

    def units(self, span: Span) -> list[Span]:
        """The aligned stretches that a span touches, in their order."""
        size = self.facts.pages_per_huge_page
        return [Span(start, start + size) for start in range(self.unit(span.start).start, span.end, size)]

    def make_entry(self, space: Space, number: int) -> None:
        """There is an entry for a page: one in a page table, unless the page is a huge one."""
        space.has_upper_table = True
        if not space[number].huge:
            space.tables.add(number // self.facts.pages_per_huge_page)
            space.doubtful_tables.discard(number // self.facts.pages_per_huge_page)

    def has_table(self, space: Space, number: int) -> bool:
        """Whether the page's entry would be in a page table that there is."""
        table = number // self.facts.pages_per_huge_page
        if table in space.tables & space.doubtful_tables:
            raise Unspecified(f"whether there is a page table for page {number}")
        return table in space.tables

    def surely_has_table(self, number: int) -> bool:
        return number // self.facts.pages_per_huge_page in self.memory.tables - self.memory.doubtful_tables

    def doubt_tables(self, span: Span) -> None:
        """The page tables of all that a span holds may be gone."""
        size = self.facts.pages_per_huge_page
        self.memory.doubtful_tables |= {unit.start // size for unit in self.units(span) if is_within(unit, span)}

    def mappings(self) -> list[Span]:
        """(code) All that is mapped, cut where one mapping ends and another begins."""
        found: list[Span] = []
        for number in sorted(self.memory):
            if found and found[-1].end == number and self.memory[number].continues(self.memory[number - 1]):
                found[-1] = Span(found[-1].start, number + 1)
            else:
                found.append(Span(number, number + 1))
        return found

    def mappings_of(self, span: Span) -> list[Span]:
        """(code) The span, cut where one mapping ends and another begins."""
        starts = [
            number
            for number in span.pages()
            if number == span.start or not self.memory[number].continues(self.memory[number - 1])
        ]
        return [Span(*ends) for ends in zip(starts, [*starts[1:], span.end], strict=True)]

    def mapping_around(self, number: int) -> list[Page]:
        """(code) The pages of the mapping that a page is in, as far as neighbours are one with it."""
        found = [self.memory[number]]
        for step in (-1, 1):
            place = number
            while (other := self.memory.get(place + step)) is not None:
                page = self.memory[place]
                if not (other.continues(page) if step > 0 else page.continues(other)):
                    break
                found.append(other)
                place += step
        return found

    def split(self, space: Space, unit: Span) -> None:
        """A transparent huge page is mapped by small entries from now on, and stays one."""
        self.map_by_small_entries(space, unit)

    def map_by_small_entries(self, space: Space, unit: Span) -> None:
        """(code) What is a file's or shared isn't mapped at all, until a fault does it page by page."""
        for number in unit.pages():
            page = space.get(number)
            if page is None or not page.huge or page.backing.is_hugetlb:
                continue
            if page.is_huge_of_file:
                page.drop(keep_protection=False)
                page.huge = page.is_of_huge_page = False
                page.was_huge_of_file = True
                continue
            page.huge = page.is_of_huge_page = page.may_be_small = False
            self.make_entry(space, number)

    def keep_anonymous(self, border: int) -> None:
        """(code) Where a mapping is cut, both parts have an anon_vma if it has one."""
        if (before := self.memory.get(border - 1)) is not None and self.memory[border].continues(before):
            pages = self.mapping_around(border)
            if any(page.was_anonymous for page in pages):
                for page in pages:
                    page.was_anonymous = True

    def split_at_borders(self, span: Span) -> None:
        """What is done to a part of a transparent huge page splits it."""
        self.split_where(span, lambda page: True)

    def split_where(self, span: Span, becomes_another: Callable[[Page], bool]) -> None:
        """(code) Nothing is split where a mapping stays what it is: mprotect_fixup(), madvise_update_vma() and
        userfaultfd's registering pass over it."""
        for border in span:
            unit = self.unit(border)
            page = self.memory.get(border)
            if page is not None and not page.shared:
                self.keep_anonymous(border)
            if border != unit.start and page is not None and page.huge and becomes_another(page):
                self.split(self.memory, unit)
