"""WP_MATCHING and CHECK_WPASYNC, alone and together, and the documented ways of using them."""

import errno
import itertools
import os
from collections.abc import Callable

import pytest

from helpers.interface import procfs
from helpers.interface.native import checked, ffi, lib
from helpers.interface.uapi import Category, ScanFlag
from helpers.kernel import Kernel
from helpers.kinds import BY_NAME, KINDS, Kind
from helpers.lab import Lab
from helpers.operations import ROOM, At, Backing, Refusal, Region, Scan, Span, Tracking

C = Category
WP = ScanFlag.WP_MATCHING
CHECK = ScanFlag.CHECK_WPASYNC
WRITTEN = C.WRITTEN
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
writable = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.is_accessible], ids=str)


@pytest.mark.clause("protect-reported", "protect-without-vec", "check-wpasync")
@pytest.mark.parametrize("vec_len", [None, 0, ROOM], ids=["null", "empty", "vec"])
@pytest.mark.parametrize("flags", [CHECK, WP, WP | CHECK], ids=["check", "wp", "wp-check"])
@every_kind
def test_flags_alone_and_together_with_and_without_vec(
    lab: Lab, kind: Kind, flags: ScanFlag, vec_len: int | None
) -> None:
    span = lab.prepare(kind)
    found = lab.scan(span, flags, mask=WRITTEN, vec_len=vec_len)
    assert found.result == (1 if vec_len else 0)
    assert bool(lab.scan(span, mask=WRITTEN).regions) == (WP not in flags)


@pytest.mark.clause("protect-reported")
@pytest.mark.parametrize("mask", [WRITTEN | C.PRESENT, WRITTEN | C.FILE, WRITTEN], ids=["present", "file", "written"])
def test_only_what_matches_is_protected(lab: Lab, mask: Category) -> None:
    lab.map((0, 4))
    lab.map((4, 8), Backing.MEMFD, shared=True)
    lab.register((0, 8))
    lab.write((2, 6))
    found = lab.scan((0, 8), WP, mask=mask)
    left = lab.scan((0, 8), mask=WRITTEN)
    pages = sum(region.end - region.start for region in found.regions + left.regions)
    assert found.regions and pages == 8


@pytest.mark.clause("protect-without-vec", "protect-reported")
@pytest.mark.parametrize("vec_len", [None, 0], ids=["null", "empty"])
@pytest.mark.parametrize("mask", [WRITTEN | C.PRESENT, WRITTEN | C.FILE], ids=["present", "file"])
def test_only_what_matches_is_protected_without_vec(lab: Lab, mask: Category, vec_len: int | None) -> None:
    lab.map((0, 4))
    lab.register((0, 4))
    lab.write((0, 2))
    lab.scan((0, 4), WP, mask=mask, vec_len=vec_len)
    written = (2, 4) if C.PRESENT in mask else (0, 4)
    assert lab.scan((0, 4), mask=WRITTEN, returned=WRITTEN).regions == (Region(*written, WRITTEN),)


@pytest.mark.clause("tracking", "written-since-protected")
@pytest.mark.parametrize("way", ["scan", "writeprotect"])
@writable
def test_tracking_over_many_rounds(lab: Lab, kind: Kind, way: str) -> None:
    span = lab.prepare(kind)
    pages = [span.start, span.start + 3, span.end - 1]
    for turn in range(6):
        if way == "scan":
            lab.scan(span, WP | CHECK, mask=WRITTEN)
        else:
            lab.protect(span)
        assert lab.scan(span, mask=WRITTEN).regions == ()
        lab.write(pages[turn % 3])
        found = lab.scan(span, mask=WRITTEN)
        assert any(region.start <= pages[turn % 3] < region.end for region in found.regions)


@pytest.mark.clause("protect-both-ways")
@every_kind
def test_a_scan_protects_as_uffdio_writeprotect_does(lab: Lab, kind: Kind) -> None:
    one = lab.prepare(kind, file="one")
    other = lab.prepare(kind, start=4 * lab.huge, file="other")
    lab.scan(one, WP, mask=WRITTEN)
    lab.protect(other)
    # A scan protects a huge page of shared memory in its place, the ioctl leaves it to be mapped page by page.
    told = WRITTEN | C.WPALLOWED if kind.name == "shmem-thp" else lab.all
    by_scan = [region.categories for region in lab.scan(one, returned=told).regions]
    by_ioctl = [region.categories for region in lab.scan(other, returned=told).regions]
    assert by_scan == by_ioctl
    lab.unprotect(one)
    assert [tuple(region[:2]) for region in lab.scan(one, mask=WRITTEN).regions] == [tuple(one)]


