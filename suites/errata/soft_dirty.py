"""Soft-dirty bits are lost, stay, or are set for no reason."""

from __future__ import annotations

from helpers.deviations import Condition, Erratum, Harm
from helpers.interface.uapi import Category, PagemapBit, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Content, Facts, Page, Space
from helpers.model.walk import Walk
from helpers.operations import Advice, Advise, Answer, ClearRefs, Operation, Prot, Protection, Resize, Span
from suites.sparse import sparse_huge_page

WRITTEN = Category.WRITTEN


class HugetlbStaysSoftDirty(Erratum):
    """Clearing soft-dirty bits passes over hugetlb memory: a page that was ever written stays SOFT_DIRTY for
    PAGEMAP_SCAN."""

    clauses = ("soft-dirty", "soft-dirty-apart")
    harm = Harm.REPORTS_MORE
    needs = ("soft-dirty", "hugetlb")
    evidence = (
        "clear_refs_walk_ops in fs/proc/task_mmu.c (6.12 to 7.3) has no hugetlb_entry, so that clear_refs_write() "
        "clears the mapping's flag and no entry of hugetlb; pagemap_hugetlb_category() tells the entry's bit"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("soft-dirty")
        span = lab.prepare(BY_NAME["hugetlb-shared"])
        lab.clear_refs()
        lab.scan(span)

    def clear_refs(self, op: ClearRefs) -> None:
        dirtied = [page for page in self.memory.values() if page.backing.is_hugetlb and page.dirtied]
        super().clear_refs(op)
        for page in dirtied:
            page.dirtied = True


class PagemapHugetlbSoftDirty(Erratum):
    """read(2) of pagemap never says of a hugetlb page that it was written since soft-dirty bits were cleared; the scan
    does."""

    clauses = ("soft-dirty", "second-witness")
    harm = Harm.LOSES_WRITES
    needs = ("soft-dirty", "hugetlb")
    evidence = (
        "pagemap_hugetlb_range() in fs/proc/task_mmu.c (6.12 to 7.3) looks at VM_SOFTDIRTY alone, where "
        "pagemap_hugetlb_category() looks at the entry's bit too"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("soft-dirty")
        span = lab.prepare(BY_NAME["hugetlb-shared"])
        lab.clear_refs()
        lab.write(span)
        lab.read_pagemap(span)

    def pagemap_bits(self, page: Page | None) -> int:
        told = super().pagemap_bits(page)
        is_hugetlb = page is not None and page.backing.is_hugetlb and not page.is_new
        return told & ~PagemapBit.SOFT_DIRTY.value if is_hugetlb else told


class SoftDirtyLostInMerge(Erratum):
    """A new mapping isn't soft-dirty any more once mprotect(2) has merged it with an old one."""

    clauses = ("soft-dirty-new",)
    harm = Harm.LOSES_WRITES
    needs = ("soft-dirty",)
    evidence = (
        "mprotect_fixup() in mm/mprotect.c of 6.12 gives the merged mapping the flags of the one that was changed; its "
        'fix is "mm: propagate VM_SOFTDIRTY on merge"'
    )
    fixed = "6707915e030a (mm: propagate VM_SOFTDIRTY on merge), Linux 6.19, 6.18.37"

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("soft-dirty")
        lab.write(lab.map((0, 2)))
        lab.clear_refs()
        lab.map((2, 4), prot=Prot.READ)
        lab.mprotect((0, 2), Prot.READ)
        lab.scan((2, 4), mask=Category.SOFT_DIRTY, returned=Category.SOFT_DIRTY)

    def mprotect(self, op: Protection) -> None:
        was_new = self.memory[op.span.start].is_new
        super().mprotect(op)
        for page in self.mapping_around(op.span.start):
            page.is_new, page.may_be_new = was_new, False


def _resizes(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, Resize)


class GrowthIsNotSoftDirty(Erratum):
    """A mapping that mremap(2) expands in its place is as soft-dirty as it was, and so is what it is expanded by."""

    clauses = ("soft-dirty-new",)
    harm = Harm.MISTAKES
    needs = ("soft-dirty",)
    evidence = (
        "expand_vma_in_place() in mm/mremap.c (7.3) has vma_merge_extend() take the mapping's flags as they are; "
        "VM_SOFTDIRTY is set by __mmap_complete() and do_brk_flags() in mm/vma.c alone"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("soft-dirty")
        lab.write(lab.map((0, 2)))
        lab.clear_refs()
        lab.resize((0, 2), 3)
        lab.scan((0, 3), mask=Category.SOFT_DIRTY, returned=Category.SOFT_DIRTY)

    @classmethod
    def is_met_by(cls) -> Condition:
        return _resizes

    def resize(self, op: Resize) -> Answer:
        before = {number: (page.is_new, page.may_be_new) for number, page in self.memory.items()}
        answer = super().resize(op)
        if answer is None and op.end > op.span.end:
            for number, page in self.memory.items():
                page.is_new, page.may_be_new = before.get(number, before[op.span.end - 1])
            self.merge()
        return answer


class SplitIsSoftDirty(Erratum):
    """Splitting a transparent huge page makes all its pages SOFT_DIRTY, though nobody wrote to them."""

    clauses = ("soft-dirty",)
    harm = Harm.REPORTS_MORE
    needs = ("soft-dirty", "thp")
    evidence = (
        "__split_huge_pmd_locked() in mm/huge_memory.c (6.12 to 7.3) hands the huge entry's dirty bit on by "
        "pte_mkdirty(), of which its comment says: this may set soft-dirty too on some archs"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("soft-dirty")
        span = lab.prepare(BY_NAME["thp"])
        lab.clear_refs()
        lab.scan((3, 8), ScanFlag.WP_MATCHING, mask=WRITTEN)
        lab.scan(span)

    def split(self, space: Space, unit: Span) -> None:
        parts = [space[number] for number in unit.pages() if number in space]
        dirty = [part for part in parts if part.huge and part.anonymous and part.content is Content.PRESENT]
        super().split(space, unit)
        for part in dirty:
            part.dirtied = True

    def reclaim(self, number: int, page: Page) -> None:
        """What goes to swap is split before, by try_to_unmap_one()."""
        is_split = page.huge and page.anonymous and page.content is Content.PRESENT
        super().reclaim(number, page)
        page.dirtied = page.dirtied or (is_split and page.content is Content.SWAPPED)

    def protect_part(self, walk: Walk, entry: Span, accepted: int, categories: int) -> tuple[int, bool]:
        """The scan that splits it reports the pages as they are then."""
        found = super().protect_part(walk, entry, accepted, categories)
        for number in walk.split:
            if self.is_soft_dirty(walk.space[number]):
                walk.split[number] |= Category.SOFT_DIRTY.value & self.known
        return found


class ZeroFilledLosesSoftDirty(Erratum):
    """A page of a huge page that holds only zeros isn't SOFT_DIRTY any more when the huge page is reclaimed, or aged,
    in part: that zeros were written is lost."""

    clauses = ("soft-dirty-kept",)
    harm = Harm.LOSES_WRITES
    needs = ("soft-dirty", "thp")
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
        lab.require("soft-dirty")
        span = sparse_huge_page(lab)
        lab.clear_refs()
        lab.write(0)
        lab.advise(0, Advice.COLD)
        lab.scan(span, mask=Category.SOFT_DIRTY, returned=Category.SOFT_DIRTY)

    def split_frames(self, op: Advise) -> None:
        before = [page for page in self.memory.values() if page.alternative is not Content.ZERO]
        super().split_frames(op)
        for page in before:
            page.dirtied = page.dirtied and page.alternative is not Content.ZERO
