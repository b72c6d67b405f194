"""Truncation: vec_len, max_pages, walk_end, and coming back for the rest."""

import random
from collections.abc import Callable, Iterator

import pytest

from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME, Kind
from helpers.lab import Lab
from helpers.operations import Backing, Region, Span

WRITTEN = Category.WRITTEN
WP = ScanFlag.WP_MATCHING
PAGES = 8
BLOCKS = 16


def runs(pattern: int, pages: int = PAGES) -> Iterator[Span]:
    """The written pages of a pattern, neighbours together."""
    start = None
    for page in range(pages + 1):
        bit = page < pages and pattern >> page & 1
        if bit and start is None:
            start = page
        elif not bit and start is not None:
            yield Span(start, page)
            start = None


def lay(lab: Lab, pattern: int) -> None:
    lab.protect((0, PAGES))
    for run in runs(pattern):
        lab.write(run)


def resumed(lab: Lab, span: Span, **limits: object) -> list[int]:
    """Every page reported by a scan and those that go on from its walk_end, in order."""
    pages: list[int] = []
    start = span.start
    while True:
        found = lab.scan((start, span.end), **limits)  # type: ignore[arg-type]
        pages += [page for region in found.regions for page in range(region.start, region.end)]
        if found.walk_end == span.end:
            return pages
        assert found.walk_end is not None and found.walk_end > start, "no progress"
        start = int(found.walk_end)


@pytest.mark.clause("vec-len", "max-pages", "walk-end", "resume")
@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.in_c(call=lambda block: f"small_scope({block}, 0)")
def test_small_scope_get(lab: Lab, block: int) -> None:
    span = lab.map((0, PAGES))
    lab.register(span)
    lab.protect(span)
    kept = len(lab.steps)
    for pattern in range(block, 1 << PAGES, BLOCKS):
        del lab.steps[kept:]
        lay(lab, pattern)
        laid = len(lab.steps)
        written = [page for page in range(PAGES) if pattern >> page & 1]
        for max_pages in range(10):
            for vec_len in range(1, 10):
                del lab.steps[laid:]
                limits = {"mask": WRITTEN, "returned": WRITTEN, "max_pages": max_pages, "vec_len": vec_len}
                assert resumed(lab, span, **limits) == written


@pytest.mark.clause("vec-len", "max-pages", "walk-end", "resume", "protect-reported")
@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.in_c(call=lambda block: f"small_scope({block}, WP)")
def test_small_scope_get_and_protect(lab: Lab, block: int) -> None:
    span = lab.map((0, PAGES))
    lab.register(span)
    lab.protect(span)
    kept = len(lab.steps)
    for pattern in range(block, 1 << PAGES, BLOCKS):
        written = [page for page in range(PAGES) if pattern >> page & 1]
        for max_pages in range(10):
            for vec_len in range(1, 10):
                del lab.steps[kept:]
                lay(lab, pattern)
                limits = {"mask": WRITTEN, "returned": WRITTEN, "max_pages": max_pages, "vec_len": vec_len}
                first = lab.scan(span, WP, **limits)  # type: ignore[arg-type]
                reported = [page for region in first.regions for page in range(region.start, region.end)]
                left = [page for region in lab.scan(span, mask=WRITTEN).regions for page in range(*region[:2])]
                assert sorted(reported + left) == written
                start = int(first.walk_end or 0)
                rest = resumed(lab, Span(start, PAGES), flags=WP, **limits) if start < PAGES else []
                assert reported + rest == written


#: Around as many pages as a huge page has, and as many entries as a page table.
BORDERS: dict[str, Callable[[int], int]] = {
    "one": lambda huge: 1,
    "three": lambda huge: 3,
    "half": lambda huge: huge // 2,
    "all-but-one": lambda huge: huge - 1,
    "all": lambda huge: huge,
    "one-more": lambda huge: huge + 1,
}


