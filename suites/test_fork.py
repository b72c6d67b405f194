"""fork(2): the parent goes on being tracked; the child isn't, unless UFFD_FEATURE_EVENT_FORK was asked for."""

import errno

import pytest

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME, KINDS, Kind
from helpers.lab import Lab
from helpers.operations import Advice, Region, Span, Tracking

C = Category
WP = ScanFlag.WP_MATCHING
CHECK = ScanFlag.CHECK_WPASYNC
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


def tracked(lab: Lab, kind: Kind, way: str) -> Span:
    """Memory of a kind in a state of tracking."""
    span = lab.prepare(kind)
    if way != "written":
        lab.scan(span, WP, mask=C.WRITTEN)
    if way == "partly-written" and kind.is_accessible:
        lab.write(span.start + 2)
    return span


def forked(lab: Lab, kind: Kind, way: str) -> Span:
    """The same, of which a child has a copy."""
    span = tracked(lab, kind, way)
    lab.fork()
    return span


@pytest.mark.clause("fork")
@pytest.mark.parametrize("way", ["written", "partly-written"])
@every_kind
def test_memory_of_a_child_is_not_tracked(lab: Lab, kind: Kind, way: str) -> None:
    span = forked(lab, kind, way)
    assert lab.scan(span, mask=C.WPALLOWED, process="child").regions == ()
    lab.scan(span, returned=lab.decided(span, "child"), process="child")
    assert lab.scan(span, WP, mask=C.WRITTEN, process="child") == (0, (), span.end)


@pytest.mark.clause("fork", "check-wpasync", "abort")
@pytest.mark.parametrize(
    "name", ["anon", "anon-unpopulated", "shmem", "memfd-private-copied", "thp", "hugetlb-private"]
)
def test_check_wpasync_finds_fault_with_memory_of_a_child(lab: Lab, name: str) -> None:
    span = forked(lab, BY_NAME[name], "protected")
    assert lab.scan(span, CHECK, process="child") == (-errno.EPERM, (), span.start)


@pytest.mark.clause("fork", "written-since-protected")
@pytest.mark.parametrize("way", ["protected", "partly-written"])
@every_kind
def test_a_child_that_comes_and_goes_changes_nothing_of_its_parent(lab: Lab, kind: Kind, way: str) -> None:
    span = tracked(lab, kind, way)
    before = lab.scan(span).regions
    lab.fork()
    assert lab.scan(span).regions == before
    lab.kill_child()
    assert lab.scan(span).regions == before


@pytest.mark.clause("fork", "written-since-protected", "huge-may-report-more")
@pytest.mark.parametrize("alive", [True, False], ids=["child-lives", "child-has-gone"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.is_accessible], ids=str)
def test_a_write_of_the_parent_is_recorded_whether_or_not_its_child_has_the_page(
    lab: Lab, kind: Kind, alive: bool
) -> None:
    span = forked(lab, kind, "protected")
    if not alive:
        lab.kill_child()
    lab.read(span)
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.write(span.start + 1)
    found = lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions
    assert any(region.start <= span.start + 1 < region.end for region in found)
    lab.scan(span, returned=lab.decided(span))
    lab.scan(span, WP, mask=C.WRITTEN, returned=lab.decided(span))
    assert lab.scan(span, mask=C.WRITTEN).regions == ()


@pytest.mark.clause("fork", "written-from-registration")
@pytest.mark.parametrize("name", ["thp", "thp-several", "shmem-thp", "hugetlb-private", "hugetlb-shared"])
def test_a_huge_page_that_a_child_has_too_is_written_as_a_whole_until_it_is_protected(lab: Lab, name: str) -> None:
    span = forked(lab, BY_NAME[name], "written")
    lab.write(span.start + 3)
    # Whether the parent's is still a huge page, no document says.
    assert [region[:2] for region in lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions] == [tuple(span)]
    lab.scan(span, returned=lab.decided(span))
    lab.protect(span)
    lab.write(span.start + 5)
    lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN)


