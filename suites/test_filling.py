"""Pages that the owner of a userfaultfd makes: as a page server does for a guest that migrates, or is restored."""

import errno

import pytest

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME, Kind
from helpers.lab import Lab
from helpers.operations import Advice, Filler, Refusal, Span

WP = ScanFlag.WP_MATCHING
WRITTEN = Category.WRITTEN
COPIED = [filler for filler in Filler if filler is not Filler.ZEROPAGE]
every_copy = pytest.mark.parametrize("by", COPIED, ids=["copy", "copy-protected"])
every_filler = pytest.mark.parametrize("by", [*Filler], ids=["copy", "copy-protected", "zeropage"])
KINDS = ["anon", "shmem", "memfd-shared", "memfd-private", "tmpfs-shared"]
KINDS += ["hugetlb-private", "hugetlb-shared", "hugetlb-memfd"]
every_kind = pytest.mark.parametrize("kind", [BY_NAME[name] for name in KINDS], ids=str)


def map_two(lab: Lab, kind: Kind = BY_NAME["anon"]) -> tuple[Span, Span]:
    """Memory of a kind that nobody has touched, in two halves, registered."""
    lab.require(*kind.needs)
    half = lab.huge if kind.backing.is_hugetlb else 4
    lab.map((0, 2 * half), kind.backing, kind.shared)
    lab.register((0, 2 * half))
    return Span(0, half), Span(half, 2 * half)


@pytest.mark.clause("filled", "written-since-protected")
@every_copy
@every_kind
def test_a_page_that_is_copied_in_is_written_unless_it_is_copied_protected(lab: Lab, kind: Kind, by: Filler) -> None:
    filled, rest = map_two(lab, kind)
    lab.fill(filled, by)
    expected = [] if by is Filler.COPY_PROTECTED else [filled]
    assert [region[:2] for region in lab.scan(filled, mask=WRITTEN).regions] == expected
    lab.read_pagemap(filled)
    lab.scan((filled.start, rest.end))


@pytest.mark.clause("filled", "written-since-protected")
@every_copy
@every_kind
def test_a_write_to_a_page_that_was_copied_in_is_recorded(lab: Lab, kind: Kind, by: Filler) -> None:
    filled, rest = map_two(lab, kind)
    lab.fill(filled, by)
    lab.scan(filled, WP, mask=WRITTEN)
    assert lab.scan(filled, mask=WRITTEN).regions == ()
    lab.write(filled.start + 1)
    assert lab.scan(filled, mask=WRITTEN).regions[0].start in (filled.start, filled.start + 1)
    lab.scan(filled, WP, mask=WRITTEN)
    lab.scan((filled.start, rest.end))


@pytest.mark.clause("filled")
@every_copy
def test_a_page_that_is_copied_in_takes_the_place_of_a_marker(lab: Lab, by: Filler) -> None:
    """Protected before it had content: what is copied in is new, and is protected if it is asked to be."""
    first, second = map_two(lab)
    lab.protect((first.start, second.end))
    lab.fill(first, by)
    assert bool(lab.scan(first, mask=WRITTEN).regions) == (by is Filler.COPY)
    assert lab.scan(second, mask=WRITTEN).regions == ()
    lab.scan((first.start, second.end))


@pytest.mark.clause("filled")
def test_a_page_of_zeros_is_the_zero_page(lab: Lab) -> None:
    filled, rest = map_two(lab)
    lab.fill((1, 3), Filler.ZEROPAGE)
    assert [region[:2] for region in lab.scan(filled, mask=Category.PFNZERO).regions] == [(1, 3)]
    lab.scan((filled.start, rest.end), WP, mask=Category.PFNZERO, returned=WRITTEN)
    lab.write(2)
    assert [region[:2] for region in lab.scan((1, 3), mask=WRITTEN).regions] == [(2, 3)]
    lab.scan((filled.start, rest.end))


@pytest.mark.clause("filled")
@every_filler
def test_what_was_dropped_is_filled_again(lab: Lab, by: Filler) -> None:
    filled, rest = map_two(lab)
    lab.write((filled.start, rest.end))
    lab.advise(filled, Advice.DONTNEED)
    lab.fill(filled, by)
    lab.scan((filled.start, rest.end), mask=WRITTEN)
    lab.scan((filled.start, rest.end), WP, mask=WRITTEN)
    lab.write(0)
    lab.scan((filled.start, rest.end))