@pytest.mark.clause("vec-len", "max-pages", "walk-end", "resume", "protect-reported")
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("tables", [1, 3], ids=["in-one-table", "in-three-tables"])
@pytest.mark.in_c(call=lambda tables, seed: f"random_pattern({tables}, {seed})")
def test_random_patterns_on_many_pages(lab: Lab, tables: int, seed: int) -> None:
    pages = tables * lab.huge - lab.huge // 10
    dice = random.Random(seed * 10_000 + pages)
    span = lab.map((0, pages))
    lab.register(span)
    lab.protect(span)
    pattern = dice.getrandbits(pages) & (dice.getrandbits(pages) if seed % 2 else -1)
    written = [page for page in range(pages) if pattern >> page & 1]
    for run in runs(pattern, pages):
        lab.write(run)
    for vec_len in (1, 3, 64, lab.huge - 1, lab.huge, lab.huge + 1, 8 * lab.huge):
        limits = {
            "mask": WRITTEN,
            "returned": WRITTEN,
            "vec_len": vec_len,
            "max_pages": dice.choice([0, 7, lab.huge + 88]),
        }
        assert resumed(lab, span, **limits) == written
    assert resumed(lab, span, flags=WP, mask=WRITTEN, vec_len=dice.choice([1, 5, lab.huge + 88])) == written
    assert lab.scan(span, mask=WRITTEN).regions == ()


@pytest.mark.clause("walk-end", "gaps", "resume")
@pytest.mark.parametrize("vec_len", [1, 2, 3, 9])
@pytest.mark.parametrize("max_pages", [0, 1, 3, 5])
def test_several_mappings_with_gaps_between(lab: Lab, vec_len: int, max_pages: int) -> None:
    parts = [(0, 3), (5, 6), (6, 9), (20, 24)]
    for number, part in enumerate(parts):
        lab.map(
            part,
            Backing.MEMFD if number % 2 else Backing.ANON,
            shared=number % 2 == 1,
            file=f"f{number}" * (number % 2),
        )
        lab.register(part)
        lab.write(part)
    pages = [page for part in parts for page in range(*part)]
    assert resumed(lab, Span(0, 30), vec_len=vec_len, max_pages=max_pages) == pages
    assert resumed(lab, Span(0, 30), vec_len=vec_len, max_pages=max_pages, flags=WP, mask=WRITTEN) == pages
    assert lab.scan((0, 30), mask=WRITTEN).regions == ()


#: vec_len in regions for which the kernel has room at a time, of which there is one for each page of a huge page, and
#: some more; and max_pages in the same way, 0 for no limit.
LIMITS = {
    "as-many-regions": ((1, 0), (0, 0)),
    "one-region-more": ((1, 1), (0, 0)),
    "no-limit": ((4, 0), (0, 0)),
    "as-many-pages": ((4, 0), (1, 0)),
    "three-pages-more": ((4, 0), (1, 3)),
    "all-pages": ((4, 0), (1, 8)),
}


def many_regions(lab: Lab, rooms: int = 1) -> Span:
    """Memory of which every second page was written: a few more than the kernel has room for so many times."""
    span = lab.map((0, 2 * (rooms * lab.huge + 8)))
    lab.register(span)
    lab.protect(span)
    for page in range(0, span.end, 2):
        lab.write(page)
    return span


@pytest.mark.clause("walk-end", "resume", "vec-len", "max-pages")
@pytest.mark.parametrize("flags", [ScanFlag(0), WP], ids=["get", "wp"])
@pytest.mark.parametrize(("regions", "pages"), LIMITS.values(), ids=LIMITS)
def test_every_page_is_told_once_though_there_are_many_regions(
    lab: Lab, regions: tuple[int, int], pages: tuple[int, int], flags: ScanFlag
) -> None:
    span = many_regions(lab)
    vec_len, max_pages = (times * lab.huge + more for times, more in (regions, pages))
    found = resumed(lab, span, flags=flags, mask=WRITTEN, vec_len=vec_len, max_pages=max_pages)
    assert found == [*range(0, span.end, 2)]


@pytest.mark.clause("walk-end")
def test_walk_end_is_end_though_there_are_many_regions_more_than_once(lab: Lab) -> None:
    span = many_regions(lab, rooms=2)
    limits = {"returned": WRITTEN, "vec_len": 3 * lab.huge}
    assert lab.scan(span, mask=WRITTEN, **limits).walk_end == span.end  # type: ignore[arg-type]