@pytest.mark.clause("check-wpasync")
@pytest.mark.parametrize("tracking", [Tracking.NONE, Tracking.SYNC], ids=["unregistered", "synchronous"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.backing is not Backing.FILE], ids=str)
def test_memory_without_asynchronous_protection_is_left_alone(lab: Lab, kind: Kind, tracking: Tracking) -> None:
    span = lab.prepare(kind, tracking=tracking)
    before = lab.read_pagemap(span)
    assert lab.scan(span, WP, mask=WRITTEN).result == 0
    assert lab.read_pagemap(span) == before


@pytest.mark.clause("check-wpasync", "abort")
@pytest.mark.parametrize("registered", [0, 2], ids=["nothing-before", "tracked-before"])
@pytest.mark.parametrize("flags", [CHECK, WP | CHECK], ids=["check", "wp-check"])
def test_an_aborted_scan_says_where_it_stopped(lab: Lab, flags: ScanFlag, registered: int) -> None:
    lab.map((0, 4))
    lab.write((0, 4))
    if registered:
        lab.register((0, registered))
    found = lab.scan((0, 4), flags, mask=WRITTEN)
    assert (found.result, found.walk_end) == (-errno.EPERM, registered)


@pytest.mark.clause("abort")
@pytest.mark.parametrize("vec_len", [None, ROOM], ids=["null", "vec"])
def test_mappings_before_the_one_that_aborts_a_scan_are_protected_and_reported(lab: Lab, vec_len: int | None) -> None:
    lab.map((0, 4))
    lab.map((4, 8), Backing.MEMFD, shared=True)
    lab.map((8, 12))
    lab.write((0, 12))
    lab.register((0, 8))
    found = lab.scan((0, 12), WP | CHECK, mask=WRITTEN, returned=WRITTEN, vec_len=vec_len)
    assert found.result == -errno.EPERM
    assert found.regions == ((Region(0, 8, WRITTEN),) if vec_len else ())
    assert lab.scan((0, 8), mask=WRITTEN).regions == ()
    lab.scan((0, 12))


@pytest.mark.clause("check-wpasync", "gaps")
@pytest.mark.parametrize("flags", [CHECK, WP | CHECK], ids=["check", "wp-check"])
def test_gaps_are_no_pages_without_protection(lab: Lab, flags: ScanFlag) -> None:
    lab.map((2, 4))
    lab.register((2, 4))
    assert lab.scan((0, 9), flags, mask=WRITTEN, returned=WRITTEN).regions == (Region(2, 4, WRITTEN),)


@pytest.mark.clause("check-wpasync")
def test_check_wpasync_accepts_a_range_in_which_all_is_tracked(lab: Lab) -> None:
    lab.map((0, 2))
    lab.map((2, 4), Backing.MEMFD, shared=True)
    lab.register((0, 4))
    assert lab.scan((0, 4), CHECK).result > 0


@pytest.mark.clause("wp-passes-over")
def test_wp_matching_passes_over_memory_that_is_not_registered(lab: Lab) -> None:
    lab.map((0, 6))
    lab.write((0, 6))
    lab.register((2, 4))
    assert lab.scan((0, 6), WP, mask=WRITTEN, returned=WRITTEN).regions == (Region(2, 4, WRITTEN),)


#: Memory that nobody has touched.
UNTOUCHED = {
    "anon": (Backing.ANON, False),
    "shmem": (Backing.ANON, True),
    "memfd-shared": (Backing.MEMFD, True),
    "memfd-private": (Backing.MEMFD, False),
    "file-shared": (Backing.FILE, True),
    "file-private": (Backing.FILE, False),
    "hugetlb-private": (Backing.HUGETLB, False),
    "hugetlb-memfd": (Backing.HUGETLB_MEMFD, True),
}


