"""Pages that the owner of a userfaultfd makes: as a page server does for a guest that migrates, or is restored."""

import errno

import pytest

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME, Kind
from helpers.kinds import KINDS as KINDS_OF_ALL
from helpers.lab import Lab
from helpers.operations import Advice, Backing, Faults, Filler, Refusal, Region, Span

WP = ScanFlag.WP_MATCHING
WRITTEN = Category.WRITTEN
COPIED = [Filler.COPY, Filler.COPY_PROTECTED]
every_copy = pytest.mark.parametrize("by", COPIED, ids=["copy", "copy-protected"])
every_filler = pytest.mark.parametrize("by", [*COPIED, Filler.ZEROPAGE], ids=["copy", "copy-protected", "zeropage"])
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


@pytest.mark.needs("soft-dirty")
@pytest.mark.clause("filled", "soft-dirty")
@every_copy
def test_a_page_that_is_copied_in_is_soft_dirty(lab: Lab, by: Filler) -> None:
    filled, rest = map_two(lab)
    lab.clear_refs()
    lab.fill(filled, by)
    lab.scan((filled.start, rest.end), mask=Category.SOFT_DIRTY)
    lab.scan((filled.start, rest.end))


# --- UFFDIO_POISON ---------------------------------------------------------------------------------------


def poison(lab: Lab, kind: Kind) -> tuple[Span, Span]:
    """Memory of a kind that nobody has touched, registered, its first half poisoned."""
    lab.require("UFFDIO_POISON")
    lost, rest = map_two(lab, kind)
    lab.fill(lost, Filler.POISON)
    return lost, rest


@pytest.mark.clause("poisoned")
@every_kind
def test_a_poisoned_page_is_not_present(lab: Lab, kind: Kind) -> None:
    lost, rest = poison(lab, kind)
    told = Category.SWAPPED | Category.PRESENT | WRITTEN
    assert lab.scan(lost, returned=told).regions == (Region(*lost, Category.SWAPPED | WRITTEN),)
    lab.read_pagemap((lost.start, rest.end))
    lab.scan((lost.start, rest.end))


@pytest.mark.clause("poisoned", "protect-reported")
@every_kind
def test_a_poisoned_page_that_is_reported_is_protected(lab: Lab, kind: Kind) -> None:
    lost, _ = poison(lab, kind)
    assert [region[:2] for region in lab.scan(lost, WP, mask=WRITTEN).regions] == [lost]
    assert lab.scan(lost, mask=WRITTEN).regions == ()
    lab.read_pagemap(lost)
    lab.scan(lost)


@pytest.mark.clause("poisoned", "protect-both-ways")
@every_kind
def test_a_poisoned_page_is_protected_by_either_way(lab: Lab, kind: Kind) -> None:
    lost, _ = poison(lab, kind)
    lab.protect(lost)
    assert lab.scan(lost, mask=WRITTEN).regions == ()
    lab.unprotect(lost)
    lab.scan(lost)


@pytest.mark.clause("poisoned", "advice-dontneed")
@every_kind
def test_a_poisoned_page_that_is_dropped_is_one_as_any(lab: Lab, kind: Kind) -> None:
    """It can be written to, and that is recorded."""
    lost, _ = poison(lab, kind)
    lab.scan(lost, WP, mask=WRITTEN)
    lab.advise(lost, Advice.DONTNEED)
    lab.scan(lost)
    lab.write(lost)
    lab.scan(lost, WP, mask=WRITTEN)
    lab.write(lost.start + 1)
    assert lab.scan(lost, mask=WRITTEN).regions[0].start in (lost.start, lost.start + 1)


@pytest.mark.clause("poisoned", "unregister")
def test_a_poisoned_page_outlives_the_registration(lab: Lab) -> None:
    lost, _ = poison(lab, BY_NAME["anon"])
    lab.scan(lost, WP, mask=WRITTEN)
    lab.unregister(lost)
    assert lab.scan(lost, mask=Category.SWAPPED, returned=Category.SWAPPED).regions == (
        Region(*lost, Category.SWAPPED),
    )
    lab.read_pagemap(lost)
    lab.scan(lost)


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


@pytest.mark.needs("soft-dirty")
@pytest.mark.clause("moved-in", "soft-dirty")
@pytest.mark.parametrize("name", ["anon", "anon-swapped"])
def test_what_is_moved_in_is_soft_dirty(lab: Lab, name: str) -> None:
    place, source = prepare_a_move(lab, name)
    lab.clear_refs()
    lab.move_in(place, source.start)
    lab.scan((source.start, place.end), mask=Category.SOFT_DIRTY)
    lab.scan((source.start, place.end))