@pytest.mark.clause("walk-end", "resume")
@pytest.mark.parametrize("flags", [ScanFlag(0), WP], ids=["get", "wp"])
def test_who_goes_on_behind_many_regions_finds_what_is_not_protected(lab: Lab, flags: ScanFlag) -> None:
    span = many_regions(lab)
    limits = {"mask": WRITTEN, "returned": WRITTEN, "vec_len": 2 * lab.huge}
    lab.scan(span, flags, **limits)  # type: ignore[arg-type]
    # A kernel that doesn't say that it has come to the end says that it has come to here.
    again = lab.scan((2 * lab.huge, span.end), flags, **limits)  # type: ignore[arg-type]
    assert again.result == (0 if flags else 8)


HUGE_KINDS = [
    BY_NAME[name]
    for name in ("thp", "thp-several", "thp-zero", "shmem-thp", "hugetlb-private", "hugetlb-shared", "hugetlb-memfd")
]
transparent = pytest.mark.parametrize("name", ["thp", "thp-several", "thp-zero", "shmem-thp"])
huge_kinds = pytest.mark.parametrize("kind", HUGE_KINDS, ids=str)


@pytest.mark.clause("max-pages", "walk-end", "resume", "huge-cut")
@huge_kinds
def test_huge_pages_are_cut_by_max_pages_and_resumed(lab: Lab, kind: Kind) -> None:
    span = lab.prepare(kind)
    for border in ("half", "all-but-one", "all", "one-more"):
        assert resumed(lab, span, max_pages=BORDERS[border](lab.huge)) == list(span.pages())


#: Parts of huge pages: where each begins and ends, by how many pages a huge page has.
PARTS: dict[str, Callable[[int], tuple[int, int]]] = {
    "inside": lambda huge: (1, 6),
    "over-the-border": lambda huge: (3, huge + 91),
    "at-the-start": lambda huge: (0, 7),
    "up-to-the-end": lambda huge: (huge - 12, huge),
    "at-the-border": lambda huge: (huge - 1, huge + 1),
}


def part_of(lab: Lab, span: Span, name: str) -> Span:
    start, end = PARTS[name](lab.huge)
    return Span(span.start + start, min(span.start + end, span.end))


@pytest.mark.clause("huge-cut")
@pytest.mark.parametrize("where", PARTS)
@huge_kinds
def test_a_range_begins_or_ends_inside_a_huge_page(lab: Lab, kind: Kind, where: str) -> None:
    span = lab.prepare(kind)
    part = part_of(lab, span, where)
    assert [region[:2] for region in lab.scan(part).regions] == [tuple(part)]


@pytest.mark.clause("protect-reported", "huge-split", "resume")
@pytest.mark.parametrize("border", BORDERS)
@transparent
def test_transparent_huge_pages_are_protected_in_parts(lab: Lab, name: str, border: str) -> None:
    span = lab.prepare(BY_NAME[name])
    start, max_pages = span.start, BORDERS[border](lab.huge)
    for _ in range(4):
        found = lab.scan((start, span.end), WP, mask=WRITTEN, returned=WRITTEN, max_pages=max_pages)
        lab.scan(span)
        start = int(found.walk_end or 0)
        if start == span.end:
            break
    assert lab.scan((span.start, start), mask=WRITTEN).regions == ()


@pytest.mark.clause("huge-split")
@pytest.mark.parametrize("where", PARTS)
@transparent
def test_protecting_a_part_of_a_transparent_huge_page_protects_that_part(lab: Lab, name: str, where: str) -> None:
    span = lab.prepare(BY_NAME[name])
    part = part_of(lab, span, where)
    found = lab.scan(part, WP, mask=WRITTEN, returned=WRITTEN)
    assert found.regions == (Region(*part, WRITTEN),)
    assert lab.scan(part, mask=WRITTEN).regions == ()
    lab.scan(span)


