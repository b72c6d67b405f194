"""The categories of a page (pagemap.rst, "Pagemap Scan IOCTL")."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from helpers.interface.uapi import Category, category
from helpers.model.bits import ACCESSED, FILE, GUARD, HUGE, PFNZERO, PRESENT, SOFT_DIRTY, SWAPPED, WPALLOWED, WRITTEN
from helpers.model.memory import Memory
from helpers.model.pages import Content, Page
from helpers.operations import Tracking


class Categories(Memory):
    """What is said of a page."""

    def categories(self, page: Page) -> int:
        """The page's own categories. Those that are :meth:`undecided` mean nothing."""
        found = 0
        if page.tracking.is_asynchronous:
            found |= WPALLOWED
        if self.is_written(page):
            found |= WRITTEN
        if page.content is Content.PRESENT and not page.anonymous:
            found |= FILE
        if page.content in (Content.PRESENT, Content.ZERO):
            found |= PRESENT
        if self.is_not_present_entry(page):
            found |= SWAPPED
        if page.content is Content.ZERO:
            found |= PFNZERO
        if page.huge:
            found |= HUGE
        if self.is_soft_dirty(page):
            found |= SOFT_DIRTY
        if page.content is Content.GUARD:
            found |= GUARD
        if page.tracking is Tracking.ACCESS and page.is_populated and not page.protected:
            found |= ACCESSED  # pagemap.rst: accessed since protected; (code) or never protected.
        return found & self.known

    def undecided(self, page: Page) -> int:
        """The categories of which no document says whether the page has them."""
        found = 0
        if page.tracking is Tracking.NONE and page.content is Content.NONE:
            # Of memory that isn't registered, pagemap.rst says nothing before ACCESSED; since, that it isn't WRITTEN.
            found |= 0 if self.facts.written_needs_registration else WRITTEN
        if page.alternative:
            dirtied = page.dirtied and page.alternative is not Content.NONE
            other = replace(page, content=page.alternative, alternative=None, dirtied=dirtied)
            found |= self.undecided(other) | (self.categories(page) ^ self.categories(other))
        if page.may_be_small:
            found |= HUGE
        if page.may_be_new and self.facts.soft_dirty and not page.dirtied:
            found |= SOFT_DIRTY
        return found & self.known

    def decided_of(self, pages: Iterable[Page]) -> Category:
        """Every category of which a document says for each of some pages whether the page has it."""
        undecided = 0
        for page in pages:
            undecided |= self.undecided(page)
        return category(self.known & ~undecided)

    def is_soft_dirty(self, page: Page) -> bool:
        """soft-dirty.rst: written to since the bits were cleared, or new since then."""
        return self.facts.soft_dirty and (page.is_new or page.dirtied)

    def is_written(self, page: Page) -> bool:
        if page.protected or page.tracking is Tracking.ACCESS:
            return False  # pagemap.rst: WRITTEN is only said of what is registered in mode WP.
        if page.content is Content.NONE and page.backing.is_hugetlb:
            return page.discarded  # (code) An empty hugetlb entry is only HUGE.
        return page.tracking is not Tracking.NONE or not self.facts.written_needs_registration

    def is_not_present_entry(self, page: Page) -> bool:
        """(code) SWAPPED is said of every entry that isn't present: swap, a guard, poison, a marker of protection."""
        if page.content is Content.NONE:
            return page.protected
        return page.is_forbidden or page.content in (Content.SWAPPED, Content.LOST)
