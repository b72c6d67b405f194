"""What is protected isn't what matched, or what was reported."""

from __future__ import annotations

from helpers.deviations import Condition, Erratum, Harm, scans_oddly
from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Content, Facts, Page, Refused, Space
from helpers.model.argument import REGION_SIZE
from helpers.model.bits import WP_MATCHING, WPALLOWED
from helpers.model.walk import Walk
from helpers.operations import (
    Answer,
    At,
    Backing,
    CloseUserfaultfd,
    Filler,
    Move,
    Operation,
    Scan,
    Span,
    Tracking,
    Unregister,
    WriteProtect,
)

WRITTEN = Category.WRITTEN
WP = ScanFlag.WP_MATCHING


def _scans_without_vec(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, Scan) and (not operation.vec_len or scans_oddly(operation, facts))


class WpWithoutVecIgnoresMasks(Erratum):
    """WP_MATCHING without a vec protects every page of a page table, whether it matches or not: writes to the others
    are lost."""

    clauses = ("protect-without-vec",)
    harm = Harm.LOSES_WRITES
    evidence = (
        "the exclusive fast path of pagemap_scan_pmd_entry() in fs/proc/task_mmu.c (6.12 to 7.3) tests neither "
        "category_mask nor the others; the paths for holes and huge pages do, and pagemap_scan_test_walk() looks for "
        "WPALLOWED"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.map((0, 2))
        lab.register(span)
        lab.write(0)
        lab.scan(span, WP, mask=WRITTEN | Category.PRESENT, vec_len=None)
        lab.scan(span, mask=WRITTEN, returned=WRITTEN)

    @classmethod
    def is_met_by(cls) -> Condition:
        return _scans_without_vec

    def takes_the_shortcut(self, walk: Walk, number: int, page: Page) -> bool:
        argument = walk.argument
        is_exclusive = bool(argument.flags & WP_MATCHING) and argument.vec_len is None
        if not is_exclusive or page.huge or not self.has_table(walk.space, number):
            return False
        # Whole mappings are passed over before, for the one category that is true of a mapping.
        wants = argument.mask & WPALLOWED
        return (WPALLOWED ^ argument.inverted) & wants == wants

    def selects(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        return self.takes_the_shortcut(walk, number, page) or super().selects(walk, number, page, categories)

    def must_protect(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        return self.takes_the_shortcut(walk, number, page) or super().must_protect(walk, number, page, categories)


class FaultOnVecLosesWrites(Erratum):
    """A scan that fails with EFAULT on vec or on the argument has protected the pages all the same: their writes are
    reported to nobody."""

    clauses = ("undelivered",)
    harm = Harm.LOSES_WRITES
    evidence = (
        "pagemap_scan_flush_buffer() and pagemap_scan_writeback_args() in fs/proc/task_mmu.c copy to user memory "
        "after the walk has protected, and nothing is taken back"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.map((0, 2))
        lab.register((0, 2))
        lab.write((0, 2))
        lab.scan((0, 2), WP, mask=WRITTEN, raw={"vec": At(9)})
        lab.scan((0, 2))

    @classmethod
    def is_met_by(cls) -> Condition:
        return scans_oddly

    def deliver(self, op: Scan, walk: Walk, walk_end: int) -> None:
        stop = self.stop_of(walk)
        try:
            super().deliver(op, walk, walk_end)
        except Refused as refused:
            if stop is None:
                self.protect(walk.space, walk.matched)
                raise
            self.protect(walk.space, [number for number in walk.matched if number < stop])
            raise Refused(refused.errno, stop) from None

    def stop_of(self, walk: Walk) -> int | None:
        """Where the walk ends since a full buffer, of as many regions as a PMD entry maps pages, can't be copied; None
        where it comes to its end before that."""
        vec, regions, room = walk.argument.vec, walk.output.regions, self.facts.pages_per_huge_page
        if vec is None:
            return None
        for full in range(room, len(regions), room):
            place = At(vec.page, vec.offset + (full - room) * REGION_SIZE)
            if not self.is_mapped(place, room * REGION_SIZE, for_writing=True):
                return regions[full].start
        return None


def poisoned(lab: Lab, backing: Backing = Backing.ANON) -> Span:
    """Memory of which nothing was there when it was poisoned, registered."""
    span = lab.map((0, lab.huge if backing.is_hugetlb else 4), backing)
    lab.register(span)
    lab.fill(span, Filler.POISON)
    return span


class GuardsAndWriteprotect(Erratum):
    """UFFDIO_WRITEPROTECT passes over guard regions and poisoned pages, which PAGEMAP_SCAN protects."""

    clauses = ("protect-both-ways", "guard-marker", "poisoned")
    harm = Harm.REPORTS_MORE
    needs = ("UFFDIO_POISON",)
    evidence = (
        "change_pte_range() in mm/mprotect.c skips the markers of both; make_uffd_wp_pte() in fs/proc/task_mmu.c sets "
        "the bit on them"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        """Of poisoned pages, which kernels had before guard regions."""
        span = poisoned(lab)
        lab.protect(span)
        lab.scan(span)

    def write_protect(self, op: WriteProtect) -> Answer:
        was = [(page, page.protected) for page in self.pages(op.span) if page.is_forbidden]
        answer = super().write_protect(op)
        for page, protected in was:
            page.protected = protected
        return answer


class GuardsStayProtected(Erratum):
    """The end of a registration passes over guard regions and poisoned pages: they stay protected."""

    clauses = ("unregister", "guard-marker", "poisoned")
    harm = Harm.MISTAKES
    needs = ("UFFDIO_POISON",)
    evidence = (
        "change_pte_range() in mm/mprotect.c skips the markers of both when it takes protection off; where WRITTEN is "
        "said of registered memory only (7.3), bit 57 of pagemap tells"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = poisoned(lab)
        lab.scan(span, WP, mask=WRITTEN)
        lab.unregister(span)
        lab.scan(span)
        lab.read_pagemap(span)

    def protected_markers(self) -> list[Page]:
        return [page for page in self.memory.values() if page.is_forbidden and page.protected]

    def unregister(self, op: Unregister) -> None:
        markers = self.protected_markers()
        super().unregister(op)
        for page in markers:
            page.protected = True

    def close_userfaultfd(self, op: CloseUserfaultfd) -> None:
        markers = self.protected_markers()
        super().close_userfaultfd(op)
        for page in markers:
            page.protected = True

    def move(self, op: Move) -> None:
        """move_ptes() takes protection off what was registered, and leaves it to what isn't any more."""
        markers = [page for page in self.protected_markers() if page.tracking is Tracking.NONE]
        super().move(op)
        for page in markers:
            page.protected = True


class PoisonedHugetlbNotProtected(Erratum):
    """WP_MATCHING leaves a poisoned hugetlb page WRITTEN that it reports as if it protected it."""

    clauses = ("protect-reported", "poisoned")
    harm = Harm.REPORTS_MORE
    needs = ("hugetlb", "UFFDIO_POISON")
    evidence = (
        "make_uffd_wp_huge_pte() in fs/proc/task_mmu.c returns at a marker, of which pagemap_hugetlb_category() there "
        "says that it is WRITTEN; make_uffd_wp_pte() protects the same in smaller pages"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = poisoned(lab, Backing.HUGETLB)
        lab.scan(span, WP, mask=WRITTEN)
        lab.scan(span)

    def protect(self, space: Space, numbers: list[int]) -> None:
        super().protect(space, numbers)
        for page in (space[number] for number in numbers):
            if page.backing.is_hugetlb and page.content is Content.POISONED:
                page.protected = False


class GuardsAreAccessed(Erratum):
    """A guard region or a poisoned page, which nobody can access, is ACCESSED, and can't be protected from that."""

    clauses = ("accessed",)
    harm = Harm.MISTAKES
    needs = ("rwp", "guard regions")
    evidence = (
        "pagemap_page_category() in fs/proc/task_mmu.c (7.3) says ACCESSED of every entry that isn't present and lacks "
        "the bit, markers of guard regions included; change_pte_range() in mm/mprotect.c passes over these"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["anon-guard"], tracking=Tracking.ACCESS)
        lab.scan(span)

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        if page.is_forbidden and page.tracking is Tracking.ACCESS:
            told |= Category.ACCESSED.value & self.known
        return told
