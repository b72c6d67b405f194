"""What becomes of pages, and of what is recorded of them, when mappings are made, moved, cut and joined."""

import errno

import pytest

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME, KINDS, Kind
from helpers.lab import Lab
from helpers.operations import Backing, Prot, Refusal, Region, Span, Tracking

C = Category
WP = ScanFlag.WP_MATCHING
small = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.is_accessible and not kind.is_huge and not kind.backing.is_hugetlb], ids=str
)


@pytest.mark.clause("remap", "fork")
@pytest.mark.parametrize("name", ["anon", "anon-swapped"])
def test_memory_is_not_tracked_after_mremap_nor_in_a_child(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    lab.protect(span)
    lab.fork()
    assert lab.scan(span, mask=C.WPALLOWED, process="child").regions == ()
    lab.scan(span, process="child")
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.move(span, 64)
    assert lab.scan((64, 72), mask=C.WPALLOWED).regions == ()
    lab.scan((0, 72))


@pytest.mark.clause("vma-merging")
def test_written_survives_splitting_and_merging_of_mappings(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"])
    lab.protect(span)
    lab.write(3)
    lab.mprotect((2, 5), Prot.READ)
    lab.mprotect((2, 5), Prot.WRITE)
    lab.map((8, 12))
    lab.register((8, 12))
    assert lab.scan((0, 12), mask=C.WRITTEN, returned=C.WRITTEN).regions == (
        Region(3, 4, C.WRITTEN),
        Region(8, 12, C.WRITTEN),
    )


@pytest.mark.clause("mapped-over", "written-from-registration")
@small
def test_what_is_mapped_in_place_of_a_part_is_new(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.protect(span)
    lab.map((2, 4))
    lab.scan(span, returned=lab.decided(span))
    assert lab.scan((2, 4), mask=C.WPALLOWED).regions == ()
    assert [region[:2] for region in lab.scan(span, mask=C.WPALLOWED).regions] == [(0, 2), (4, span.end)]
    lab.register((2, 4))
    assert lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(2, 4, C.WRITTEN),)


@pytest.mark.clause("mapped-over", "remap")
@small
def test_what_is_moved_takes_the_place_of_what_was_there(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.protect(span)
    lab.map((32, 36))
    lab.write((32, 36))
    lab.move((2, 4), to=33)
    lab.scan((0, 36), returned=lab.decided((32, 36)) & lab.decided((0, 2)))
    assert [region[:2] for region in lab.scan((0, 36), mask=C.WPALLOWED).regions] == [(0, 2), (4, span.end)]


@pytest.mark.clause("remap-keeping", "written-since-protected")
@pytest.mark.parametrize("name", ["anon", "anon-swapped", "anon-zero", "thp"])
def test_a_mapping_whose_pages_go_stays_registered_and_is_empty(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    lab.scan(span, WP, mask=C.WRITTEN)
    elsewhere = Span(4 * lab.huge, 4 * lab.huge + span.end)
    lab.move(span, elsewhere.start, keeps_mapping=True)
    assert [region[:2] for region in lab.scan(span, mask=C.WPALLOWED).regions] == [span]
    assert lab.scan(span, anyof=C.PRESENT | C.SWAPPED).regions == ()
    lab.scan(elsewhere, returned=lab.decided(elsewhere))
    lab.scan(span, WP, mask=C.WRITTEN)
    lab.write(span.start + 1)
    lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN)


@pytest.mark.clause("remap")
@pytest.mark.parametrize("offset", [0, 1], ids=["aligned", "not-aligned"])
@pytest.mark.parametrize("name", ["thp", "thp-zero"])
def test_a_huge_page_stays_one_where_it_can_be_mapped_as_one(lab: Lab, name: str, offset: int) -> None:
    span = lab.prepare(BY_NAME[name])
    lab.protect(span)
    elsewhere = Span(4 * lab.huge + offset, 5 * lab.huge + offset)
    lab.move(span, elsewhere.start)
    assert bool(lab.scan(elsewhere, mask=C.HUGE).regions) == (not offset)
    lab.scan(elsewhere, returned=lab.decided(elsewhere))


@pytest.mark.clause("remap", "written-since-protected")
@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("backing", [Backing.ANON, Backing.MEMFD], ids=["anon", "memfd"])
def test_what_is_moved_leaves_its_new_neighbours_registered(lab: Lab, backing: Backing, place: str) -> None:
    """It has no content yet, or maps the file where its neighbour ends: so that the two become one mapping."""
    neighbour, new, page = (Span(4, 8), 8, 4) if place == "behind" else (Span(4, 8), 2, -2)
    shared = backing is Backing.MEMFD
    lab.map(neighbour, backing, shared, file_page=2 * shared)
    lab.map((32, 34), backing, shared, file_page=(2 + page) * shared)
    for span in neighbour, Span(32, 34):
        lab.register(span)
    lab.write(neighbour)
    lab.scan(neighbour, WP, mask=C.WRITTEN)
    lab.move((32, 34), to=new)
    assert [region[:2] for region in lab.scan((0, 34), mask=C.WPALLOWED, returned=C.WPALLOWED).regions] == [neighbour]
    lab.scan(neighbour, returned=C.PRESENT)
    lab.write(5)
    assert lab.scan(neighbour, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(5, 6, C.WRITTEN),)


@pytest.mark.clause("resized", "written-since-protected")
@small
def test_what_a_mapping_loses_at_its_end_is_a_gap_and_the_rest_is_as_it_was(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.scan(span, WP, mask=C.WRITTEN)
    lab.write(1)
    lab.resize(span, 3)
    assert [region[:2] for region in lab.scan(span, mask=C.WPALLOWED, returned=C.WPALLOWED).regions] == [(0, 3)]
    assert lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(1, 2, C.WRITTEN),)
    lab.scan(span, returned=lab.decided((0, 3)))


@pytest.mark.clause("resized", "written-since-protected")
@pytest.mark.parametrize("name", ["anon", "anon-zero", "anon-swapped", "anon-unpopulated", "thp"])
def test_a_mapping_that_grows_is_registered_as_a_whole_and_what_was_protected_stays_so(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    lab.scan(span, WP, mask=C.WRITTEN)
    grown = Span(span.start, span.end + 4)
    lab.resize(span, grown.end)
    assert [region[:2] for region in lab.scan(grown, mask=C.WPALLOWED, returned=C.WPALLOWED).regions] == [grown]
    new = Span(span.end, grown.end)
    assert lab.scan(grown, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(*new, C.WRITTEN),)
    lab.scan(grown, WP, mask=C.WRITTEN)
    lab.write((span.end - 1, span.end + 1))
    assert lab.scan(new, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(new.start, new.start + 1, C.WRITTEN),)
    lab.scan(grown)


@pytest.mark.clause("resized")
@pytest.mark.parametrize("name", ["anon", "anon-unpopulated"])
def test_a_mapping_of_which_nothing_is_registered_grows_unregistered(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name], tracking=Tracking.NONE)
    lab.resize(span, span.end + 2)
    assert lab.scan((span.start, span.end + 2), mask=C.WPALLOWED).regions == ()
    lab.scan((span.start, span.end + 2), returned=lab.decided((span.start, span.end + 2)))


@pytest.mark.clause("resized")
def test_a_mapping_without_room_does_not_grow(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"])
    lab.map((span.end + 1, span.end + 2), prot=Prot.READ)
    lab.protect(span)
    assert lab.resize(span, span.end + 2) == Refusal(errno.ENOMEM)
    lab.scan((span.start, span.end + 2), returned=lab.decided(span) & lab.decided(span.end + 1))
    assert lab.resize(span, span.end + 1) is None
    lab.scan((span.start, span.end + 2), returned=lab.decided(span) & lab.decided(span.end + 1))


@pytest.mark.needs("soft-dirty")
@pytest.mark.clause("resized", "soft-dirty-new")
@pytest.mark.parametrize("tracking", [Tracking.NONE, Tracking.ASYNC], ids=["unregistered", "registered"])
def test_a_mapping_that_grew_is_soft_dirty(lab: Lab, tracking: Tracking) -> None:
    span = lab.prepare(BY_NAME["anon"], tracking=tracking)
    lab.clear_refs()
    assert lab.scan(span, mask=C.SOFT_DIRTY).regions == ()
    lab.resize(span, span.end + 4)
    grown = Span(span.start, span.end + 4)
    lab.scan(grown, mask=C.SOFT_DIRTY, returned=C.SOFT_DIRTY)
    lab.scan(grown, returned=lab.decided(grown))
