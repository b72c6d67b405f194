"""That a page is gone isn't recorded, or what was recorded goes with it."""

from __future__ import annotations

from dataclasses import replace

from helpers.deviations import Condition, Erratum, Harm
from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Content, Facts, Page
from helpers.operations import DOES_NOT_RETURN, Advice, Advise, Answer, Operation, PunchHole, Span, Tracking
from suites.sparse import sparse_huge_page

WRITTEN = Category.WRITTEN


def _punches(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, PunchHole)


class HugetlbDontneedLosesWritten(Erratum):
    """A written hugetlb page isn't WRITTEN any more once it is dropped: by MADV_DONTNEED, or by a hole in its file."""

    clauses = ("advice-dontneed", "hole-punch")
    harm = Harm.LOSES_WRITES
    needs = ("hugetlb",)
    evidence = (
        "pagemap_hugetlb_category() in fs/proc/task_mmu.c reports an empty entry as HUGE alone; mm/hugetlb.c leaves no "
        "marker for a page that isn't protected"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["hugetlb-shared"])
        lab.advise(span, Advice.DONTNEED)
        lab.scan(span)

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        super().advise_page(advice, number, page)
        if page.backing.is_hugetlb:
            page.discarded = False

    def punch_hole(self, op: PunchHole) -> None:
        super().punch_hole(op)
        for page in self.pages_of_file(op.file, op.span):
            if page.backing.is_hugetlb:
                page.discarded = False


class HugetlbDontneedStaysProtected(Erratum):
    """MADV_DONTNEED on anonymous hugetlb memory keeps the protection: that the content is gone isn't recorded."""

    clauses = ("advice-dontneed",)
    harm = Harm.LOSES_WRITES
    needs = ("hugetlb",)
    evidence = (
        "__unmap_hugepage_range() in mm/hugetlb.c leaves a marker of protection, for anonymous memory too; "
        "userfaultfd.rst says that dropping it is treated as dirtying"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["hugetlb-private"])
        lab.protect(span)
        lab.advise(span, Advice.DONTNEED)
        lab.scan(span, mask=Category.SWAPPED, returned=Category.SWAPPED)

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        was = page.protected and page.tracking is not Tracking.ACCESS  # Of that, no marker is left.
        super().advise_page(advice, number, page)
        if advice is Advice.DONTNEED and page.backing.is_hugetlb and was:
            page.protected, page.discarded = True, False


class HolePunchStaysProtected(Erratum):
    """A page punched out of a file stays protected: that its content is gone isn't recorded."""

    clauses = ("hole-punch",)
    harm = Harm.LOSES_WRITES
    evidence = (
        "unmapping for a hole in mm/memory.c installs markers of protection, as it does when a page is reclaimed; "
        "userfaultfd.rst says that MADV_REMOVE is treated as dirtying"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["memfd-shared"])
        lab.protect(span)
        lab.punch_hole((2, 4))
        lab.scan(span, mask=Category.SWAPPED, returned=Category.SWAPPED)

    @classmethod
    def is_met_by(cls) -> Condition:
        return _punches

    def punch_hole(self, op: PunchHole) -> None:
        was = [
            page
            for page in self.pages_of_file(op.file, op.span)
            if page.protected and page.tracking is not Tracking.ACCESS and not page.is_huge_of_file
        ]
        super().punch_hole(op)
        for page in was:
            page.protected, page.discarded = True, False


