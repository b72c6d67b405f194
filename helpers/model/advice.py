"""madvise(2): pages dropped, reclaimed, guarded, made huge."""

from __future__ import annotations

import errno

from helpers.model.access import Access
from helpers.model.facts import Unspecified
from helpers.model.pages import Content, Page
from helpers.operations import Advice, Advise, Answer, Backing, Refusal, Tracking


class AdviceOnPages(Access):
    """What each advice does to each page."""

    def advise(self, op: Advise) -> Answer:
        if op.advice is Advice.COLLAPSE and any(page.protected for page in self.pages(op.span)):
            # madvise(2) lets the kernel refuse what it can't collapse; a huge page has one bit for all its pages.
            return Refusal(errno.EINVAL)
        is_guarding = op.advice in (Advice.GUARD_INSTALL, Advice.GUARD_REMOVE)
        if is_guarding and any(page.backing.is_hugetlb for page in self.pages(op.span)):
            return Refusal(errno.EINVAL)  # (code) There are no guard regions in hugetlb memory.
        self.split_at_borders(op.span)
        if op.advice in (Advice.PAGEOUT, Advice.COLD):
            self.split_frames(op)
        for number in op.span.pages():
            self.advise_page(op.advice, number, self.memory[number])
        if op.advice is Advice.COLLAPSE:
            self.populate_huge(op.span, write=False)
        return None

    def split_frames(self, op: Advise) -> None:
        """What is reclaimed or aged in part is no huge page any more, be its entries as they may.

        Whether pages of it that only hold zeros are the zero page from then on, no document says.
        """
        for unit in {self.unit(number) for number in op.span.pages()}:
            parts = [self.memory[number] for number in unit.pages() if number in self.memory]
            if unit.start >= op.span.start and unit.end <= op.span.end:
                continue
            for part in parts:
                if part.of_huge_frame and part.is_private_anonymous and not part.stored:
                    part.alternative = Content.ZERO
                part.of_huge_frame = False

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        match advice:
            case Advice.DONTNEED if page.content is not Content.GUARD:
                # userfaultfd.rst: on anonymous memory treated as dirtying of it; a file's page keeps both.
                # (code) One entry maps a file's huge page, and a marker in its place there isn't.
                keeps = (page.shared or page.backing.has_file) and not page.is_huge_of_file
                page.drop(keep_protection=keeps)
                page.discarded = not page.protected
            case Advice.PAGEOUT:
                self.reclaim(number, page)
            case Advice.HUGEPAGE:
                page.wants_huge = True
            case Advice.NOHUGEPAGE:
                page.wants_huge = page.is_of_huge_page = False
            case Advice.GUARD_INSTALL if page.content is not Content.GUARD:
                page.drop(keep_protection=False)
                page.hold(Content.GUARD)
                self.make_entry(number)
            case Advice.GUARD_REMOVE:
                if page.content is Content.GUARD:
                    page.hold(Content.NONE)
                    page.protected = False
            case Advice.FREE if page.content is Content.SWAPPED:
                page.drop(keep_protection=False)  # (code) There is no reason to keep what is in swap.
            case Advice.HWPOISON:
                # (code) An entry of its own stands for the page that was lost: not present, and not protected.
                page.drop(keep_protection=False)
                page.hold(Content.POISONED)
            case _:
                pass

    def reclaim(self, number: int, page: Page) -> None:
        """Anonymous content goes to swap; a file's page leaves the mapping, its protection stays."""
        if page.content is not Content.PRESENT or page.backing.is_hugetlb:
            return
        if page.alternative or (page.of_huge_frame and not page.stored and page.anonymous):
            raise Unspecified(f"whether page {number}, which only holds zeros, is reclaimed")
        page.huge = False
        page.hold(Content.SWAPPED if page.anonymous else Content.NONE)
        if page.anonymous:
            self.make_entry(number)
        page.dirtied = page.dirtied and page.anonymous  # userfaultfd.rst: lost when an entry is zapped.
        if page.tracking is Tracking.ACCESS and not page.anonymous:
            page.protected = False  # userfaultfd.rst: there are no markers of read-write protection.
        page.in_swap = not page.anonymous and page.backing is not Backing.FILE