@pytest.mark.clause("unpopulated", "tracking", "protect-both-ways")
@pytest.mark.parametrize("tracking", [Tracking.ASYNC, Tracking.EXPLICIT], ids=["wp-async", "both-features"])
@pytest.mark.parametrize(
    ("name", "way"),
    # That a scan protects empty hugetlb memory is a test of its own, which may hang a kernel.
    [(name, "writeprotect") for name in UNTOUCHED] + [(name, "scan") for name in UNTOUCHED if "hugetlb" not in name],
)
def test_memory_that_nobody_has_touched_can_be_protected(lab: Lab, name: str, way: str, tracking: Tracking) -> None:
    backing, shared = UNTOUCHED[name]
    lab.require(*["hugetlb"] * backing.is_hugetlb, *["disk"] * (backing is Backing.FILE))
    span = lab.map((0, lab.huge if backing.is_hugetlb else 8), backing, shared)
    lab.register(span, tracking)
    if way == "scan":
        assert lab.scan(span, WP, mask=WRITTEN).regions[0][:2] == tuple(span)
    else:
        lab.protect(span)
    assert lab.scan(span, mask=WRITTEN).regions == ()
    lab.scan(span, CHECK)
    lab.write(5)
    assert lab.scan(span, mask=WRITTEN, returned=WRITTEN).regions[0].start == (0 if backing.is_hugetlb else 5)
    lab.scan(span)


def accessed_and_dirty(lab: Lab, span: Span) -> tuple[int, int]:
    """Bytes of a whole mapping that smaps counts so."""
    kernel = lab.target
    assert isinstance(kernel, Kernel)
    [vma] = procfs.read_smaps(kernel.address(span.start), kernel.address(span.end))
    return vma.bytes_of["Referenced"], vma.bytes_of["Private_Dirty"] + vma.bytes_of["Shared_Dirty"]


@pytest.mark.kernel_only("asks smaps")
@pytest.mark.clause("protect-leaves")
@pytest.mark.parametrize("vec_len", [None, ROOM], ids=["null", "vec"])
@pytest.mark.parametrize("name", ["anon", "shmem", "memfd-shared", "memfd-private-copied", "thp"])
def test_protecting_a_page_leaves_alone_that_it_was_accessed_and_is_dirty(
    lab: Lab, name: str, vec_len: int | None
) -> None:
    span = lab.prepare(BY_NAME[name])
    size = (span.end - span.start) * lab.host.sizes.page
    assert accessed_and_dirty(lab, span) == (size, size)
    lab.scan(span, WP, mask=WRITTEN, vec_len=vec_len)
    assert lab.scan(span, mask=WRITTEN).regions == ()
    assert accessed_and_dirty(lab, span) == (size, size)


# --- The examples of pagemap.rst, and what its users ask ---------------------------------------------------