@pytest.mark.may_hang
@pytest.mark.clause("huge-split", "protect-without-vec")
@pytest.mark.parametrize("vec_len", [None, 0], ids=["null", "empty"])
@pytest.mark.parametrize("where", PARTS)
@transparent
def test_a_part_of_a_transparent_huge_page_is_protected_without_vec(
    lab: Lab, name: str, where: str, vec_len: int | None
) -> None:
    span = lab.prepare(BY_NAME[name])
    part = part_of(lab, span, where)
    assert lab.scan(part, WP, mask=WRITTEN, vec_len=vec_len) == (0, (), part.end)
    assert lab.scan(part, mask=WRITTEN).regions == ()
    lab.scan(span)


@pytest.mark.may_hang
@pytest.mark.clause("hugetlb-partial", "protect-without-vec", "walk-end")
@pytest.mark.parametrize("vec_len", [None, 0], ids=["null", "empty"])
@pytest.mark.parametrize("where", PARTS)
@pytest.mark.parametrize("name", ["hugetlb-private", "hugetlb-shared", "hugetlb-memfd"])
def test_the_walk_stops_before_a_part_of_a_hugetlb_page_without_vec(
    lab: Lab, name: str, where: str, vec_len: int | None
) -> None:
    span = lab.prepare(BY_NAME[name])
    part = part_of(lab, span, where)
    assert lab.scan(part, WP, mask=WRITTEN, vec_len=vec_len) == (0, (), part.start)
    assert [region[:2] for region in lab.scan(span, mask=WRITTEN).regions] == [tuple(span)]


@pytest.mark.clause("huge-split", "output", "protect-reported")
@pytest.mark.parametrize("mask", [WRITTEN, WRITTEN | Category.PRESENT], ids=["written", "present"])
@transparent
def test_a_part_of_a_transparent_huge_page_is_reported_as_what_it_is(lab: Lab, name: str, mask: Category) -> None:
    span = lab.prepare(BY_NAME[name])
    part = Span(span.start + 3, span.start + 8)
    before = lab.scan(part, mask=mask).regions[0].categories
    assert lab.scan(part, WP, mask=mask).regions == (Region(*part, before & ~Category.HUGE),)
    assert lab.scan(part, mask=WRITTEN).regions == ()


@pytest.mark.clause("walk-end", "huge-split")
def test_walk_end_is_end_after_a_split_that_leaves_nothing_to_match(lab: Lab) -> None:
    span = lab.prepare(BY_NAME["thp"])
    lab.scan(span, WP, mask=WRITTEN | Category.HUGE, max_pages=3)


@pytest.mark.clause("merging", "huge-split")
def test_neighbours_of_a_split_huge_page_are_one_region(lab: Lab) -> None:
    lab.require("thp")
    lab.map((lab.huge - 1, lab.huge))
    lab.register((lab.huge - 1, lab.huge))
    lab.write(lab.huge - 1)
    lab.prepare(BY_NAME["thp"], start=lab.huge)
    assert lab.scan((lab.huge - 1, lab.huge + 3), WP, mask=WRITTEN).result == 1


@pytest.mark.clause("walk-end", "hugetlb-partial", "resume")
@pytest.mark.parametrize("name", ["hugetlb-private", "hugetlb-shared", "hugetlb-memfd"])
def test_the_walk_stops_before_a_hugetlb_page_that_does_not_fit(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    found = lab.scan(span, WP, mask=WRITTEN, max_pages=lab.huge // 2)
    assert (found.result, found.walk_end) == (0, span.start)


@pytest.mark.clause("hugetlb-partial")
@pytest.mark.parametrize("name", ["hugetlb-private", "hugetlb-shared", "hugetlb-memfd"])
def test_a_range_that_ends_inside_a_hugetlb_page_is_protected_up_to_it(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    found = lab.scan((span.start, span.end - 3), WP, mask=WRITTEN)
    assert found.walk_end == span.start + lab.huge
    lab.scan(span)


@pytest.mark.clause("walk-end", "hugetlb-partial")
@pytest.mark.parametrize("name", ["hugetlb-private", "hugetlb-shared", "hugetlb-memfd"])
def test_a_range_that_begins_inside_a_hugetlb_page_is_not_protected_behind_it(lab: Lab, name: str) -> None:
    span = lab.prepare(BY_NAME[name])
    found = lab.scan((span.start + 3, span.end), WP, mask=WRITTEN)
    assert found.walk_end == span.start + 3
    lab.scan(span)
