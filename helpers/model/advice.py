"""madvise(2): pages dropped, reclaimed, guarded, made huge."""

from __future__ import annotations

from helpers.model.access import Access
from helpers.model.pages import Content, Page
from helpers.operations import Advice, Advise, Backing, Tracking


class AdviceOnPages(Access):
    """What each advice does to each page."""

    def advise(self, op: Advise) -> None:
        self.split_at_borders(op.span)
        for number in op.span.pages():
            self.advise_page(op.advice, number, self.memory[number])
        if op.advice is Advice.COLLAPSE:
            self.populate_huge(op.span, write=False)

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        match advice:
            case Advice.DONTNEED if page.content is not Content.GUARD:
                # userfaultfd.rst: on anonymous memory treated as dirtying of it; a file's page keeps both.
                # (code) One entry maps a file's huge page, and a marker in its place there isn't.
                keeps = (page.shared or page.backing.has_file) and not page.is_huge_of_file
                page.drop(keep_protection=keeps)
                page.discarded = not page.protected
            case Advice.PAGEOUT:
                self.reclaim(page)
            case Advice.HUGEPAGE:
                page.wants_huge = True
            case Advice.NOHUGEPAGE:
                page.wants_huge = page.is_of_huge_page = False
            case Advice.GUARD_INSTALL if page.content is not Content.GUARD:
                page.drop(keep_protection=False)
                page.content = Content.GUARD
            case Advice.GUARD_REMOVE:
                if page.content is Content.GUARD:
                    page.content, page.protected = Content.NONE, False
            case Advice.FREE if page.content is Content.SWAPPED:
                page.drop(keep_protection=False)  # (code) There is no reason to keep what is in swap.
            case Advice.HWPOISON:
                # (code) An entry of its own stands for the page that was lost: not present, and not protected.
                page.drop(keep_protection=False)
                page.content = Content.POISONED
            case _:
                pass

    def reclaim(self, page: Page) -> None:
        """Anonymous content goes to swap; a file's page leaves the mapping, its protection stays."""
        if page.content is not Content.PRESENT or page.backing.is_hugetlb:
            return
        page.huge = False
        page.content = Content.SWAPPED if page.anonymous else Content.NONE
        page.dirtied = page.dirtied and page.anonymous  # userfaultfd.rst: lost when an entry is zapped.
        if page.tracking is Tracking.ACCESS and not page.anonymous:
            page.protected = False  # userfaultfd.rst: there are no markers of read-write protection.
        page.in_swap = not page.anonymous and page.backing is not Backing.FILE
