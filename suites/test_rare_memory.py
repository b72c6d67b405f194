"""Memory that is seldom met, or had at a price: merged by KSM, lost with its frame, in pages of 1 GiB."""

import pytest

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME, MERGED
from helpers.lab import Lab
from helpers.operations import Advice, Region
from suites.gigantic import gigantic_lab

C = Category
WRITTEN = C.WRITTEN
WP = ScanFlag.WP_MATCHING


@pytest.mark.clause("merged-memory", "categories", "written-since-protected")
def test_merged_memory_is_tracked_as_anonymous_memory_is(lab: Lab) -> None:
    span = lab.prepare(MERGED)
    soft_dirty = C.SOFT_DIRTY if lab.facts.soft_dirty else C(0)
    assert lab.scan(span).regions == (Region(*span, C.WPALLOWED | WRITTEN | C.PRESENT | soft_dirty),)
    lab.scan(span, WP, mask=WRITTEN)
    lab.read(span)
    assert lab.scan(span, mask=WRITTEN).regions == ()
    lab.write(3)
    assert lab.scan(span, mask=WRITTEN, returned=WRITTEN).regions == (Region(3, 4, WRITTEN),)
    lab.read_pagemap(span)


@pytest.mark.clause("merged-memory")
def test_merging_is_not_writing(lab: Lab) -> None:
    lab.require("ksm")
    span = lab.prepare(BY_NAME["anon"])
    lab.protect(span)
    lab.advise(span, Advice.MERGEABLE)
    assert lab.scan(span, mask=WRITTEN).regions == ()


@pytest.mark.clause("merged-memory", "soft-dirty")
def test_merging_keeps_soft_dirty(lab: Lab) -> None:
    lab.require("soft-dirty", "ksm")
    span = lab.prepare(BY_NAME["anon"])
    lab.clear_refs()
    lab.write(span)
    lab.advise(span, Advice.MERGEABLE)
    assert lab.scan(span, mask=C.SOFT_DIRTY, returned=C.SOFT_DIRTY).regions == (Region(*span, C.SOFT_DIRTY),)


@pytest.mark.harms
@pytest.mark.kernel_only("costs the machine a page")
@pytest.mark.clause("failed-memory")
@pytest.mark.parametrize("protected", [False, True], ids=["written", "protected"])
def test_a_page_lost_to_a_memory_failure_is_not_present(lab: Lab, protected: bool) -> None:
    lab.require("memory failure")
    span = lab.prepare(BY_NAME["anon"])
    if protected:
        lab.protect(span)
    lab.advise(2, Advice.HWPOISON)
    lost = lab.scan(2).regions[0].categories
    assert C.SWAPPED in lost and C.PRESENT not in lost
    lab.scan(span)
    lab.scan(span, WP, mask=WRITTEN)
    assert lab.scan(span, mask=WRITTEN).regions == ()


@pytest.mark.needs("hugetlb 1 GiB")
@pytest.mark.kernel_only("its huge page isn't of the size that the program is made for")
@pytest.mark.clause("hugetlb-gigantic", "hugetlb-partial")
def test_a_page_of_a_gigabyte_is_tracked(lab: Lab) -> None:
    told = C.WPALLOWED | C.PRESENT | C.FILE | C.HUGE
    with gigantic_lab(lab) as (large, span):
        assert large.scan(span, returned=told | WRITTEN).regions == (Region(*span, told | WRITTEN),)
        assert large.scan(span, WP, mask=WRITTEN, returned=WRITTEN) == (1, (Region(*span, WRITTEN),), span.end)
        assert large.scan(span, returned=told | WRITTEN).regions == (Region(*span, told),)
        large.write(5)
        assert large.scan(span, returned=told | WRITTEN).regions == (Region(*span, told | WRITTEN),)
        assert large.scan((5, 9), returned=told).regions == (Region(5, 9, told),)