# --- Accesses that wait for the owner of the userfaultfd ---------------------------------------------------


@pytest.mark.clause("waiting", "written-since-protected", "written-from-registration")
@pytest.mark.parametrize("kind", [kind for kind in KINDS_OF_ALL if kind.backing is not Backing.FILE], ids=str)
def test_memory_that_is_registered_for_missing_pages_as_well_is_tracked_as_ever(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    before = lab.scan(span)
    lab.register(span, faults=Faults.MISSING)
    assert lab.scan(span, ScanFlag.CHECK_WPASYNC) == before
    lab.scan(span, WP, mask=WRITTEN)
    assert lab.scan(span, mask=WRITTEN).regions == ()
    if kind.is_accessible and kind.is_populated:
        lab.write(span.start + 1)
        assert lab.scan(span, mask=WRITTEN).regions[0].start in (span.start, span.start + 1)
    lab.scan(span)


@pytest.mark.clause("waiting", "filled", "written-since-protected")
@every_filler
def test_what_is_missing_is_filled_and_tracked(lab: Lab, by: Filler) -> None:
    """As a page server does for what is restored while it runs, and is saved again."""
    lab.map((0, 8))
    lab.register((0, 8), faults=Faults.MISSING)
    lab.fill((2, 5), by)
    lab.scan((0, 8))
    lab.scan((0, 8), WP, mask=WRITTEN | Category.PRESENT, returned=WRITTEN)
    lab.write(3)
    found = lab.scan((2, 5), mask=WRITTEN, returned=WRITTEN).regions
    assert [region[:2] for region in found] == [(3, 4)]
    lab.advise((2, 4), Advice.DONTNEED)
    lab.scan((0, 8))


def map_twice(lab: Lab, kind: Kind) -> tuple[Span, Span]:
    """A file in two places: where it has been written to, and where it is registered for minor faults."""
    lab.require("minor faults", *kind.needs)
    pages = 2 * lab.huge if kind.backing.is_hugetlb else 8
    file = Span(0, pages)
    place = Span(4 * lab.huge, 4 * lab.huge + pages)
    for span in file, place:
        lab.map(span, kind.backing, shared=True)
    lab.register(place, faults=Faults.MINOR)
    lab.write(file)
    return file, place


def halves(span: Span) -> tuple[Span, Span]:
    middle = (span.start + span.end) // 2
    return Span(span.start, middle), Span(middle, span.end)


every_continued = pytest.mark.parametrize(
    "by", [Filler.CONTINUE, Filler.CONTINUE_PROTECTED], ids=["continue", "continue-protected"]
)
every_file = pytest.mark.parametrize(
    "kind", [BY_NAME[name] for name in ("memfd-shared", "tmpfs-shared", "hugetlb-memfd")], ids=str
)


@pytest.mark.clause("continued", "waiting")
@every_continued
@every_file
def test_a_page_that_the_file_has_is_written_unless_it_is_mapped_protected(lab: Lab, kind: Kind, by: Filler) -> None:
    file, place = map_twice(lab, kind)
    half, _ = halves(place)
    lab.fill(half, by)
    expected = [] if by.protects else [half]
    assert [region[:2] for region in lab.scan(half, mask=WRITTEN, returned=WRITTEN).regions] == expected
    lab.read_pagemap(half)
    lab.scan((file.start, place.end), returned=lab.decided(file) & lab.decided(place))


@pytest.mark.clause("continued", "written-since-protected")
@every_continued
@every_file
def test_a_write_to_a_page_that_the_file_had_is_recorded(lab: Lab, kind: Kind, by: Filler) -> None:
    file, place = map_twice(lab, kind)
    for half in halves(place):
        lab.fill(half, by)
    lab.scan(place, WP, mask=WRITTEN)
    lab.write(file)
    assert lab.scan(place, mask=WRITTEN).regions == ()
    lab.write(place.start + 1)
    assert lab.scan(place, mask=WRITTEN).regions[0].start in (place.start, place.start + 1)
    lab.scan(place, WP, mask=WRITTEN)
    lab.scan(place)


@pytest.mark.clause("continued")
@every_continued
def test_a_page_that_the_file_has_takes_the_place_of_a_marker(lab: Lab, by: Filler) -> None:
    _, place = map_twice(lab, BY_NAME["memfd-shared"])
    lab.protect(place)
    lab.fill((place.start, place.start + 2), by)
    assert bool(lab.scan((place.start, place.start + 2), mask=WRITTEN).regions) is not by.protects
    assert lab.scan((place.start + 2, place.end), mask=WRITTEN).regions == ()
    lab.scan(place)
