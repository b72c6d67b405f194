"""Mappings: made, removed, moved, and their access rights."""

from __future__ import annotations

import errno
import itertools

from helpers.model.facts import Unspecified
from helpers.model.memory import Memory
from helpers.model.pages import Content, Page
from helpers.operations import (
    Answer,
    Backing,
    Map,
    Move,
    Protection,
    Refusal,
    Resize,
    Span,
    Unmap,
    len_of,
)


class Mappings(Memory):
    """mmap(2) and its kin."""

    def map(self, op: Map) -> None:
        """mmap(2), MAP_FIXED: what is mapped there is discarded."""
        self.discard(op.span)
        huge = op.backing.is_hugetlb
        first = op.span.start if op.backing is Backing.ANON and not op.shared else op.file_page
        file = op.file if op.backing.has_file or not op.shared else self.unnamed_file(op.span)
        for offset, number in enumerate(op.span.pages()):
            if huge and number != self.unit(number).start:
                self.memory[number] = self.memory[number - 1]  # What is true of one part is true of all.
                continue
            self.memory[number] = Page(op.backing, op.shared, op.prot, file, first + offset, huge=huge)
        self.expand()

    def unnamed_file(self, span: Span) -> str:
        """Shared memory without a file is one of its own."""
        names = {page.file for page in self.memory.values()}
        return next(name for count in itertools.count() if (name := f"memory at {span}{count * '+'}") not in names)

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
        found = [[*self.pages(mapping)] for mapping in self.mappings()]
        return [pages for pages in found if any(page.is_new for page in pages)]

    def unmap(self, op: Unmap) -> None:
        """munmap(2): it isn't an error if nothing is mapped there."""
        self.discard(op.span)

    def discard(self, span: Span) -> None:
        for border in span:
            page = self.memory.get(border)
            if page is not None and page.backing.is_hugetlb and border != self.unit(border).start:
                raise Unspecified("whether a part of a hugetlb page is unmapped")
        self.split_at_borders(span)
        for number in span.pages():
            self.memory.pop(number, None)
        self.memory.tables &= {number // self.facts.pages_per_huge_page for number in self.memory}
        self.memory.has_upper_table = self.memory.has_upper_table and bool(self.memory)

    def move(self, op: Move) -> None:
        """userfaultfd(2): without UFFD_FEATURE_EVENT_REMAP the new place isn't registered.

        mremap(2): what was mapped in the new place isn't any more (MREMAP_FIXED). Where the mapping stays, it is empty,
        and what was registered still is (MREMAP_DONTUNMAP).
        """
        new = Span(op.to, op.to + len_of(op.span))
        if new.start < op.span.end and op.span.start < new.end:
            raise Unspecified("what is moved onto itself")
        if op.keeps_mapping and not all(page.is_private_anonymous for page in self.pages(op.span)):
            raise Unspecified("whether a mapping stays that isn't private anonymous memory")
        if len(self.mappings_of(op.span)) > 1:
            raise Unspecified("whether more than one mapping is moved at a time")
        self.discard(new)
        self.move_to(new, op)
        self.merge()

    def resize(self, op: Resize) -> Answer:
        """mremap(2): the mapping is shrunk, which unmaps its end, or expanded where it is.

        What it is expanded by is of the mapping: (code) vma_merge_extend(), registered as all of it is.
        """
        last = [*self.pages(op.span)][-1]
        if len(self.mappings_of(op.span)) > 1:
            raise Unspecified("whether more than one mapping is resized at a time")
        new = Span(op.span.end, op.end)
        if len_of(new) < 0:
            self.discard(Span(op.end, op.span.end))
        if len_of(new) <= 0:
            return None
        if not last.is_private_anonymous:
            raise Unspecified("what is behind the end of a file, of shared memory or of huge pages of hugetlb")
        if any(number in self.memory for number in new.pages()):
            return Refusal(errno.ENOMEM)  # mremap(2): it can't be expanded there, and may not be moved.
        was_anonymous = any(page.was_anonymous for page in self.mapping_around(op.span.start))
        for distance, number in enumerate(new.pages(), 1):
            page = Page(last.backing, last.shared, last.prot, last.file, last.file_page + distance)
            page.tracking, page.faults = last.tracking, last.faults
            page.wants_huge, page.stays_small = last.wants_huge, last.stays_small
            page.was_anonymous = was_anonymous
            self.memory[number] = page
        self.expand()
        return None

    def move_to(self, new: Span, op: Move) -> None:
        """Pages go to where nothing is mapped."""
        whole = self.mapping_around(op.span.start)
        is_anonymous = any(page.was_anonymous for page in whole)
        self.split_at_borders(op.span)
        if (op.to - op.span.start) % self.facts.pages_per_huge_page:
            self.split_all(op.span)
        for offset, (number, page) in enumerate(zip(op.span.pages(), [*self.pages(op.span)], strict=True)):
            if op.keeps_mapping:
                self.memory[number] = left = page.copy()
                left.drop(keep_protection=False)
                # (code) move_vma(): where it is all of a mapping, unlink_anon_vmas().
                left.was_anonymous = is_anonymous and len(whole) > len_of(op.span)
            else:
                del self.memory[number]
            page.unregister()
            if page.is_private_anonymous and not is_anonymous:
                page.file_page = op.to + offset  # (code) copy_vma()
            # soft-dirty.rst: what is new in its place is soft-dirty. (code) An entry is; what has none isn't.
            page.dirtied = page.content is not Content.NONE
            self.memory[op.to + offset] = page
            self.move_entry(number, op.to + offset)
        if op.keeps_mapping:  # (code) move_pgt_entry(): a page table may go with its pages.
            self.doubt_tables(op.span)

    def move_entry(self, number: int, to: int) -> None:
        size = self.facts.pages_per_huge_page
        if number // size in self.memory.tables:
            has_another = self.surely_has_table(to)
            self.make_entry(self.memory, to)
            if not self.surely_has_table(number) and not has_another and not self.memory[to].huge:
                self.memory.doubtful_tables.add(to // size)

    def split_all(self, span: Span) -> None:
        """(code) move_huge_pmd(): in a place that isn't aligned for it, no page is huge."""
        for unit in self.units(span):
            pages = [self.memory[number] for number in unit.pages() if number in span.pages()]
            if any(page.is_of_huge_page or page.was_huge_of_file or page.is_huge_of_file for page in pages):
                raise Unspecified("how a file's huge page is mapped where it can't be as a whole")
            if any(page.huge for page in pages):
                self.split(self.memory, unit)

    def mprotect(self, op: Protection) -> None:
        self.split_where(op.span, lambda page: page.prot is not op.prot)
        for page in self.pages(op.span):
            page.prot = op.prot
        self.merge()
