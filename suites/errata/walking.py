"""The walk ends in the wrong place, or takes a part of a huge page for something else."""

from __future__ import annotations

from helpers.deviations import Condition, Erratum, Harm, scans_oddly
from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Facts, Page, Refused
from helpers.model.walk import Walk
from helpers.operations import Operation, Scan, Span, len_of
from suites.gigantic import gigantic_lab

WRITTEN = Category.WRITTEN
WP = ScanFlag.WP_MATCHING


def _checks(operation: Operation, facts: Facts) -> bool:
    if not isinstance(operation, Scan):
        return False
    return ScanFlag.CHECK_WPASYNC in operation.flags or scans_oddly(operation, facts)


def _scans_much(operation: Operation, facts: Facts) -> bool:
    if not isinstance(operation, Scan):
        return False
    return len_of(operation.span) > facts.pages_per_huge_page or scans_oddly(operation, facts)


class WalkEndAfterEperm(Erratum):
    """A scan aborted by CHECK_WPASYNC leaves walk_end equal to end, as if it had completed."""

    clauses = ("abort",)
    harm = Harm.LOSES_WRITES
    evidence = (
        "do_pagemap_scan() in fs/proc/task_mmu.c sets walk_end to end whenever the walk didn't set it, errors included"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.map((0, 2))
        lab.write(span)
        lab.register(0)
        lab.scan(span, ScanFlag.CHECK_WPASYNC)

    @classmethod
    def is_met_by(cls) -> Condition:
        return _checks

    def walk(self, walk: Walk) -> int:
        try:
            return super().walk(walk)
        except Refused as refused:
            raise Refused(refused.errno, self.exhausted(walk)) from None


class _Notes(Erratum):
    """A place that the walk has gone on from passes for its end."""

    def exhausted(self, walk: Walk) -> int:
        return super().exhausted(walk) if walk.noted is None else walk.noted


class WalkEndOfAFullBuffer(_Notes):
    """A scan that reports more regions than the kernel has room for at a time comes to the end, but walk_end keeps the
    place where that room was full for the last time: a caller who resumes is told pages twice."""

    clauses = ("walk-end", "resume")
    harm = Harm.MISCOUNTS
    evidence = (
        "do_pagemap_scan() in fs/proc/task_mmu.c (6.12 to 7.3) walks anew whenever its buffer, of as many regions as "
        "a PMD entry maps pages, is full, and takes the walk_end of a walk that had to stop for that of the last one"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.map((0, 2 * lab.huge + 2))
        lab.register(span)
        lab.protect(span)
        for page in range(0, span.end, 2):
            lab.write(page)
        lab.scan(span, mask=WRITTEN, returned=WRITTEN, vec_len=2 * lab.huge)

    @classmethod
    def is_met_by(cls) -> Condition:
        return _scans_much

    def visit(self, walk: Walk, number: int, page: Page) -> tuple[int, bool]:
        before = len(walk.output.regions)
        found = super().visit(walk, number, page)
        if len(walk.output.regions) > before:
            self.note_a_full_buffer(walk, before, number)
        return found

    def protect_part(self, walk: Walk, entry: Span, accepted: int, categories: int) -> tuple[int, bool]:
        if not walk.output.continues(entry.start, categories & walk.argument.returned):
            self.note_a_full_buffer(walk, len(walk.output.regions), entry.start)
        return super().protect_part(walk, entry, accepted, categories)

    def note_a_full_buffer(self, walk: Walk, regions: int, start: int) -> None:
        """Another region begins at a page, behind so many."""
        if regions and regions % self.facts.pages_per_huge_page == 0:
            walk.noted = start


class HugetlbPartialGoesOn(_Notes):
    """WP_MATCHING with a max_pages smaller than a hugetlb page passes over such pages and leaves walk_end behind them:
    a caller who resumes never sees their writes."""

    clauses = ("hugetlb-partial", "walk-end")
    harm = Harm.LOSES_WRITES
    needs = ("hugetlb",)
    evidence = (
        "pagemap_scan_hugetlb_entry() in fs/proc/task_mmu.c backs out, sets walk_end, and returns 0, so that the walk "
        "goes on"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["hugetlb-shared"])
        lab.scan(span, WP, mask=WRITTEN, max_pages=lab.huge // 2)

    def protect_part(self, walk: Walk, entry: Span, accepted: int, categories: int) -> tuple[int, bool]:
        place, goes_on = super().protect_part(walk, entry, accepted, categories)
        if goes_on:
            return place, True
        walk.noted = entry.start
        return entry.end, True


class StaleWalkEndAfterSplit(_Notes):
    """When a huge page is split for max_pages and its pages match no more, the walk comes to the end, but walk_end
    keeps the place of the split."""

    clauses = ("walk-end", "huge-split")
    harm = Harm.MISCOUNTS
    needs = ("thp",)
    evidence = (
        "pagemap_scan_thp_entry() in fs/proc/task_mmu.c doesn't take back the walk_end that pagemap_scan_output() set"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["thp"])
        lab.scan(span, WP, mask=WRITTEN | Category.HUGE, max_pages=3)

    def protect_part(self, walk: Walk, entry: Span, accepted: int, categories: int) -> tuple[int, bool]:
        found = super().protect_part(walk, entry, accepted, categories)
        if accepted < entry.end:
            walk.noted = accepted
        return found


class SplitBreaksMerging(Erratum):
    """A page before a huge page that is split isn't merged with the equal pages behind it."""

    clauses = ("merging",)
    harm = Harm.MISCOUNTS
    needs = ("thp",)
    evidence = "pagemap_scan_backout_range() in fs/proc/task_mmu.c empties the entry of vec, but keeps its index"

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.map((lab.huge - 1, lab.huge))
        lab.register((lab.huge - 1, lab.huge))
        lab.write(lab.huge - 1)
        lab.prepare(BY_NAME["thp"], start=lab.huge)
        lab.scan((lab.huge - 1, lab.huge + 3), WP, mask=WRITTEN)

    def protect_part(self, walk: Walk, entry: Span, accepted: int, categories: int) -> tuple[int, bool]:
        output = walk.output
        had_begun_a_region = not output.continues(entry.start, categories & walk.argument.returned)
        found = super().protect_part(walk, entry, accepted, categories)
        output.is_broken = output.is_broken or (had_begun_a_region and bool(output.regions))
        return found


class ShmemSplitIsAHole(Erratum):
    """WP_MATCHING on a part of a huge page of shared memory unmaps it and goes on as over a hole: its pages are
    reported without PRESENT and FILE, and missed by masks that name these."""

    clauses = ("huge-split", "output", "protect-reported")
    harm = Harm.LOSES_WRITES
    needs = ("thp",)
    evidence = (
        "pagemap_scan_thp_entry() in fs/proc/task_mmu.c (6.12 to 7.3) calls split_huge_pmd(), for which "
        "__split_huge_pmd_locked() in mm/huge_memory.c clears the entry of what isn't anonymous; the walk then comes "
        "to pagemap_scan_pte_hole()"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.prepare(BY_NAME["shmem-thp"])
        lab.scan((3, 8), WP, mask=WRITTEN | Category.PRESENT)

    def protect_part(self, walk: Walk, entry: Span, accepted: int, categories: int) -> tuple[int, bool]:
        is_files = walk.space[entry.start].is_huge_of_file
        found = super().protect_part(walk, entry, accepted, categories)
        for number in self.unit(entry.start).pages() if is_files else ():
            del walk.split[number]
        return found


class GiganticHugetlbNotProtected(Erratum):
    """A hugetlb page of 1 GiB is taken for a part of one, and never protected."""

    clauses = ("hugetlb-gigantic",)
    harm = Harm.REPORTS_MORE
    needs = ("hugetlb 1 GiB",)
    evidence = (
        'its fix, subject "fs/proc/task_mmu: use huge_page_size() in pagemap_scan_hugetlb_entry()": the size was '
        "HPAGE_SIZE, whatever the page's was; seen on 6.12.43, 6.16.12, 6.17.13 and 6.18.15, not on 6.12.117, 7.2.12 "
        "and 7.3.4"
    )
    fixed = "032e37936aaa (fs/proc/task_mmu: use huge_page_size() in pagemap_scan_hugetlb_entry()), 6.12.97"

    @staticmethod
    def probe(lab: Lab) -> None:
        with gigantic_lab(lab) as (large, span):
            large.scan(span, WP, mask=WRITTEN)

    def is_whole(self, page: Page, span: Span) -> bool:
        return super().is_whole(page, span) and not self.facts.has_gigantic_pages
