"""madvise(2): pages dropped, reclaimed, guarded, made huge."""

from __future__ import annotations

import errno

from helpers.model.access import Access
from helpers.model.facts import Unspecified
from helpers.model.memory import is_within
from helpers.model.pages import Content, Page
from helpers.operations import Advice, Advise, Answer, Backing, Refusal, Span, Tracking


class AdviceOnPages(Access):
    """What each advice does to each page."""

    def advise(self, op: Advise) -> Answer:
        if op.advice is Advice.COLLAPSE:
            return self.collapse(op)
        takes = {self.takes(op.advice, page) for page in self.pages(op.span)}
        if takes == {False}:
            return Refusal(errno.EINVAL)
        if len(takes) > 1:
            raise Unspecified("how far advice comes that isn't for all of the memory")
        if op.advice in (Advice.PAGEOUT, Advice.COLD, Advice.FREE):
            self.split_frames(op)
        elif op.advice is not Advice.GUARD_REMOVE:  # (code) guard_remove_pmd_entry(): none is in a huge page.
            self.split_where(op.span, lambda page: op.advice is not self.size_advice_of(page))
        for number in op.span.pages():
            self.advise_page(op.advice, number, self.memory[number])
        if op.advice is Advice.DONTNEED:
            self.doubt_tables(op.span)
        return None

    @staticmethod
    def takes(advice: Advice, page: Page) -> bool:
        """Whether advice is for memory of this kind."""
        match advice:
            case Advice.FREE:
                return page.is_private_anonymous  # madvise(2): private anonymous pages only.
            case Advice.PAGEOUT | Advice.COLD:
                return not page.backing.is_hugetlb  # madvise(2): not huge TLB pages.
            case Advice.GUARD_INSTALL | Advice.GUARD_REMOVE:
                return not page.backing.is_hugetlb  # (code) There are no guard regions in hugetlb memory.
            case _:
                return True

    @staticmethod
    def size_advice_of(page: Page) -> Advice | None:
        """What its mapping was advised about huge pages last."""
        if page.stays_small:
            return Advice.NOHUGEPAGE
        return Advice.HUGEPAGE if page.wants_huge else None

    def collapse(self, op: Advise) -> Answer:
        """madvise(2): a best-effort collapse of each aligned stretch in the span; what failed last is answered."""
        if any(page.stays_small or page.backing.is_hugetlb for page in self.pages(op.span)):
            raise Unspecified("with what MADV_COLLAPSE is refused where huge pages are unwanted")
        if len(self.mappings_of(op.span)) > 1:
            raise Unspecified("with what MADV_COLLAPSE is refused where no huge page fits a mapping")
        refusal: Answer = None
        stretches = [unit for unit in self.units(op.span) if is_within(unit, op.span)]
        if not stretches:
            raise Unspecified("with what MADV_COLLAPSE is refused where there is no room for a huge page")
        for unit in stretches:
            refusal = self.collapse_unit(unit) or refusal
        return refusal

    def collapse_unit(self, unit: Span) -> Answer:
        """A stretch becomes a huge page, which has one bit for all its pages: none of them may be protected."""
        pages = list(self.pages(unit))
        if all(page.huge for page in pages):
            return None  # madvise(2): what is mapped so already is a success.
        if any(page.backing is Backing.FILE or (page.backing.has_file and not page.shared) for page in pages):
            raise Unspecified("whether a private mapping of a file is collapsed, or one of a file system's own")
        is_tracked = any(page.tracking is not Tracking.NONE for page in pages)
        if is_tracked and not all(page.is_private_anonymous for page in pages):
            raise Unspecified("whether registered memory that is a file's or shared is collapsed")
        if any(page.is_forbidden for page in pages):
            raise Unspecified("with what MADV_COLLAPSE is refused where pages can't be accessed")
        if is_tracked and any(not self.has_content(page) and not self.is_marker(page) for page in pages):
            raise Unspecified("whether empty entries and the zero page are collapsed in registered memory")
        if not any(self.has_content(page) for page in pages):
            raise Unspecified("what there is to be collapsed")
        if any(page.protected for page in pages):
            return Refusal(errno.EINVAL)
        for page in pages:
            page.hold(Content.PRESENT)
            page.anonymous = page.is_private_anonymous
            page.huge = True
            page.of_huge_frame = True
            page.is_of_huge_page = not page.is_private_anonymous
            page.in_swap = page.discarded = False
        self.memory.tables.discard(unit.start // self.facts.pages_per_huge_page)
        return None

    @staticmethod
    def has_content(page: Page) -> bool:
        return page.content in (Content.PRESENT, Content.SWAPPED) and not page.alternative

    @staticmethod
    def is_marker(page: Page) -> bool:
        return page.content is Content.NONE and page.protected

    def split_frames(self, op: Advise) -> None:
        """What is reclaimed, aged or freed in part is no huge page any more, be its entries as they may.

        Whether pages of it that only hold zeros are the zero page from then on, no document says; nor whether the huge
        zero page is split, and what a child has as well: (code) madvise_free_huge_pmd() and
        madvise_cold_or_pageout_pte_range() pass over both.
        """
        for unit in self.units(op.span):
            parts = [self.memory[number] for number in unit.pages() if number in self.memory]
            if is_within(unit, op.span):
                if op.advice is not Advice.PAGEOUT and not any(part.huge for part in parts):
                    self.perhaps_split(parts)
                continue
            if any(part.huge and (part.content is Content.ZERO or part.of_child_too) for part in parts):
                for part in parts:
                    part.may_be_small = True
            else:
                self.map_by_small_entries(self.memory, unit)
            self.perhaps_split(parts)
            for part in parts:
                part.of_huge_frame = False

    @staticmethod
    def perhaps_split(parts: list[Page]) -> None:
        """Whether huge pages that are mapped in part, or by small entries, are split as well, no document says."""
        for part in parts:
            if part.of_huge_frame and part.is_private_anonymous and not part.stored:
                part.alternative = Content.ZERO
            elif part.was_huge_of_file and part.content is Content.PRESENT and not part.anonymous:
                part.alternative = Content.NONE

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
                page.wants_huge, page.stays_small = True, False
            case Advice.NOHUGEPAGE:
                page.wants_huge = page.is_of_huge_page = False
                page.stays_small = True
            case Advice.GUARD_INSTALL if page.content is not Content.GUARD:
                page.drop(keep_protection=False)
                page.hold(Content.GUARD)
                page.was_anonymous = True  # (code) madvise_guard_install() calls anon_vma_prepare().
                self.make_entry(self.memory, number)
            case Advice.GUARD_REMOVE:
                if page.content is Content.GUARD:
                    page.hold(Content.NONE)
                    page.protected = False
            case Advice.FREE if page.content in (Content.SWAPPED, Content.POISONED):
                page.drop(keep_protection=False)  # (code) There is no reason to keep what is in swap, or is lost.
            case Advice.FREE if page.content is Content.PRESENT:
                page.may_be_dropped = True
            case Advice.HWPOISON:
                # (code) An entry of its own stands for the page that was lost: not present, and not protected.
                page.drop(keep_protection=False)
                page.hold(Content.LOST)
            case _:
                pass

    def reclaim(self, number: int, page: Page) -> None:
        """Anonymous content goes to swap; a file's page leaves the mapping, its protection stays."""
        if page.content is Content.ZERO and not page.backing.is_hugetlb:
            raise Unspecified(f"page {number} is the zero page, which isn't reclaimed: there is no waiting for it")
        if page.content is not Content.PRESENT or page.backing.is_hugetlb:
            return
        if self.child is not None:
            raise Unspecified(f"whether page {number}, which a child may have as well, is reclaimed")
        if page.alternative or (page.of_huge_frame and not page.stored and page.anonymous):
            raise Unspecified(f"whether page {number}, which only holds zeros, is reclaimed")
        if page.may_be_dropped:
            # (code) try_to_unmap_one() discards what is free to be discarded, and leaves no marker for it.
            page.drop(keep_protection=False)
            page.discarded = True
            return
        if page.is_huge_of_file:
            page.is_of_huge_page, page.was_huge_of_file = False, True
        page.huge = False
        page.hold(Content.SWAPPED if page.anonymous else Content.NONE)
        if page.anonymous or page.protected:
            self.make_entry(self.memory, number)
        page.dirtied = page.dirtied and page.anonymous  # userfaultfd.rst: lost when an entry is zapped.
        if page.tracking is Tracking.ACCESS and not page.anonymous:
            page.protected = False  # userfaultfd.rst: there are no markers of read-write protection.
        page.in_swap = not page.anonymous and page.backing is not Backing.FILE
