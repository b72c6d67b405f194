"""Mappings: made, removed, moved, and their access rights."""

from __future__ import annotations

from helpers.model.facts import Unspecified
from helpers.model.memory import Memory
from helpers.model.pages import Content, Page
from helpers.operations import Map, Move, Protection, Tracking, Unmap, len_of


class Mappings(Memory):
    """mmap(2) and its kin."""

    def map(self, op: Map) -> None:
        huge = op.backing.is_hugetlb
        for offset, number in enumerate(op.span.pages()):
            if number in self.memory:
                raise Unspecified(f"page {number} is mapped already")
            if huge and number != self.unit(number).start:
                self.memory[number] = self.memory[number - 1]  # What is true of one part is true of all.
                continue
            self.memory[number] = Page(op.backing, op.shared, op.prot, op.file, op.file_page + offset, huge=huge)
        self.expand()

    def expand(self) -> None:
        """soft-dirty.rst: a mapping that is expanded is soft-dirty as a whole, as a new one is."""
        for run in self.mappings_with_new_pages():
            for page in run:
                page.is_new = True

    def merge(self) -> None:
        """What is new stays so where mappings become one. Whether what was there before is, no document says."""
        for run in self.mappings_with_new_pages():
            for page in run:
                page.may_be_new = not page.is_new

    def mappings_with_new_pages(self) -> list[list[Page]]:
        if not self.was_cleared:
            return []
        runs: list[list[Page]] = []
        for number in sorted(self.memory):
            page = self.memory[number]
            if runs and number - 1 in self.memory and page.continues(runs[-1][-1]):
                runs[-1].append(page)
            else:
                runs.append([page])
        return [run for run in runs if any(page.is_new for page in run)]

    def unmap(self, op: Unmap) -> None:
        """munmap(2): it isn't an error if nothing is mapped there."""
        self.split_at_borders(op.span)
        for number in op.span.pages():
            self.memory.pop(number, None)
        self.tables &= {number // self.facts.pages_per_huge_page for number in self.memory}
        self.has_upper_table = self.has_upper_table and bool(self.memory)

    def move(self, op: Move) -> None:
        """userfaultfd(2): without UFFD_FEATURE_EVENT_REMAP the new place isn't registered."""
        if any(number in self.memory for number in range(op.to, op.to + len_of(op.span))):
            raise Unspecified("what is moved onto other memory")
        if len(self.mappings_of(op.span)) > 1:
            raise Unspecified("whether more than one mapping is moved at a time")
        self.split_at_borders(op.span)
        for offset, (number, page) in enumerate(zip(op.span.pages(), [*self.pages(op.span)], strict=True)):
            del self.memory[number]
            page.tracking, page.protected = Tracking.NONE, False
            # soft-dirty.rst: what is new in its place is soft-dirty. (code) An entry is; what has none isn't.
            page.dirtied = page.content is not Content.NONE
            self.memory[op.to + offset] = page
            if self.has_table(number):
                self.make_entry(op.to + offset)
        self.merge()

    def mprotect(self, op: Protection) -> None:
        self.split_where(op.span, lambda page: page.prot is not op.prot)
        for page in self.pages(op.span):
            page.prot = op.prot
        self.merge()
