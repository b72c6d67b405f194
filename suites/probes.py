"""Short programs that tell whether a kernel has a known defect: they differ from the contract if it has."""

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import KernelDiffers, Lab
from helpers.operations import Advice, At, Backing, Prot, Scan, Tracking
from suites.gigantic import gigantic_page

WRITTEN = Category.WRITTEN
WP = ScanFlag.WP_MATCHING


def protect_without_vec_ignores_masks(lab: Lab) -> None:
    span = lab.map((0, 2))
    lab.register(span)
    lab.write(0)
    lab.scan(span, WP, mask=WRITTEN | Category.PRESENT, vec_len=None)
    lab.scan(span)


def walk_end_is_end_after_eperm(lab: Lab) -> None:
    span = lab.map((0, 2))
    lab.register(0)
    lab.scan(span, ScanFlag.CHECK_WPASYNC)


def fault_on_vec_leaves_pages_protected(lab: Lab) -> None:
    lab.map((0, 2))
    lab.register((0, 2))
    lab.write((0, 2))
    lab.scan((0, 2), WP, mask=WRITTEN, raw={"vec": At(9)})
    lab.scan((0, 2))


def writeprotect_passes_over_guards(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon-guard"])
    lab.protect(span)
    lab.scan(span)


def unregistered_guards_stay_protected(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon-guard"])
    lab.scan(span, WP, mask=WRITTEN)
    lab.unregister(span)
    lab.scan(span)


def walk_goes_on_behind_a_partial_hugetlb_page(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["hugetlb-shared"])
    lab.scan(span, WP, mask=WRITTEN, max_pages=lab.huge // 2)


def walk_end_is_stale_after_a_split(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["thp"])
    lab.scan(span, WP, mask=WRITTEN | Category.HUGE, max_pages=3)


def split_breaks_merging(lab: Lab) -> None:
    lab.map((lab.huge - 1, lab.huge))
    lab.register((lab.huge - 1, lab.huge))
    lab.write(lab.huge - 1)
    lab.prepare(BY_NAME["thp"], start=lab.huge)
    lab.scan((lab.huge - 1, lab.huge + 3), WP, mask=WRITTEN)


def dropped_anonymous_hugetlb_stays_protected(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["hugetlb-private"])
    lab.protect(span)
    lab.advise(span, Advice.DONTNEED)
    lab.scan(span)


def pagemap_calls_the_huge_zero_page_a_file(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["thp-zero"])
    lab.read_pagemap(span)


def written_hugetlb_is_forgotten_when_dropped(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["hugetlb-shared"])
    lab.advise(span, Advice.DONTNEED)
    lab.scan(span)


def punched_page_stays_protected(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["memfd-shared"])
    lab.protect(span)
    lab.punch_hole((2, 4))
    lab.scan(span)


def cleared_hugetlb_stays_soft_dirty(lab: Lab) -> None:
    lab.require("soft-dirty")
    span = lab.prepare(BY_NAME["hugetlb-shared"])
    lab.clear_refs()
    lab.scan(span)


def pagemap_forgets_written_hugetlb(lab: Lab) -> None:
    lab.require("soft-dirty")
    span = lab.prepare(BY_NAME["hugetlb-shared"])
    lab.clear_refs()
    lab.write(span)
    lab.read_pagemap(span)


def splitting_is_soft_dirty(lab: Lab) -> None:
    lab.require("soft-dirty")
    span = lab.prepare(BY_NAME["thp"])
    lab.clear_refs()
    lab.scan((3, 8), WP, mask=WRITTEN)
    lab.scan(span)


def merging_loses_soft_dirty(lab: Lab) -> None:
    lab.require("soft-dirty")
    lab.write(lab.map((0, 2)))
    lab.clear_refs()
    lab.map((2, 4), prot=Prot.READ)
    lab.mprotect((0, 2), Prot.READ)
    lab.scan((0, 4))


def part_of_shmem_huge_page_is_a_hole(lab: Lab) -> None:
    lab.prepare(BY_NAME["shmem-thp"])
    lab.scan((3, 8), WP, mask=WRITTEN | Category.PRESENT)


def empty_hugetlb_is_not_huge(lab: Lab) -> None:
    lab.require("hugetlb")
    lab.scan(lab.map((0, lab.huge), Backing.HUGETLB, shared=True))


def part_of_empty_hugetlb_page_protects_all(lab: Lab) -> None:
    """May hang a kernel with another defect: only for tests that may, too."""
    lab.require("hugetlb")
    lab.may_hang = True
    span = lab.map((0, lab.huge), Backing.HUGETLB, shared=True)
    lab.register(span)
    lab.scan((3, 8), WP, returned=Category.WPALLOWED)
    lab.scan(span, mask=Category.SWAPPED)


def empty_entry_is_not_written(lab: Lab) -> None:
    span = lab.map((0, 2))
    lab.register(span)
    lab.write(0)
    lab.scan(span)


def hole_is_not_written(lab: Lab) -> None:
    span = lab.map((0, 2))
    lab.register(span)
    lab.scan(span)


def merging_unprotects(lab: Lab) -> None:
    lab.require("ksm")
    span = lab.prepare(BY_NAME["anon"])
    lab.protect(span)
    lab.advise(span, Advice.MERGEABLE)
    lab.scan(span)


def merging_loses_soft_dirty_bit(lab: Lab) -> None:
    lab.require("soft-dirty", "ksm")
    span = lab.prepare(BY_NAME["anon"])
    lab.clear_refs()
    lab.write(span)
    lab.advise(span, Advice.MERGEABLE)
    lab.scan(span)


def gigantic_page_stays_written(lab: Lab) -> None:
    with gigantic_page(lab) as (kernel, span):
        kernel.scan(Scan(span, WP, mask=WRITTEN))
        if kernel.scan(Scan(span, mask=WRITTEN)).regions:
            raise KernelDiffers("a page of 1 GiB is WRITTEN after it was protected")


def guards_are_accessed(lab: Lab) -> None:
    lab.require("rwp")
    span = lab.prepare(BY_NAME["anon-guard"], tracking=Tracking.ACCESS)
    lab.scan(span)
