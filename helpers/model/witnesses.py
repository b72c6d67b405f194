"""Other witnesses than the scan: read(2) of pagemap, and smaps."""

from __future__ import annotations

from dataclasses import replace

from helpers.interface.uapi import PagemapBit, pagemap_bit
from helpers.model.bits import SOFT_DIRTY
from helpers.model.categories import Categories
from helpers.model.facts import Unspecified
from helpers.model.pages import Content, Page
from helpers.operations import ReadPagemap, ReadUsage, Usage


class Witnesses(Categories):
    """What they say of the same pages."""

    def read_pagemap(self, op: ReadPagemap) -> tuple[PagemapBit, ...]:
        told: list[PagemapBit] = []
        before = None
        for number in op.span.pages():
            page = self.memory.get(number)
            # Parts of a hugetlb page are one and the same.
            told.append(told[-1] if page and page is before else pagemap_bit(self.decided_bits(number)))
            before = page
        return tuple(told)

    def decided_bits(self, number: int) -> int:
        """The bits of a page. Raises Unspecified where no document decides."""
        page = self.memory.get(number)
        bits = self.pagemap_bits(page)
        if page and page.may_be_new and self.undecided(page) & SOFT_DIRTY:
            raise Unspecified(f"whether page {number} is soft-dirty")
        if page and page.alternative:
            other = replace(page, content=page.alternative, alternative=None)
            if self.pagemap_bits(other) != bits:
                raise Unspecified(f"whether page {number} is {page.content.value} or {page.alternative.value}")
        return bits

    def pagemap_bits(self, page: Page | None) -> int:
        """pagemap.rst, "pagemap": the bits that say the same as a category."""
        if page is None:
            return 0
        bits = PagemapBit.SOFT_DIRTY.value if self.is_soft_dirty(page) else 0
        if page.protected:
            bits |= PagemapBit.UFFD_WP.value
        if page.content in (Content.PRESENT, Content.ZERO):
            bits |= PagemapBit.PRESENT.value
        elif not page.backing.is_hugetlb and self.is_not_present_entry(page):
            bits |= PagemapBit.SWAPPED.value
        if page.content is Content.PRESENT and not page.anonymous:
            bits |= PagemapBit.FILE.value
        if page.content is Content.GUARD:
            bits |= PagemapBit.GUARD.value
        return bits

    def read_usage(self, op: ReadUsage) -> Usage:
        pages = list(self.pages(op.span))
        return Usage(
            huge=sum(page.huge and page.content in (Content.PRESENT, Content.ZERO) for page in pages),
            swapped=sum(page.content is Content.SWAPPED or page.in_swap for page in pages),
        )
