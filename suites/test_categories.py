"""Categories: each present where it must be, absent where it mustn't, for every kind of memory."""

import errno

import pytest

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME, KINDS, Kind
from helpers.lab import Lab
from helpers.operations import Advice, Backing, Prot, Refusal, Region, Span, Tracking, Writer
from suites.sparse import sparse_huge_page

C = Category
ALLOWED = C.WPALLOWED | C.WRITTEN

#: What pages of each kind are when they are registered and were never protected.
EXPECTED = {
    "anon": ALLOWED | C.PRESENT,
    "anon-unpopulated": ALLOWED,
    "anon-zero": ALLOWED | C.PRESENT | C.PFNZERO,
    "anon-swapped": ALLOWED | C.SWAPPED,
    "anon-prot-none": ALLOWED | C.PRESENT,
    "anon-guard": ALLOWED | C.SWAPPED | C.GUARD,
    "shmem": ALLOWED | C.PRESENT | C.FILE,
    "shmem-unpopulated": ALLOWED,
    "shmem-swapped": ALLOWED,
    "file-unpopulated": ALLOWED,
    "thp": ALLOWED | C.PRESENT | C.HUGE,
    "thp-several": ALLOWED | C.PRESENT | C.HUGE,
    "thp-zero": ALLOWED | C.PRESENT | C.HUGE | C.PFNZERO,
    "shmem-thp": ALLOWED | C.PRESENT | C.HUGE | C.FILE,
    "hugetlb-private": ALLOWED | C.PRESENT | C.HUGE,
    "hugetlb-shared": ALLOWED | C.PRESENT | C.HUGE | C.FILE,
    "hugetlb-memfd": ALLOWED | C.PRESENT | C.HUGE | C.FILE,
    "hugetlb-memfd-private": ALLOWED | C.PRESENT | C.HUGE,
}
for _file in ("memfd", "tmpfs", "file"):
    EXPECTED[f"{_file}-shared"] = EXPECTED[f"{_file}-private"] = ALLOWED | C.PRESENT | C.FILE
    EXPECTED[f"{_file}-private-copied"] = ALLOWED | C.PRESENT

every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
accessible = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.is_accessible], ids=str)


def whole(lab: Lab, kind: Kind, categories: Category) -> tuple[Region, ...]:
    span = kind.span(lab.huge)
    soft_dirty = C.SOFT_DIRTY if lab.facts.soft_dirty else C(0)
    return (Region(span.start, span.end, (categories | soft_dirty) & lab.all),)


