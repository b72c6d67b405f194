"""ACCESSED: read-write protection by userfaultfd, which came with Linux 7.3."""

import errno

import pytest

from helpers.interface.native import MACHINE, ffi, lib
from helpers.interface.uapi import CONSTANTS, Category, PagemapBit, ScanFlag
from helpers.kernel import Kernel
from helpers.kinds import BY_NAME, KINDS, Kind
from helpers.lab import Lab
from helpers.operations import Advice, Backing, Scan, Span, Tracking

pytestmark = pytest.mark.needs("rwp")
C = Category
ACCESSED = C.ACCESSED
#: userfaultfd.rst: works on anonymous, shmem, and hugetlbfs memory. What can't be accessed at all is refused; a huge
#: page of shared memory is unmapped by protecting it, of which the documents don't speak.
SORTS = [
    kind for kind in KINDS if kind.backing is not Backing.FILE and kind.name not in ("anon-prot-none", "shmem-thp")
]
every_kind = pytest.mark.parametrize("kind", SORTS, ids=str)


def has_content(kind: Kind) -> bool:
    """Whether there is something in its memory: a guard region has an entry, and nothing behind it."""
    return kind.is_populated and kind.name != "anon-guard"


def accessed(lab: Lab, span: Span) -> list[int]:
    """The pages that the scan of userfaultfd.rst, "Working-set detection", reports."""
    found = lab.scan(span, mask=ACCESSED, returned=ACCESSED).regions
    return [page for region in found for page in range(region.start, region.end)]


@pytest.mark.clause("accessed", "accessed-apart")
@every_kind
def test_memory_that_was_never_protected_is_accessed_where_it_is_populated(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind, tracking=Tracking.ACCESS)
    assert accessed(lab, span) == ([*span.pages()] if has_content(kind) else [])
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.scan(span)


@pytest.mark.clause("accessed")
@pytest.mark.parametrize(
    ("kind", "access"),
    # Whether a write to the huge zero page makes a huge page or a small one is open.
    [(kind, how) for kind in SORTS if kind.is_accessible for how in ("read", "write")[: 1 + (kind.name != "thp-zero")]],
    ids=str,
)
def test_protected_memory_is_accessed_once_it_is_read_or_written(lab: Lab, kind: Kind, access: str) -> None:
    span = lab.prepare(kind, tracking=Tracking.ACCESS)
    lab.rw_protect(span)
    assert accessed(lab, span) == []
    lab.scan(span)
    if access == "read":
        lab.read(span.start + 1)
    else:
        lab.write(span.start + 1)
    found = accessed(lab, span)
    assert span.start + 1 in found
    if not kind.is_huge:
        assert found == [span.start + 1]
    lab.scan(span)
    lab.scan(span, mask=ACCESSED, inverted=ACCESSED)


@pytest.mark.clause("accessed", "second-witness")
@every_kind
def test_bit_57_of_pagemap_says_what_is_protected(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind, tracking=Tracking.ACCESS)
    lab.rw_protect(span)
    if kind.is_accessible:
        lab.read(span.start + 2)
    entries = lab.read_pagemap(span)
    protected = [page for page in span.pages() if PagemapBit.UFFD_WP in entries[page - span.start]]
    assert not set(protected) & set(accessed(lab, span))
    if has_content(kind):
        assert sorted(protected + accessed(lab, span)) == [*span.pages()]


@pytest.mark.clause("accessed")
def test_a_page_populated_after_protecting_is_accessed(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon-unpopulated"], tracking=Tracking.ACCESS)
    lab.rw_protect(span)
    lab.read(2)
    lab.write(4)
    assert accessed(lab, span) == [2, 4]
    lab.scan(span)


@pytest.mark.clause("accessed")
def test_the_working_set_over_many_rounds(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"], tracking=Tracking.ACCESS)
    for turn in range(6):
        lab.rw_protect(span)
        lab.kernel_write(turn)
        lab.read(7 - turn // 2)
        assert accessed(lab, span) == sorted({turn, 7 - turn // 2})


@pytest.mark.clause("accessed-kept")
def test_read_write_protection_survives_swap(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"], tracking=Tracking.ACCESS)
    lab.require("swap")
    lab.rw_protect(span)
    lab.write(5)
    lab.advise(span, Advice.PAGEOUT)
    assert accessed(lab, span) == [5]
    lab.scan(span)
    lab.read(2)
    assert accessed(lab, span) == [2, 5]


@pytest.mark.clause("accessed-kept")
@pytest.mark.parametrize("name", ["anon", "shmem", "memfd-shared", "thp", "hugetlb-shared"])
def test_what_drops_an_entry_drops_its_protection(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name], tracking=Tracking.ACCESS)
    lab.rw_protect(span)
    lab.advise(span, Advice.DONTNEED)
    assert accessed(lab, span) == []
    lab.scan(span)
    lab.read(span.start)
    assert span.start in accessed(lab, span)


@pytest.mark.clause("accessed-apart", "wp-passes-over")
@pytest.mark.parametrize("protected", [False, True], ids=["accessed", "protected"])
def test_such_memory_is_not_write_protected_by_a_scan(lab: Lab, protected: bool) -> None:
    span = lab.prepare(BY_NAME["anon"], tracking=Tracking.ACCESS)
    if protected:
        lab.rw_protect(span)
    assert lab.scan(span, ScanFlag.WP_MATCHING).result == 0
    assert accessed(lab, span) == ([] if protected else [*span.pages()])


@pytest.mark.kernel_only("doesn't look at walk_end, which is a test of its own")
@pytest.mark.clause("accessed-apart", "check-wpasync")
def test_such_memory_is_not_registered_for_asynchronous_write_protection(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"], tracking=Tracking.ACCESS)
    assert lab.target.scan(Scan(span, ScanFlag.CHECK_WPASYNC)).result == -errno.EPERM


@pytest.mark.clause("accessed")
def test_nothing_is_accessed_after_the_userfaultfd_is_closed(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["anon"], tracking=Tracking.ACCESS)
    lab.rw_protect(span)
    lab.close_userfaultfd()
    lab.read(1)
    assert accessed(lab, span) == []
    lab.scan(span)


@pytest.mark.kernel_only("is about registering, which isn't the scan's")
@pytest.mark.clause("accessed-apart")
def test_both_ways_of_protection_exclude_each_other(lab: Lab) -> None:
    kernel = lab.target
    assert isinstance(kernel, Kernel)
    span = lab.map((0, 4))
    mode = CONSTANTS["UFFDIO_REGISTER_MODE_WP"] | CONSTANTS["UFFDIO_REGISTER_MODE_RWP"]
    arg = ffi.new("struct uffdio_register *", {"range": kernel.range_of(span), "mode": mode})
    refused = lib.native_ioctl(kernel.userfaultfd(Tracking.ACCESS), MACHINE["UFFDIO_REGISTER"], arg)
    assert refused == -errno.EINVAL
