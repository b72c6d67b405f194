"""What isn't there is told wrongly, or protected wrongly."""

from __future__ import annotations

from helpers.deviations import Erratum, Harm
from helpers.interface.uapi import Category, PagemapBit, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Content, Page
from helpers.model.bits import HUGE, PFNZERO, WP_MATCHING
from helpers.model.bits import WRITTEN as WRITTEN_BIT
from helpers.model.walk import Walk
from helpers.operations import Backing

WRITTEN = Category.WRITTEN
WP = ScanFlag.WP_MATCHING


class EmptyHugetlbNotHuge(Erratum):
    """Hugetlb memory that nobody has touched isn't HUGE, until there is a page table for it."""

    clauses = ("categories",)
    harm = Harm.MISTAKES
    needs = ("hugetlb",)
    evidence = (
        "pagemap_scan_pte_hole() in fs/proc/task_mmu.c (6.12 to 7.3) tells the mapping's categories alone, where "
        "pagemap_hugetlb_category() says HUGE of an empty entry; pagemap.rst: PMD-mapped THP or Hugetlb backed"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("hugetlb")
        lab.scan(lab.map((0, lab.huge), Backing.HUGETLB, shared=True), returned=Category.HUGE)

    def found(self, walk: Walk, number: int, page: Page) -> int:
        told = super().found(walk, number, page)
        is_empty = page.backing.is_hugetlb and not page.protected and Content.NONE in (page.content, page.alternative)
        return told & ~HUGE if is_empty and not walk.space.has_upper_table else told


class EmptyHugetlbPartlyProtected(Erratum):
    """Protecting a part of an empty hugetlb page protects the whole of it, outside of the range too."""

    clauses = ("hugetlb-partial", "protect-reported")
    harm = Harm.LOSES_WRITES
    needs = ("hugetlb",)
    may_hang = True
    evidence = (
        "pagemap_scan_hugetlb_hole_wp() in fs/proc/task_mmu.c (6.12.117, 7.2, 7.3) aligns the start down to the huge "
        "page"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("hugetlb")
        span = lab.map((0, lab.huge), Backing.HUGETLB, shared=True)
        lab.register(span)
        lab.scan((3, 8), WP, returned=Category.WPALLOWED)
        lab.scan(span, mask=Category.SWAPPED, returned=Category.SWAPPED)

    def must_protect(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        is_hole = page.backing.is_hugetlb and page.content is Content.NONE
        is_hole = is_hole and not walk.space.has_upper_table
        if is_hole and walk.argument.flags & WP_MATCHING:
            walk.matched.extend(self.unit(number).pages())
        return super().must_protect(walk, number, page, categories)


class EmptyPteNotWritten(Erratum):
    """An empty entry of a page table isn't WRITTEN, nor protected, but for scans that ask for WRITTEN alone."""

    clauses = ("written-from-registration", "advice-dontneed", "advice-pageout")
    harm = Harm.LOSES_WRITES
    evidence = (
        'its fix, subject "fs/proc/task_mmu: fix PAGEMAP_SCAN written state for unpopulated ptes": '
        "pagemap_page_category() in fs/proc/task_mmu.c returned 0 where the shortcut for WRITTEN reported the page"
    )
    fixed = "07b4377bdbe7 (fs/proc/task_mmu: fix PAGEMAP_SCAN written state for unpopulated ptes), Linux 7.2, 6.12.103"

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.map((0, 2))
        lab.register(span)
        lab.write(0)
        lab.scan(span)

    def found(self, walk: Walk, number: int, page: Page) -> int:
        told = super().found(walk, number, page)
        is_empty = page.content is Content.NONE and not page.protected and not page.backing.is_hugetlb
        if not is_empty or not self.has_table(walk.space, number) or self.takes_the_shortcut_for_written(walk):
            return told
        return told & ~WRITTEN_BIT

    def takes_the_shortcut_for_written(self, walk: Walk) -> bool:
        argument = walk.argument
        masks = (argument.mask, argument.returned, argument.anyof, argument.inverted)
        return masks == (WRITTEN_BIT, WRITTEN_BIT, 0, 0)


class HoleNotWritten(Erratum):
    """Memory without a page table isn't WRITTEN, nor protected: that MADV_DONTNEED dropped a huge page isn't
    recorded."""

    clauses = ("written-from-registration", "advice-dontneed")
    harm = Harm.LOSES_WRITES
    evidence = (
        'its fix, subject "fs/proc/task_mmu: fix PAGEMAP_SCAN written state for PMD holes": pagemap_scan_pte_hole() '
        "in fs/proc/task_mmu.c told the mapping's categories alone"
    )
    fixed = "40de8160ca7f (fs/proc/task_mmu: fix PAGEMAP_SCAN written state for PMD holes), Linux 7.2, 6.12.103"

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.map((0, 2))
        lab.register(span)
        lab.scan(span)

    def is_hole(self, walk: Walk, number: int, page: Page) -> bool:
        return page.content is Content.NONE and not page.huge and not self.has_table(walk.space, number)

    def found(self, walk: Walk, number: int, page: Page) -> int:
        told = super().found(walk, number, page)
        return told & ~WRITTEN_BIT if self.is_hole(walk, number, page) else told

    def must_protect(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        if self.is_hole(walk, number, page):
            return bool(walk.argument.flags & WP_MATCHING)
        return super().must_protect(walk, number, page, categories)


class PagemapFileOnHugeZero(Erratum):
    """read(2) of pagemap says of the huge zero page that it is a file's; the scan doesn't."""

    clauses = ("second-witness",)
    harm = Harm.MISTAKES
    needs = ("thp", "huge zero page")
    evidence = (
        "pagemap_pmd_range() in fs/proc/task_mmu.c takes the page by pmd_page(), where the scan asks "
        "vm_normal_page_pmd()"
    )
    fixed = "proc/task_mmu: handle special PMDs in clear_refs and pagemap; Linux 7.3.4"

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["thp-zero"])
        lab.read_pagemap(span)

    def pagemap_bits(self, page: Page | None) -> int:
        told = super().pagemap_bits(page)
        is_huge_zero = page is not None and page.huge and page.content is Content.ZERO
        return told | PagemapBit.FILE.value if is_huge_zero else told


class HugeZeroPfnzero(Erratum):
    """PFNZERO wasn't reported on the huge zero page."""

    clauses = ("categories",)
    harm = Harm.MISTAKES
    needs = ("thp", "huge zero page")
    evidence = "its fix; none of the kernels seen so far has it, and each was asked"
    fixed = (
        "4a5e85f4eb8f (fs/proc/task_mmu: fix PAGE_IS_PFNZERO detection for the huge zero folio), Linux 6.16, 6.12.36"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.scan(lab.prepare(BY_NAME["thp-zero"]), returned=Category.PFNZERO)

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        return told & ~PFNZERO if page.huge else told
