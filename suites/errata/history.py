"""Defects without a probe: no kernel at hand has them, or none that has them lives on."""

from __future__ import annotations

from helpers.deviations import Erratum, Harm
from helpers.model import Page
from helpers.model.bits import CHECK_WPASYNC, WPALLOWED, WRITTEN
from helpers.model.walk import Walk

_SEEN = "its fix; none of the kernels seen so far has it, and each was asked"


class GetOnlyScanProtects(Erratum):
    """Write protection was applied by a scan without WP_MATCHING."""

    clauses = ("protect-reported",)
    harm = Harm.LOSES_WRITES
    evidence = _SEEN
    fixed = "4980e837cab7 (mm/pagemap: fix wr-protect even if PM_SCAN_WP_MATCHING not set), Linux 6.7"

    def must_protect(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        asked = super().must_protect(walk, number, page, categories)
        return asked or bool(categories & WRITTEN and categories & WPALLOWED)


class VmaNotRegistered(Erratum):
    """Pages were protected in mappings not registered for it."""

    clauses = ("check-wpasync", "wp-passes-over")
    harm = Harm.MISTAKES
    evidence = _SEEN
    fixed = "0dff1b407def (mm/pagemap: fix ioctl(PAGEMAP_SCAN) on vma check), Linux 6.7"

    def may_visit(self, walk: Walk, number: int, page: Page) -> bool:
        return super().may_visit(walk, number, page) or not walk.argument.flags & CHECK_WPASYNC


class YoungAndDirtyLost(Erratum):
    """Protecting a page lost its young and dirty bits."""

    clauses = ("protect-leaves",)
    harm = Harm.LOSES_WRITES
    evidence = (
        "its fix, CVE-2024-36943: what the processor noted of an access between two instructions of the scan got lost. "
        "A program of operations can't hit that; what is asked is that protecting by itself leaves both bits alone"
    )
    fixed = "c70dce4982ce (fs/proc/task_mmu: fix loss of young/dirty bits during pagemap scan), Linux 6.9, 6.8.10"


class SwapUffdTest(Erratum):
    """The test for write protection was applied wrongly to swap entries."""

    clauses = ("advice-pageout", "written-since-protected")
    harm = Harm.MISTAKES
    evidence = (
        "its fix: in the shortcut for WRITTEN, pte_uffd_wp() was asked of entries that aren't present, where another "
        "bit says so. None of the kernels seen so far has it; each that has swap was asked, by masks that take the "
        "shortcut"
    )
    fixed = "2c7ad9a590d1 (fs/proc/task_mmu: fix uffd-wp confusion in pagemap_scan_pmd_entry()), Linux 6.9, 6.8.10"


class HugetlbHoleHang(Erratum):
    """Protecting empty hugetlb memory by a scan hangs the calling thread for ever: not even SIGKILL ends it."""

    clauses = ("hugetlb-hole",)
    harm = Harm.HANGS
    evidence = (
        "seen in a guest with Debian's 6.16.12: hugetlb_change_protection(), called by pagemap_scan_pte_hole(), waits "
        "in down_write() for the lock that the walk holds for reading. A thread that never comes back can't be "
        "predicted: the harness ends the guest and says which test ran"
    )
    fixed = "c3bff8789c36 (fs/proc/task_mmu: fix hugetlb self-deadlock in pagemap_scan_pte_hole()), Linux 7.2, 6.12.97"


class NoVecBuffer(Erratum):
    """Protecting a part of a huge page without a vec is an oops: the buffer for regions isn't there."""

    clauses = ("protect-without-vec", "huge-split")
    harm = Harm.HANGS
    evidence = (
        "pagemap_scan_backout_range() in fs/proc/task_mmu.c of 6.12.43, called by pagemap_scan_hugetlb_entry() and "
        "pagemap_scan_thp_entry(): NULL pointer dereference. A kernel that has oopsed can't be asked on: tests that "
        "may kill one come last, in a guest, which the harness ends, and says which test ran"
    )
    fixed = "28aa29986dde (fs/proc/task_mmu: check p->vec_buf for NULL), Linux 6.17, 6.12.50"