@pytest.mark.clause("example-written")
@writable
def test_the_first_example_finds_written_pages_and_protects_them(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    lab.scan(span, WP | CHECK, mask=WRITTEN, returned=WRITTEN)
    lab.write(span.start + 2)
    found = lab.scan(span, WP | CHECK, mask=WRITTEN, returned=WRITTEN)
    assert [region.categories for region in found.regions] == [WRITTEN]
    assert lab.scan(span, WP | CHECK, mask=WRITTEN, returned=WRITTEN).result == 0


QUERIES = {
    "heading": {"mask": WRITTEN | C.FILE | C.SWAPPED, "inverted": C.SWAPPED, "anyof": C.PRESENT | C.HUGE},
    "as-printed": {"mask": WRITTEN | C.FILE, "inverted": C.SWAPPED, "anyof": C.PRESENT | C.HUGE},
    "criu": {"mask": C.PFNZERO | C.FILE, "inverted": C.PFNZERO | C.FILE, "anyof": C.PRESENT | C.SWAPPED},
    "wasmtime": {"mask": WRITTEN | C.PRESENT | C.PFNZERO | C.FILE, "inverted": C.PFNZERO | C.FILE},
    "wine": {"mask": WRITTEN},
}


@pytest.mark.clause("example-file", "selection")
@pytest.mark.parametrize(
    ("kind", "query", "tracking"),
    [
        pytest.param(kind, query, tracking, id=f"{kind}-{query}-{name}")
        for kind in KINDS
        for query in QUERIES
        for name, tracking in {"unregistered": Tracking.NONE, "registered": Tracking.ASYNC}.items()
        # Whether what isn't there is WRITTEN where nothing is registered, no document says.
        if kind.is_populated or tracking is Tracking.ASYNC or QUERIES[query] != {"mask": WRITTEN}
    ],
)
def test_queries_of_the_documents_and_of_users(lab: Lab, kind: Kind, query: str, tracking: Tracking) -> None:
    span = lab.prepare(kind, tracking=tracking)
    own = lab.scan(span, returned=lab.decided(span)).regions[0].categories
    masks = QUERIES[query]
    seen = own ^ masks.get("inverted", C(0))
    anyof = masks.get("anyof", C(0))
    wanted = seen & masks["mask"] == masks["mask"] and (not anyof or bool(seen & anyof))
    assert bool(lab.scan(span, **masks).result) == wanted  # type: ignore[arg-type]


@pytest.mark.clause("example-written", "resume")
@pytest.mark.parametrize(("flags", "vec_len"), [(WP, 256), (WP | CHECK, 128)], ids=["wine", "gvisor"])
def test_loops_on_walk_end_of_users(lab: Lab, flags: ScanFlag, vec_len: int) -> None:
    span = lab.map((0, 2 * lab.huge + 176))
    lab.register(span)
    lab.protect(span)
    for page in range(0, span.end, 2):
        lab.write(page)
    start, found = 0, 0
    while start < span.end:
        result = lab.scan((start, span.end), flags, mask=WRITTEN, returned=WRITTEN, vec_len=vec_len)
        found, start = found + result.result, int(result.walk_end or 0)
    assert found == span.end // 2


# --- Atomicity ---------------------------------------------------------------------------------------------

#: Scans that find something while threads write.
ROUNDS = 15
RACED = [kind for kind in KINDS if kind.is_accessible and kind.name != "thp-zero"]


def race(lab: Lab, kind: Kind, vec_len: int) -> object:
    span = lab.prepare(kind)
    kernel = lab.target
    assert isinstance(kernel, Kernel)
    lab.write(span)
    lab.protect(span)
    pages = span.end - span.start
    found = ffi.new(
        "struct race *",
        {
            "pagemap": kernel.pagemaps["self"],
            "userfaultfd": kernel.userfaultfd(Tracking.ASYNC),
            "memory": kernel.address(span.start),
            "pages": pages,
            "page_size": kernel.sizes.page,
            "written_pages": pages if kind.is_huge else pages // 2,
            "writers": 2,
            "rounds": ROUNDS,
            "limit_seconds": 60,
            "vec_len": vec_len,
        },
    )
    checked(lib.native_race(found), f"a race with {found.writers} threads")
    return found


@pytest.mark.kernel_only("threads race, no sequence of operations")
@pytest.mark.clause("atomic")
@pytest.mark.parametrize("room", ["one-region", "a-full-buffer"])
@pytest.mark.parametrize("kind", RACED, ids=str)
def test_no_write_is_lost_while_threads_write(lab: Lab, kind: Kind, room: str) -> None:
    found = race(lab, kind, vec_len=1 if room == "one-region" else lab.huge)
    assert found.error == 0  # type: ignore[attr-defined]
    assert found.scans_that_found >= ROUNDS and found.writes >= ROUNDS  # type: ignore[attr-defined]
    assert found.lost_pages == 0, f"a write to page {found.first_lost_page} was lost"  # type: ignore[attr-defined]
    assert found.reported_untouched == 0  # type: ignore[attr-defined]


@pytest.mark.kernel_only("writes by frames, as io_uring does to registered buffers")
@pytest.mark.needs("io_uring")
@pytest.mark.clause("pinned")
@pytest.mark.parametrize("name", ["anon", "shmem", "memfd-shared", "thp", "hugetlb-private", "hugetlb-shared"])
def test_a_write_through_a_pin_is_reported_by_no_scan(
    lab: Lab, name: str, record_property: Callable[[str, object], None]
) -> None:
    kernel = lab.target
    assert isinstance(kernel, Kernel)
    span = lab.prepare(BY_NAME[name])
    place, length = kernel.address(span.start + 1), lab.host.sizes.page
    ring = checked(lib.native_pin(place, length), "io_uring")
    file = os.memfd_create("pagemap-scan", os.MFD_CLOEXEC)
    try:
        os.pwrite(file, b"x" * length, 0)
        lab.scan(span, WP, mask=WRITTEN)
        assert lib.native_read_pinned(ring, file, place, length) == length
        assert ffi.buffer(ffi.cast("char *", place), length)[:] == b"x" * length
    finally:
        os.close(file)
        lib.native_unpin(ring)
    found = kernel.scan(Scan(span, mask=WRITTEN, returned=WRITTEN)).regions
    record_property("reported", bool(found))
    # A kernel that reports it would be right: of what is written, more may be reported of a huge page alone.
    assert all(region.start <= span.start + 1 < region.end for region in found)
    if not found:
        lab.scan(span, mask=WRITTEN)
        lab.write(span.start + 1)
        assert lab.scan(span, mask=WRITTEN).regions[0].start <= span.start + 1


@pytest.mark.clause("protect-reported")
@pytest.mark.parametrize("first", range(4))
@pytest.mark.in_c(call=lambda first: f"each_subset({first})")
def test_protection_of_each_subset_of_pages(lab: Lab, first: int) -> None:
    span = lab.map((0, 4))
    lab.register(span)
    for size in range(1, 5 - first):
        for chosen in itertools.combinations(range(4), size):
            lab.protect(span)
            for page in chosen:
                lab.write(page)
            lab.scan((first, 4), WP, mask=WRITTEN)
            left = [page for region in lab.scan(span, mask=WRITTEN).regions for page in range(*region[:2])]
            assert left == [page for page in chosen if page < first]


@pytest.mark.clause("vec-in-range")
@pytest.mark.parametrize("flags", [ScanFlag(0), WP], ids=["get", "wp"])
def test_a_vec_inside_the_scanned_range_is_written_memory(lab: Lab, flags: ScanFlag) -> None:
    span = lab.map((0, 6))
    lab.register(span)
    lab.write(span)
    lab.protect(span)
    lab.write(1)
    lab.scan(span, flags, mask=WRITTEN, raw={"vec": At(4)})
    assert [region[:2] for region in lab.scan((2, 6), mask=WRITTEN).regions] == [(4, 5)]


@pytest.mark.clause("hugetlb-hole")
@pytest.mark.may_hang
@pytest.mark.kernel_only("may hang a kernel with a known defect")
@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_protecting_empty_hugetlb_memory_comes_to_an_end(lab: Lab, shared: bool) -> None:
    lab.require("hugetlb")
    span = lab.map((0, lab.huge), Backing.HUGETLB, shared=shared)
    lab.register(span)
    assert lab.scan(span, WP, returned=C.WPALLOWED).regions == (Region(*span, C.WPALLOWED),)
    assert lab.scan(span, mask=WRITTEN).result == 0


@pytest.mark.clause("hugetlb-hole", "hugetlb-partial", "protect-reported")
@pytest.mark.may_hang
@pytest.mark.kernel_only("may hang a kernel with a known defect")
def test_protecting_a_part_of_an_empty_hugetlb_page_leaves_the_rest_alone(lab: Lab) -> None:
    lab.require("hugetlb")
    span = lab.map((0, lab.huge), Backing.HUGETLB, shared=True)
    lab.register(span)
    lab.scan((3, 8), WP, returned=C.WPALLOWED)
    assert lab.scan((8, lab.huge), mask=C.SWAPPED, returned=C.SWAPPED).regions == ()


@pytest.mark.clause("guard-marker")
def test_a_guard_region_can_be_protected(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon-guard"])
    lab.scan(span, WP, mask=WRITTEN)
    assert lab.scan(span, mask=WRITTEN).regions == ()


@pytest.mark.clause("guard-marker", "unregister")
@pytest.mark.parametrize("is_closed", [False, True], ids=["unregistered", "closed"])
@pytest.mark.parametrize("keeps", [False, True], ids=["moved", "pages-moved"])
def test_a_guard_region_that_is_moved_has_no_protection_left(lab: Lab, is_closed: bool, keeps: bool) -> None:
    span = lab.prepare(BY_NAME["anon-guard"])
    lab.scan(span, WP, mask=WRITTEN)
    if is_closed:
        lab.close_userfaultfd()
    else:
        lab.unregister(span)
    lab.move(span, to=32, keeps_mapping=keeps)
    lab.scan((32, 32 + span.end))
    lab.read_pagemap((32, 32 + span.end))


@pytest.mark.clause("userfaultfd-refusals")
@pytest.mark.parametrize("how", ["protect", "unprotect"])
def test_what_is_not_registered_is_not_protected(lab: Lab, how: str) -> None:
    lab.map((0, 4))
    lab.write((0, 4))
    lab.register((0, 2))
    assert getattr(lab, how)((2, 4)) == Refusal(errno.ENOENT)
    lab.scan((0, 4))


@pytest.mark.clause("userfaultfd-refusals")
def test_what_another_userfaultfd_has_is_not_registered(lab: Lab) -> None:
    lab.map((0, 4))
    lab.write((0, 4))
    lab.register((1, 3))
    assert lab.register((0, 4), Tracking.SYNC) == Refusal(errno.EBUSY)
    lab.scan((0, 4))