class GuardInstallDoesNotReturn(Erratum):
    """MADV_GUARD_INSTALL of protected memory that is a file's or shared doesn't return: only a signal ends it."""

    clauses = ("advice-guard",)
    harm = Harm.HANGS
    needs = ("guard regions in files",)
    evidence = (
        "madvise_guard_install() in mm/madvise.c (6.18, 7.3) drops the pages and tries again as long as an entry isn't "
        "empty; dropping a protected page of a file leaves a marker in its place"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["memfd-shared"])
        lab.protect(span)
        lab.advise(span, Advice.GUARD_INSTALL)

    def advise(self, op: Advise) -> Answer:
        if op.advice is not Advice.GUARD_INSTALL or not any(self.is_marked(page) for page in self.pages(op.span)):
            return super().advise(op)
        for mapping in self.mappings_of(op.span):
            if any(self.is_marked(page) for page in self.pages(mapping)):
                self.drop_again_and_again(mapping)
                break
            super().advise(replace(op, span=mapping))
        return DOES_NOT_RETURN

    def is_marked(self, page: Page) -> bool:
        """Whether dropping the page leaves a marker: a huge page is protected by its one entry, which leaves none."""
        is_protected_entry = page.protected and page.content is not Content.GUARD and not page.is_huge_of_file
        return is_protected_entry and not page.is_private_anonymous and not page.backing.is_hugetlb

    def drop_again_and_again(self, span: Span) -> None:
        """All is dropped, and guards are there up to the first marker, each time that it is begun anew."""
        self.split_at_borders(span)
        first = next(number for number in span.pages() if self.is_marked(self.memory[number]))
        for number, page in zip(span.pages(), self.pages(span), strict=True):
            if page.content is Content.GUARD:
                continue
            page.drop(keep_protection=True)
            if number < first:
                page.hold(Content.GUARD)
                self.make_entry(self.memory, number)


class HugeShmemReclaimedLosesProtection(Erratum):
    """A huge page of shared memory that a scan has protected is WRITTEN once it is reclaimed, though nobody wrote to
    it: pages are copied in vain, no write is lost."""

    clauses = ("advice-pageout", "written-since-protected")
    harm = Harm.REPORTS_MORE
    needs = ("thp", "swap")
    evidence = (
        "pagemap_scan_thp_entry() in fs/proc/task_mmu.c protects the one entry, and reclaim splits it: "
        "__split_huge_pmd_locked() in mm/huge_memory.c (6.12; 6.18.44 does the same) clears the entry of what isn't "
        "anonymous, and leaves no marker. UFFDIO_WRITEPROTECT splits it first, and what that protects stays protected"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("swap")
        # Small pages that are reclaimed stay protected: a kernel that loses these, too, has another defect.
        small = lab.map((lab.huge, lab.huge + 2), shared=True)
        lab.write(small)
        lab.register(small)
        for span in small, lab.prepare(BY_NAME["shmem-thp"]):
            lab.scan(span, ScanFlag.WP_MATCHING, mask=WRITTEN, returned=WRITTEN)
            lab.advise(span, Advice.PAGEOUT)
            lab.scan(span, mask=Category.SWAPPED, returned=Category.SWAPPED)

    def reclaim(self, number: int, page: Page) -> None:
        was_huge = page.is_huge_of_file
        super().reclaim(number, page)
        page.protected = page.protected and not (was_huge and page.content is Content.NONE)


class ZeroFilledLosesProtection(Erratum):
    """A page of a huge page that holds only zeros loses its protection when the huge page is reclaimed, or aged, in
    part."""

    clauses = ("advice-pageout",)
    harm = Harm.REPORTS_MORE
    needs = ("thp",)
    evidence = (
        "its fix; splitting a huge page replaced pages that hold only zeros by the zero page, in an entry that was "
        "made anew, by try_to_map_unused_to_zeropage() in mm/migrate.c"
    )
    fixed = (
        "9658d698a8a8 (mm/rmap: fix soft-dirty and uffd-wp bit loss when remapping zero-filled mTHP subpage to shared "
        "zeropage), Linux 6.18, 6.12.54"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = sparse_huge_page(lab)
        lab.register(span)
        lab.protect(span)
        lab.advise(0, Advice.COLD)
        lab.scan(span, mask=WRITTEN, returned=WRITTEN)

    def split_frames(self, op: Advise) -> None:
        before = [page for page in self.memory.values() if page.alternative is not Content.ZERO]
        super().split_frames(op)
        for page in before:
            page.protected = page.protected and page.alternative is not Content.ZERO
