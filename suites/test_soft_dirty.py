"""SOFT_DIRTY: what was written to since a 4 was written to clear_refs."""

import pytest

from helpers.interface.uapi import Category, PagemapBit, ScanFlag
from helpers.kinds import BY_NAME, KINDS, Kind
from helpers.lab import Lab
from helpers.operations import Advice, Backing, Prot, Region, Tracking
from suites.sparse import sparse_huge_page

pytestmark = pytest.mark.needs("soft-dirty")
C = Category
SOFT_DIRTY = C.SOFT_DIRTY
WP = ScanFlag.WP_MATCHING
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
writable = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.is_accessible and kind.name != "thp-zero"], ids=str
)


def soft_dirty(lab: Lab, pages: tuple[int, int]) -> list[int]:
    """The pages that a scan for SOFT_DIRTY reports."""
    found = lab.scan(pages, mask=SOFT_DIRTY, returned=SOFT_DIRTY).regions
    return [page for region in found for page in range(region.start, region.end)]


@pytest.mark.clause("soft-dirty")
@every_kind
def test_no_page_is_soft_dirty_once_all_are_cleared(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.clear_refs()
    assert soft_dirty(lab, span) == []
    lab.scan(span)
    assert lab.scan(span, mask=SOFT_DIRTY, inverted=SOFT_DIRTY).regions[0][:2] == tuple(span)


@pytest.mark.clause("soft-dirty")
@writable
def test_only_what_was_written_since_is_soft_dirty(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind, tracking=Tracking.NONE)
    lab.clear_refs()
    lab.read(span)
    assert soft_dirty(lab, span) == []
    lab.scan(span)
    lab.write(span.start + 1)
    found = soft_dirty(lab, span)
    assert found == ([*range(lab.huge)] if kind.is_huge else [1])
    lab.scan(span)
    lab.scan(span, anyof=SOFT_DIRTY | C.FILE)


@pytest.mark.clause("soft-dirty", "second-witness")
@writable
def test_pagemap_says_soft_dirty_as_the_scan_does(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind, tracking=Tracking.NONE)
    lab.read(span)  # Whether an access to a file's page maps its neighbours too, no document says.
    lab.clear_refs()
    lab.write(span.start + 1)
    entries = lab.read_pagemap(span)
    found = soft_dirty(lab, span)
    assert [page for page in span.pages() if PagemapBit.SOFT_DIRTY in entries[page - span.start]] == found


@pytest.mark.clause("soft-dirty")
def test_a_write_by_the_kernel_makes_a_page_soft_dirty(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"])
    lab.clear_refs()
    lab.kernel_write(2)
    assert soft_dirty(lab, span) == [2]


@pytest.mark.clause("soft-dirty-kept")
def test_a_huge_page_is_no_more_soft_dirty_when_it_is_reclaimed(lab: Lab) -> None:
    lab.require("swap")
    span = lab.prepare(BY_NAME["thp"])
    lab.clear_refs()
    lab.advise(span, Advice.PAGEOUT)
    assert soft_dirty(lab, span) == []
    lab.scan(span)


@pytest.mark.clause("soft-dirty-apart")
# What becomes soft-dirty of a huge page that a write to protected memory splits, no document says.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.is_accessible and not kind.is_split], ids=str)
def test_written_and_soft_dirty_are_tracked_apart(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.protect(span)
    lab.clear_refs()
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.write(span.start + 1)
    dirty = soft_dirty(lab, span)
    lab.scan(span, WP, mask=C.WRITTEN)
    assert dirty and soft_dirty(lab, span) == dirty
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.write(span.start + 3)
    before = lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions
    lab.clear_refs()
    assert before and lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions == before
    lab.scan(span)


@pytest.mark.clause("soft-dirty-new")
@every_kind
def test_a_mapping_made_since_is_soft_dirty_as_a_whole(lab: Lab, kind: Kind) -> None:
    lab.clear_refs()
    span = lab.prepare(kind)
    assert soft_dirty(lab, span) == [*span.pages()]
    lab.scan(span)


@pytest.mark.clause("soft-dirty-new")
def test_a_mapping_renewed_in_the_same_place_is_soft_dirty(lab: Lab) -> None:
    span = lab.map((0, 4))
    lab.clear_refs()
    lab.unmap((1, 3))
    lab.map((1, 3), Backing.MEMFD, shared=True)
    assert soft_dirty(lab, span) == [1, 2]


@pytest.mark.clause("soft-dirty-new", "vma-merging")
def test_a_mapping_that_is_expanded_is_soft_dirty_as_a_whole(lab: Lab) -> None:
    lab.write(lab.map((0, 2)))
    lab.clear_refs()
    lab.map((2, 4))
    assert soft_dirty(lab, (0, 4)) == [0, 1, 2, 3]


@pytest.mark.clause("soft-dirty-new", "vma-merging")
@pytest.mark.parametrize("changed", ["old", "new"])
@pytest.mark.parametrize("place", ["behind", "before"])
def test_a_new_mapping_stays_soft_dirty_when_mprotect_merges_it_with_an_old_one(
    lab: Lab, place: str, changed: str
) -> None:
    old, new = ((0, 2), (2, 4)) if place == "behind" else ((2, 4), (0, 2))
    lab.write(lab.map(old))
    lab.clear_refs()
    lab.map(new, prot=Prot.READ)
    assert soft_dirty(lab, (0, 4)) == [*range(*new)]
    if changed == "old":
        lab.mprotect(old, Prot.READ)
    else:
        lab.mprotect(new, Prot.WRITE)
    assert soft_dirty(lab, new) == [*range(*new)]


@pytest.mark.clause("soft-dirty-kept")
def test_soft_dirty_survives_swap(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"])
    lab.require("swap")
    lab.clear_refs()
    lab.write(2)
    lab.advise(span, Advice.PAGEOUT)
    assert soft_dirty(lab, span) == [2]
    lab.scan(span)
    lab.read(span)
    assert soft_dirty(lab, span) == [2]
    lab.read_pagemap(span)


@pytest.mark.clause("soft-dirty-kept")
@pytest.mark.parametrize("advice", ["PAGEOUT", "COLD"])
@pytest.mark.parametrize("written", [False, True], ids=["clean", "written"])
def test_soft_dirty_survives_reclaim_of_a_part_of_a_huge_page(lab: Lab, written: bool, advice: str) -> None:
    lab.require(*["swap"] * (advice == "PAGEOUT"))
    span = sparse_huge_page(lab)
    lab.clear_refs()
    if written:
        lab.write(0)
    lab.advise(0, Advice[advice])
    assert soft_dirty(lab, span) == ([*span.pages()] if written else [])


@pytest.mark.clause("soft-dirty-zapped")
@pytest.mark.parametrize("name", ["shmem", "memfd-shared", "file-shared"])
def test_soft_dirty_is_lost_when_a_page_leaves_the_mapping(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    lab.clear_refs()
    lab.write(span)
    lab.advise((2, 4), Advice.DONTNEED)
    assert soft_dirty(lab, span) == [0, 1, 4, 5, 6, 7]
    lab.read(span)
    assert soft_dirty(lab, span) == [0, 1, 4, 5, 6, 7]


@pytest.mark.clause("soft-dirty-kept", "soft-dirty-zapped")
@pytest.mark.parametrize("advice", ["DONTNEED", "FREE", "COLD", "GUARD_INSTALL"])
def test_soft_dirty_after_madvise(lab: Lab, advice: str) -> None:
    lab.require("guard regions")
    span = lab.prepare(BY_NAME["anon"])
    lab.clear_refs()
    lab.write((0, 4))
    lab.advise((2, 6), Advice[advice])
    lab.scan(span)
    lab.read_pagemap(span)


@pytest.mark.clause("soft-dirty-kept", "soft-dirty-new")
def test_soft_dirty_after_mprotect_fork_and_mremap(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"])
    lab.clear_refs()
    lab.write(1)
    lab.mprotect((0, 4), Prot.READ)
    lab.mprotect((0, 4), Prot.WRITE)
    assert soft_dirty(lab, span) == [1]
    lab.fork()
    lab.scan(span, process="child")
    lab.write(3)
    assert soft_dirty(lab, span) == [1, 3]
    lab.move(span, 64)
    assert lab.scan((64, 72), mask=SOFT_DIRTY, returned=SOFT_DIRTY).regions == (Region(64, 72, SOFT_DIRTY),)
    lab.read_pagemap((64, 72))


@pytest.mark.clause("soft-dirty", "huge-split")
def test_splitting_a_huge_page_is_not_writing_to_it(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["thp"])
    lab.clear_refs()
    lab.scan((3, 8), WP, mask=C.WRITTEN)
    assert soft_dirty(lab, span) == []