# --- A child that is followed ------------------------------------------------------------------------------


def followed(lab: Lab, kind: Kind, way: str) -> Span:
    """Memory of a kind in a state of tracking, of which a child has a copy that is registered as well."""
    lab.require("fork events")
    span = lab.prepare(kind, tracking=Tracking.FOLLOWING)
    if way != "written":
        lab.scan(span, WP, mask=C.WRITTEN)
    if way == "partly-written" and kind.is_accessible:
        lab.write(span.start + 2)
    lab.fork()
    return span


@pytest.mark.clause("fork-followed", "written-from-registration", "written-since-protected")
@pytest.mark.parametrize("way", ["written", "protected", "partly-written"])
@every_kind
def test_memory_of_a_child_that_is_followed_is_tracked_as_its_parents(lab: Lab, kind: Kind, way: str) -> None:
    span = followed(lab, kind, way)
    found = [lab.scan(span, returned=C.WPALLOWED | C.WRITTEN, process=process) for process in ("self", "child")]
    assert found[0] == found[1]
    lab.scan(span, CHECK, returned=lab.decided(span, "child"), process="child")
    lab.scan(span, returned=lab.decided(span))


@pytest.mark.clause("fork-followed", "protect-reported")
@pytest.mark.parametrize("way", ["written", "partly-written"])
@every_kind
def test_what_is_protected_in_a_child_is_so_in_the_child_alone(lab: Lab, kind: Kind, way: str) -> None:
    span = followed(lab, kind, way)
    before = lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN)
    assert lab.scan(span, WP, mask=C.WRITTEN, returned=C.WRITTEN, process="child") == before
    assert lab.scan(span, mask=C.WRITTEN, process="child").regions == ()
    assert lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN) == before
    lab.scan(span, returned=lab.decided(span, "child"), process="child")


@pytest.mark.clause("fork-followed", "written-since-protected")
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.is_accessible and not kind.is_huge], ids=str)
def test_a_child_that_works_is_recorded_while_its_parent_scans_it(lab: Lab, kind: Kind) -> None:
    span = followed(lab, kind, "protected")
    for page in (1, 0, 3):
        lab.child_write(page)
        found = lab.scan(span, WP, mask=C.WRITTEN, returned=C.WRITTEN, process="child").regions
        assert found == (Region(page, page + 1, C.WRITTEN),)
    lab.write(2)
    assert lab.scan(span, mask=C.WRITTEN, process="child").regions == ()
    assert lab.scan(span, mask=C.WRITTEN, returned=C.WRITTEN).regions == (Region(2, 3, C.WRITTEN),)


@pytest.mark.clause("fork-followed", "protect-without-vec")
@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
def test_what_is_protected_in_a_child_without_vec_goes_by_its_own_memory(lab: Lab, shared: bool) -> None:
    """Its parent has touched pages since then, where the child has none."""
    lab.require("fork events")
    span = lab.map((0, 2 * lab.huge + 1), shared=shared)
    lab.advise(span, Advice.NOHUGEPAGE)
    lab.register(span, Tracking.FOLLOWING)
    lab.write(0)
    lab.fork()
    lab.write((lab.huge, span.end))
    matches_nothing = C.WRITTEN | C.PRESENT
    lab.scan(span, WP, mask=matches_nothing, inverted=matches_nothing, vec_len=None, process="child")
    lab.scan(span, returned=lab.decided(span, "child"), process="child")
    lab.scan(span, mask=C.WRITTEN)


@pytest.mark.clause("fork")
@pytest.mark.parametrize("name", ["anon", "shmem", "memfd-private"])
def test_what_a_child_that_is_not_followed_writes_is_its_own(lab: Lab, name: str) -> None:
    span = forked(lab, BY_NAME[name], "protected")
    lab.child_write((1, 3))
    lab.scan(span, returned=lab.decided(span, "child"), process="child")
    assert lab.scan(span, mask=C.WRITTEN).regions == ()
    lab.scan(span, returned=lab.decided(span))