@pytest.mark.clause("categories", "written-from-registration")
@every_kind
def test_registered_memory_has_exactly_the_categories_of_its_kind(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    assert lab.scan(span).regions == whole(lab, kind, EXPECTED[kind.name])


@pytest.mark.clause("categories", "written-since-protected")
@every_kind
def test_memory_protected_by_a_scan_is_not_written(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.scan(span, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.scan(span)


@pytest.mark.clause("categories", "protect-both-ways")
@every_kind
def test_memory_protected_by_uffdio_writeprotect_is_not_written(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.protect(span)
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.scan(span)


@pytest.mark.clause("wpallowed", "written-outside")
@pytest.mark.parametrize(
    ("kind", "tracking"),
    [(kind, Tracking.NONE) for kind in KINDS]
    + [(kind, Tracking.SYNC) for kind in KINDS if kind.backing is not Backing.FILE],
    ids=lambda value: getattr(value, "name", "").lower(),
)
def test_memory_without_asynchronous_tracking_is_not_wpallowed(lab: Lab, kind: Kind, tracking: Tracking) -> None:
    span = lab.prepare(kind, tracking=tracking)
    found = lab.scan(span, returned=lab.decided(span)).regions
    assert [region[:2] for region in found] == [tuple(span)]
    assert C.WPALLOWED not in found[0].categories
    assert lab.scan(span, mask=C.WPALLOWED).regions == ()


@pytest.mark.clause("categories")
@pytest.mark.parametrize("category", list(Category), ids=lambda category: category.name)
@every_kind
def test_each_category_is_reported_alone_when_only_it_is_asked_for(lab: Lab, kind: Kind, category: C) -> None:
    if category not in lab.all:
        pytest.skip(f"the kernel doesn't know {category.name}: scan on a kernel that accepts the bit")
    span = lab.prepare(kind)
    wanted = whole(lab, kind, EXPECTED[kind.name])[0].categories & category
    assert {region.categories for region in lab.scan(span, returned=category).regions} == {wanted}
    assert bool(lab.scan(span, mask=category, returned=category).regions) == bool(wanted)


@pytest.mark.clause("written-since-protected", "read-is-not-write")
@accessible
def test_reading_protected_memory_does_not_make_it_written(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.protect(span)
    lab.read(span)
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.scan(span)


#: Memory whose pages stay in a page cache when they leave the mapping.
CACHED = [kind for kind in KINDS if (kind.shared or kind.backing.has_file) and not kind.is_huge and kind.is_populated]


@pytest.mark.clause("fault-around", "written-outside")
@pytest.mark.parametrize("kind", CACHED, ids=str)
def test_a_load_from_memory_that_is_not_registered_may_map_neighbours(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind, tracking=Tracking.NONE)
    lab.advise(span, Advice.DONTNEED)
    lab.read(span.start + 5)
    loaded = lab.scan(span.start + 5).regions[0].categories
    assert C.PRESENT | C.FILE in loaded
    lab.scan(span, returned=lab.decided(span))
    lab.scan(span, mask=lab.decided(span), returned=lab.decided(span))


@pytest.mark.clause("fault-around", "read-is-not-write")
@pytest.mark.parametrize("way", ["written", "protected"])
@pytest.mark.parametrize("kind", CACHED, ids=str)
def test_a_load_from_registered_memory_maps_one_page(lab: Lab, kind: Kind, way: str) -> None:
    span = lab.prepare(kind)
    if way == "protected":
        lab.protect(span)
    lab.advise(span, Advice.DONTNEED)
    lab.read(span.start + 5)
    assert [region[:2] for region in lab.scan(span, mask=C.PRESENT).regions] == [(span.start + 5, span.start + 6)]
    lab.scan(span)


@pytest.mark.clause("written-since-protected", "huge-may-report-more")
@accessible
def test_writing_a_protected_page_makes_it_written(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.protect(span)
    lab.write(span.start + 1)
    found = lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions
    assert any(region.start <= span.start + 1 < region.end for region in found)
    if not kind.is_huge:
        assert found == (Region(span.start + 1, span.start + 2, C.WRITTEN),)
    lab.scan(span)


@pytest.mark.clause("written-since-protected")
@pytest.mark.parametrize("writer", list(Writer), ids=lambda writer: writer.name.lower())
@accessible
def test_a_write_by_the_kernel_makes_a_page_written(lab: Lab, kind: Kind, writer: Writer) -> None:
    lab.require(*writer.needs)
    span = lab.prepare(kind)
    lab.protect(span)
    lab.kernel_write(span.start + 1, writer)
    found = lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions
    assert any(region.start <= span.start + 1 < region.end for region in found)
    lab.scan(span)


def _can(kind: Kind, advice: Advice) -> bool:
    private_anonymous = kind.backing is Backing.ANON and not kind.shared
    match advice:
        case Advice.FREE | Advice.GUARD_INSTALL:
            return private_anonymous
        case Advice.PAGEOUT:
            # Whether a huge page of shared memory comes back from swap as one, the kernel may decide: what it is until
            # then is a test of its own.
            return not kind.backing.is_hugetlb and "zero" not in kind.name and kind.name != "shmem-thp"
        case Advice.COLD | Advice.GUARD_REMOVE:
            return not kind.backing.is_hugetlb
        case Advice.COLLAPSE | Advice.HUGEPAGE | Advice.MERGEABLE | Advice.HWPOISON:
            return False
    return True


ADVISED = [(kind, advice) for kind in KINDS for advice in Advice if _can(kind, advice)]


def _needs(kind: Kind, advice: Advice) -> list[str]:
    match advice:
        case Advice.GUARD_INSTALL | Advice.GUARD_REMOVE:
            return ["guard regions in files" if kind in GUARDED or kind.shared else "guard regions"]
        case Advice.PAGEOUT:
            return ["swap"]
    return []


@pytest.mark.clause("advice-dontneed", "advice-pageout", "advice-free", "advice-guard")
@pytest.mark.parametrize("protected", [False, True], ids=["written", "protected"])
@pytest.mark.parametrize(("kind", "advice"), ADVISED, ids=lambda value: getattr(value, "name", str(value)).lower())
def test_categories_after_madvise_and_after_coming_back(lab: Lab, kind: Kind, advice: Advice, protected: bool) -> None:
    lab.require(*_needs(kind, advice))
    span = lab.prepare(kind)
    if protected:
        lab.scan(span, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    before = lab.scan(span, mask=C.WRITTEN).regions
    lab.advise(span, advice)
    after = lab.scan(span).regions
    if not protected and not kind.backing.is_hugetlb:
        assert before and all(C.WRITTEN in region.categories for region in after)
    if kind.is_accessible and advice is not Advice.GUARD_INSTALL:
        lab.read(span)
        lab.scan(span)
        if protected or kind.name != "thp-zero":
            lab.write(span.start)
            assert lab.scan(span, mask=C.WRITTEN).regions[0].start == span.start


@pytest.mark.clause("advice-pageout", "written-since-protected")
@pytest.mark.parametrize("way", ["written", "scan", "writeprotect"])
def test_a_huge_page_of_shared_memory_that_is_reclaimed_is_what_it_was(lab: Lab, way: str) -> None:
    lab.require("swap")
    span = lab.prepare(BY_NAME["shmem-thp"])
    if way == "scan":
        lab.scan(span, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    elif way == "writeprotect":
        lab.protect(span)
    lab.advise(span, Advice.PAGEOUT)
    found = lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions
    assert found == ((Region(*span, C.WRITTEN),) if way == "written" else ())
    lab.scan(span)


@pytest.mark.clause("advice-pageout", "written-since-protected")
def test_a_part_of_a_file_is_reclaimed_and_the_rest_is_as_it_was(lab: Lab) -> None:
    """A file system may have it in one folio, which isn't split as long as it is dirty."""
    lab.require("disk", "swap")
    lab.map((0, 12), Backing.FILE, shared=True)
    lab.write((0, 12))
    lab.advise((0, 12), Advice.PAGEOUT)
    lab.punch_hole((8, 12))
    for page in 4, 11:
        lab.write(page)
    lab.register((0, 12))
    lab.advise((0, 11), Advice.PAGEOUT)
    lab.scan((0, 12), returned=lab.decided((0, 12)))
    lab.protect((0, 12))
    assert lab.scan((0, 12), mask=C.WRITTEN).regions == ()
    lab.write(5)
    assert lab.scan((4, 8), mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(5, 6, C.WRITTEN),)


@pytest.mark.clause("advice-dontneed")
def test_dropping_anonymous_memory_is_writing_to_it(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"])
    lab.protect(span)
    lab.advise((2, 4), Advice.DONTNEED)
    assert lab.scan(span, mask=C.WRITTEN).regions == (Region(2, 4, lab.scan(2).regions[0].categories),)


@pytest.mark.clause("advice-dontneed")
def test_dropping_private_hugetlb_memory_is_writing_to_it(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["hugetlb-private"])
    lab.protect(span)
    lab.advise(span, Advice.DONTNEED)
    assert lab.scan(span, mask=C.WRITTEN).regions


@pytest.mark.clause("advice-guard")
@pytest.mark.parametrize("protected", [False, True], ids=["written", "protected"])
def test_a_guard_region_comes_and_goes(lab: Lab, protected: bool) -> None:
    lab.require("guard regions")
    span = lab.prepare(BY_NAME["anon"])
    if protected:
        lab.protect(span)
    lab.advise((2, 5), Advice.GUARD_INSTALL)
    lab.scan(span)
    if C.GUARD in lab.all:
        assert lab.scan(span, mask=C.GUARD, returned=C.GUARD).regions == (Region(2, 5, C.GUARD),)
    lab.advise((2, 5), Advice.GUARD_REMOVE)
    assert lab.scan((2, 5), mask=C.WRITTEN).regions == (Region(2, 5, lab.scan(2).regions[0].categories),)


@pytest.mark.clause("advice-pageout", "written-since-protected")
@pytest.mark.parametrize("way", ["written", "scan", "writeprotect"])
@pytest.mark.parametrize("advice", [Advice.PAGEOUT, Advice.COLD], ids=lambda advice: advice.name.lower())
def test_what_only_holds_zeros_of_a_huge_page_stays_protected_when_that_is_reclaimed_in_part(
    lab: Lab, advice: Advice, way: str
) -> None:
    lab.require(*["swap"] * (advice is Advice.PAGEOUT))
    span = sparse_huge_page(lab)
    lab.register(span)
    if way == "scan":
        lab.scan(span, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    elif way == "writeprotect":
        lab.protect(span)
    lab.advise(0, advice)
    # Whether its other pages are the zero page from now on, no document says.
    found = lab.scan(span, mask=C.WRITTEN, returned=lab.decided(span)).regions
    assert bool(found) == (way == "written")
    lab.scan(span, returned=lab.decided(span))
    lab.read((2, 4))
    lab.scan(span, returned=lab.decided(span))
    lab.write(5)
    lab.scan(5)
    if way != "written":
        assert lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(5, 6, C.WRITTEN),)


def small_pages(lab: Lab) -> Span:
    """An aligned stretch of written small pages of which a huge page may be made, registered."""
    lab.require("thp")
    span = lab.map((0, lab.huge))
    lab.advise(span, Advice.NOHUGEPAGE)
    lab.write(span)
    lab.register(span)
    lab.advise(span, Advice.HUGEPAGE)
    return span


@pytest.mark.clause("advice-collapse", "written-since-protected")
@pytest.mark.parametrize("swapped", [False, True], ids=["present", "swapped"])
@pytest.mark.parametrize("place", ["first", "inside", "last", "all"])
def test_memory_in_which_a_page_is_protected_is_not_collapsed(lab: Lab, place: str, swapped: bool) -> None:
    span = small_pages(lab)
    part = {"first": Span(0, 1), "inside": Span(3, 5), "last": Span(span.end - 1, span.end), "all": span}[place]
    lab.scan(part, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    if swapped:
        lab.require("swap")
        lab.advise(part, Advice.PAGEOUT)
    before = lab.scan(span).regions
    assert lab.advise(span, Advice.COLLAPSE) == Refusal(errno.EINVAL)
    assert lab.scan(span).regions == before
    lab.write(part.start)
    lab.scan(span)


@pytest.mark.clause("advice-collapse", "written-from-registration")
@pytest.mark.parametrize("swapped", [False, True], ids=["present", "swapped"])
def test_a_huge_page_made_of_written_pages_is_written(lab: Lab, swapped: bool) -> None:
    span = small_pages(lab)
    if swapped:
        lab.require("swap")
        lab.advise((2, 4), Advice.PAGEOUT)
    assert lab.advise(span, Advice.COLLAPSE) is None
    assert lab.scan(span, mask=C.WRITTEN | C.HUGE, returned=C.HUGE).regions == (Region(*span, C.HUGE),)
    lab.protect(span)
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.write(7)
    assert lab.scan(span, mask=C.WRITTEN).regions[0].start <= 7
    lab.scan(span)


@pytest.mark.clause("advice-collapse")
@pytest.mark.parametrize("name", ["thp", "shmem-thp"])
def test_what_is_a_huge_page_already_stays_protected_when_it_is_collapsed(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    lab.scan(span, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    lab.advise(span, Advice.HUGEPAGE)
    assert lab.advise(span, Advice.COLLAPSE) is None
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.scan(span)


#: Memory of files, and shared memory: guard regions in it came later than those in anonymous memory.
GUARDED = [kind for kind in KINDS if (kind.shared or kind.backing.has_file) and not kind.is_huge]
#: What is protected of 8 pages, of which those from 2 to 5 become a guard region.
PARTS = {"all": [(0, 8)], "inside": [(3, 4), (5, 8)], "around": [(0, 2), (6, 8)]}
_PARTLY = ("shmem", "memfd-shared", "memfd-private-copied", "file-shared")


@pytest.mark.clause("advice-guard", "advice-returns")
@pytest.mark.parametrize(
    ("kind", "part"),
    [(kind, "none") for kind in GUARDED] + [(BY_NAME[name], part) for name in _PARTLY for part in PARTS],
    ids=str,
)
def test_a_guard_region_comes_and_goes_in_memory_of_files(lab: Lab, kind: Kind, part: str) -> None:
    lab.require("guard regions in files")
    span = lab.prepare(kind)
    for protected in PARTS.get(part, ()):
        lab.protect(protected)
    lab.advise((2, 6), Advice.GUARD_INSTALL)
    lab.scan(span)
    assert [region[:2] for region in lab.scan((2, 6), mask=C.WRITTEN | C.SWAPPED).regions] == [(2, 6)]
    lab.advise((2, 6), Advice.GUARD_REMOVE)
    lab.scan(span)
    assert [region[:2] for region in lab.scan((2, 6), mask=C.WRITTEN).regions] == [(2, 6)]
    lab.read(span)
    lab.scan(span)
    lab.protect(span)
    lab.write(3)
    assert lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(3, 4, C.WRITTEN),)


@pytest.mark.clause("advice-guard", "advice-returns")
@pytest.mark.parametrize("way", ["written", "scan", "writeprotect"])
def test_a_guard_region_comes_and_goes_in_a_huge_page_of_shared_memory(lab: Lab, way: str) -> None:
    lab.require("guard regions in files")
    span = lab.prepare(BY_NAME["shmem-thp"])
    if way == "scan":
        lab.scan(span, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    elif way == "writeprotect":
        lab.protect(span)
    lab.advise((3, 8), Advice.GUARD_INSTALL)
    lab.scan(span)
    lab.advise((3, 8), Advice.GUARD_REMOVE)
    lab.scan(span, mask=C.WRITTEN)
    lab.write(5)
    assert 5 in lab.scan(5, mask=C.WRITTEN).regions[0]


@pytest.mark.clause("advice-guard", "advice-returns")
@pytest.mark.parametrize("first", [0, 2], ids=["from-its-start", "from-inside"])
def test_a_guard_region_reaches_over_several_mappings(lab: Lab, first: int) -> None:
    lab.require("guard regions in files")
    lab.map((0, 4))
    lab.map((4, 8), Backing.MEMFD, shared=True)
    lab.map((8, 12))
    lab.register((0, 12))
    lab.write((0, 12))
    lab.protect((1, 3))
    lab.protect((6, 12))
    lab.advise((first, 10), Advice.GUARD_INSTALL)
    lab.scan((0, 12))


@pytest.mark.clause("mprotect")
@pytest.mark.parametrize("prot", list(Prot), ids=lambda prot: prot.name.lower())
@accessible
def test_mprotect_changes_no_category(lab: Lab, kind: Kind, prot: Prot) -> None:
    span = lab.prepare(kind)
    lab.protect(span)
    before = lab.scan(span).regions
    lab.mprotect(span, prot)
    assert lab.scan(span).regions == before
    lab.mprotect(span, Prot.WRITE)
    lab.write(span.start)
    lab.scan(span)


@pytest.mark.clause("hole-punch")
@pytest.mark.parametrize("name", ["memfd-shared", "tmpfs-shared", "file-shared", "hugetlb-memfd"])
def test_a_page_punched_out_of_a_file_is_written(lab: Lab, name: str) -> None:
    kind = BY_NAME[name]
    span = lab.prepare(kind)
    hole = (0, lab.huge) if kind.is_huge else (2, 4)
    lab.protect(span)
    lab.punch_hole(hole)
    assert lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(*hole, C.WRITTEN),)
    lab.read(span)
    lab.scan(span)


@pytest.mark.clause("hole-punch")
@pytest.mark.parametrize("name", ["memfd-shared", "hugetlb-memfd"])
def test_a_written_page_stays_written_when_it_is_punched_out_of_its_file(lab: Lab, name: str) -> None:
    kind = BY_NAME[name]
    span = lab.prepare(kind)
    lab.punch_hole((0, lab.huge) if kind.is_huge else (2, 4))
    lab.scan(span)
    assert [region[:2] for region in lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions] == [tuple(span)]


@pytest.mark.clause("truncation")
@pytest.mark.parametrize("protected", [False, True], ids=["written", "protected"])
@pytest.mark.parametrize(
    "name", ["memfd-shared", "memfd-private", "memfd-private-copied", "tmpfs-shared", "file-shared", "hugetlb-memfd"]
)
def test_categories_after_truncation(lab: Lab, name: str, protected: bool) -> None:
    kind = BY_NAME[name]
    span = lab.prepare(kind)
    if protected:
        lab.protect(span)
    lab.truncate((lab.huge if kind.is_huge else 3, span.end))
    lab.scan(span)
    lab.read(span)
    lab.scan(span)


#: Masks that the kernel has a shortcut for, and such that go the general way.
SHORTCUTS = {
    "shortcut": {"mask": C.WRITTEN, "returned": C.WRITTEN},
    "general": {"mask": C.WRITTEN},
    "anyof": {"anyof": C.WRITTEN | C.PFNZERO, "returned": C.WRITTEN},
}


@pytest.mark.clause("written-since-protected", "written-from-registration", "advice-dontneed")
@pytest.mark.parametrize("masks", SHORTCUTS.values(), ids=SHORTCUTS)
@pytest.mark.parametrize("place", ["entries", "no-table", "dropped-huge-page"])
def test_empty_memory_is_written_until_it_is_protected(lab: Lab, place: str, masks: dict[str, C]) -> None:
    if place == "dropped-huge-page":
        span = lab.prepare(BY_NAME["thp"])
        lab.protect(span)
        lab.advise(span, Advice.DONTNEED)
    else:
        span = lab.map((0, 2 * lab.huge))
        lab.advise(span, Advice.NOHUGEPAGE)
        lab.register(span)
    if place == "entries":  # A page that is there has a table, in which the others' entries are empty.
        lab.write(4)
        lab.protect(4)
        span = Span(0, 4)
    found = lab.scan(span, ScanFlag.WP_MATCHING, **masks).regions  # type: ignore[arg-type]
    assert [region[:2] for region in found] == [tuple(span)]
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.read(span.start)
    lab.write(span.start + 1)
    found = lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions
    assert found == (Region(span.start + 1, span.start + 2, C.WRITTEN),)


@pytest.mark.clause("categories")
@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_empty_hugetlb_memory_is_huge(lab: Lab, shared: bool) -> None:
    lab.require("hugetlb")
    span = lab.map((0, lab.huge), Backing.HUGETLB, shared=shared)
    lab.register(span)
    assert lab.scan(span, mask=C.HUGE, returned=C.HUGE).regions == (Region(*span, C.HUGE),)


@pytest.mark.clause("other-mappings")
def test_writes_past_the_mapping_are_not_recorded_in_it(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["memfd-shared"])
    lab.map((16, 24), Backing.MEMFD, shared=True, file="file")
    lab.protect(span)
    lab.write((16, 20))
    lab.file_write((4, 6))
    assert lab.scan(span, mask=C.WRITTEN).regions == ()


@pytest.mark.clause("unregister")
@pytest.mark.parametrize("close", [False, True], ids=["unregister", "close"])
@every_kind
def test_protection_ends_with_the_registration(lab: Lab, kind: Kind, close: bool) -> None:
    span = lab.prepare(kind)
    lab.scan(span, ScanFlag.WP_MATCHING, mask=C.WRITTEN)
    if close:
        lab.close_userfaultfd()
    else:
        lab.unregister(span)
    assert lab.scan(span, mask=C.WPALLOWED).regions == ()
    lab.scan(span, returned=lab.decided(span))
    lab.register(span)
    assert [region[:2] for region in lab.scan(span, mask=C.WRITTEN).regions] == [tuple(span)]
