"""A child that is followed isn't protected as its parent is."""

from __future__ import annotations

from helpers.deviations import Erratum, Harm
from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Content, Page
from helpers.operations import Tracking
from suites.errata.emptiness import HoleNotWritten


def _ask_of_a_child(lab: Lab, kind: str) -> None:
    """Whether what was protected in a process is so in its child."""
    span = lab.prepare(BY_NAME[kind], tracking=Tracking.FOLLOWING)
    lab.scan(span, ScanFlag.WP_MATCHING, mask=Category.WRITTEN)
    lab.scan(span, mask=Category.WRITTEN, returned=Category.WRITTEN)
    lab.fork()
    lab.scan(span, returned=Category.WRITTEN | Category.WPALLOWED, process="child")


class ForkUnprotectsGuards(Erratum):
    """A guard region that is protected isn't in a child that is followed."""

    clauses = ("fork-followed",)
    harm = Harm.REPORTS_MORE
    evidence = (
        "copy_pte_marker() in include/linux/mm_inline.h takes PTE_MARKER_UFFD_WP along, but a guard is protected by "
        "the bit that entries of swap have (make_uffd_wp_pte() in fs/proc/task_mmu.c), which copy_nonpresent_pte() in "
        "mm/memory.c keeps of all entries but markers"
    )
    needs = ("fork events", "guard regions")

    @staticmethod
    def probe(lab: Lab) -> None:
        _ask_of_a_child(lab, "anon-guard")

    def copied(self, page: Page) -> Page:
        child = super().copied(page)
        if page.content is Content.GUARD:
            child.protected = False
        return child


class ForkUnprotectsHugePagesOfFiles(Erratum):
    """A huge page of a file, or of shared memory, that is protected isn't in a child that is followed."""

    clauses = ("fork-followed",)
    harm = Harm.REPORTS_MORE
    evidence = (
        "copy_huge_pmd() in mm/huge_memory.c copies no entry of memory that isn't anonymous, since a fault brings it "
        "back; vma_needs_copy() in mm/memory.c says why registered memory needs its entries copied all the same"
    )
    needs = ("fork events", "thp")
    hidden_by = (HoleNotWritten,)  # It is a hole in the child, then.

    @staticmethod
    def probe(lab: Lab) -> None:
        _ask_of_a_child(lab, "shmem-thp")

    def copied(self, page: Page) -> Page:
        child = super().copied(page)
        if page.is_huge_of_file and page.protected:
            child.drop(keep_protection=False)
        return child