@pytest.mark.clause("filled", "soft-dirty")
@every_copy
def test_a_page_that_is_copied_in_is_soft_dirty(lab: Lab, by: Filler) -> None:
    lab.require("soft-dirty")
    filled, rest = map_two(lab)
    lab.clear_refs()
    lab.fill(filled, by)
    lab.scan((filled.start, rest.end), mask=Category.SOFT_DIRTY)
    lab.scan((filled.start, rest.end))


# --- UFFDIO_MOVE -----------------------------------------------------------------------------------------


def prepare_a_move(lab: Lab, name: str) -> tuple[Span, Span]:
    """Memory of a kind that is to be moved, and the empty memory that it is to be moved to, both registered."""
    lab.require("UFFDIO_MOVE")
    source = lab.prepare(BY_NAME[name])
    place = Span(source.end + 4, 2 * source.end + 4)
    lab.map(place)
    lab.register(place)
    return place, source


every_moved = pytest.mark.parametrize("name", ["anon", "anon-zero", "anon-swapped"])
every_way = pytest.mark.parametrize("protected", [False, True], ids=["written", "protected"])


@pytest.mark.clause("moved-in", "written-since-protected")
@every_way
@every_moved
def test_what_is_moved_in_is_written_where_it_is_and_where_it_was(lab: Lab, name: str, protected: bool) -> None:
    place, source = prepare_a_move(lab, name)
    if protected:
        lab.scan(source, WP, mask=WRITTEN)
    lab.move_in(place, source.start)
    assert [region[:2] for region in lab.scan(place, mask=WRITTEN, returned=WRITTEN).regions] == [place]
    assert [region[:2] for region in lab.scan(source, mask=WRITTEN, returned=WRITTEN).regions] == [source]
    lab.scan((source.start, place.end))
    lab.read_pagemap(place)


@pytest.mark.clause("moved-in", "written-since-protected")
@every_way
@every_moved
def test_a_write_to_what_was_moved_in_is_recorded(lab: Lab, name: str, protected: bool) -> None:
    place, source = prepare_a_move(lab, name)
    if protected:
        lab.protect(source)
    lab.move_in((place.start, place.start + 2), source.start)
    lab.scan((source.start, place.end), WP, mask=WRITTEN)
    lab.read(place)
    assert lab.scan((source.start, place.end), mask=WRITTEN).regions == ()
    lab.write(place.start + 1)
    lab.write(source.start)
    found = lab.scan((source.start, place.end), mask=WRITTEN, returned=WRITTEN).regions
    assert [region[:2] for region in found] == [(0, 1), (place.start + 1, place.start + 2)]
    lab.scan((source.start, place.end))


@pytest.mark.clause("moved-in")
def test_a_move_that_is_refused_leaves_all_as_it_was(lab: Lab) -> None:
    place, source = prepare_a_move(lab, "anon")
    lab.write(place.start)
    lab.scan(source, WP, mask=WRITTEN)
    before = lab.scan((source.start, place.end))
    assert lab.move_in(place.start, source.start) == Refusal(errno.EEXIST)
    assert lab.move_in(place.start + 1, place.start + 2) == Refusal(errno.ENOENT)
    assert lab.scan((source.start, place.end)) == before
    lab.fork()
    assert lab.move_in(place.start + 1, source.start) == Refusal(errno.EBUSY)
    assert lab.scan((source.start, place.end)) == before


@pytest.mark.clause("moved-in", "soft-dirty")
@pytest.mark.parametrize("name", ["anon", "anon-swapped"])
def test_what_is_moved_in_is_soft_dirty(lab: Lab, name: str) -> None:
    lab.require("soft-dirty")
    place, source = prepare_a_move(lab, name)
    lab.clear_refs()
    lab.move_in(place, source.start)
    lab.scan((source.start, place.end), mask=Category.SOFT_DIRTY)
    lab.scan((source.start, place.end))
