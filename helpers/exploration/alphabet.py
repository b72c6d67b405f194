"""The alphabet: the operations that a short program is made of, in a setting."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from helpers.exploration.settings import Also, Setting
from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import Kind
from helpers.model import Facts
from helpers.operations import (
    Advice,
    Advise,
    At,
    Backing,
    ChildWrite,
    ClearRefs,
    CloseUserfaultfd,
    Faults,
    FileWrite,
    Fill,
    Filler,
    Fork,
    KernelWrite,
    KillChild,
    Map,
    Move,
    MoveIn,
    Operation,
    Prot,
    Protection,
    PunchHole,
    Read,
    Register,
    Resize,
    RwProtect,
    Scan,
    Span,
    Tracking,
    Truncate,
    Unmap,
    Unregister,
    Write,
    WriteProtect,
    Writer,
    len_of,
)

WRITTEN = Category.WRITTEN
WP = ScanFlag.WP_MATCHING


def letters(setting: Setting, facts: Facts, missing: Collection[str] = ()) -> tuple[Operation, ...]:
    """The letters of a setting: of one mapping what is done to it, of two what is done where they meet. None of them is
    another one by a different name, and none changes nothing: questions that change nothing end every program.

    ``missing``: keys of :func:`helpers.host.missing`; what needs them isn't among the letters.
    """
    huge = facts.pages_per_huge_page
    spans = setting.spans(huge)
    whole = Span(spans[0].start, spans[-1].end)
    found: list[Operation] = [*_scans(whole, facts)]
    if len(spans) == 1:
        part = setting.parts[0]
        elsewhere = -(-whole.end // huge) * huge if part.kind.is_huge else whole.end + 1
        found += _of_a_mapping(part.kind, whole, elsewhere, facts, missing)
        found += _of_all_memory(part.tracking, whole, facts)
        found += _also(setting.also, part.kind, whole, missing)
    else:
        for part, span in zip(setting.parts, spans, strict=True):
            border = span.end - 1 if span == spans[0] else span.start
            found += _at_a_border(part.kind, span, border)
        found += _scans_of_a_part(Span(spans[0].end - 1, spans[1].start + 1), facts)
        found += _scans_of_a_part(Span(spans[0].start, spans[1].start + 1), facts)
    return tuple(dict.fromkeys(found))


def _of_all_memory(tracking: Tracking, whole: Span, facts: Facts) -> Iterator[Operation]:
    """What is recorded, and for whom."""
    yield CloseUserfaultfd()
    if facts.soft_dirty:
        yield ClearRefs()
        yield Map(Span(whole.end, whole.end + 1), prot=Prot.READ)
    yield Register(whole, Tracking.ASYNC if tracking is Tracking.NONE else tracking)
    if tracking is Tracking.ACCESS:
        yield RwProtect(whole)
        yield RwProtect(Span(whole.start + 1, whole.end - 1))


def _also(also: Collection[Also], kind: Kind, whole: Span, missing: Collection[str]) -> Iterator[Operation]:
    """What some settings have besides."""
    page = whole if kind.backing.is_hugetlb else Span(whole.start + 1, whole.start + 2)
    if Also.FORK in also:
        yield Fork()
        yield ChildWrite(page)
        yield KillChild()
        yield Scan(whole, WP, returned=Category.PRESENT, process="child")
    if Also.WRITERS in also:
        for writer in Writer:
            if not {*writer.needs} & {*missing}:
                yield KernelWrite(page, writer)
    if Also.FILLERS in also:
        for filler in Filler:
            if not {*filler.needs} & {*missing}:
                yield Fill(page, filler)
        if "minor faults" not in missing:
            yield Register(whole, faults=Faults.MINOR)
        yield Fill(whole)
        if "UFFDIO_MOVE" not in missing and not kind.backing.is_hugetlb:
            last = Span(whole.end - 1, whole.end)
            yield MoveIn(page, source=last.start)
            yield MoveIn(last, source=page.start)
            yield MoveIn(Span(whole.start, whole.start + 2), source=whole.start + 2)
    if Also.ERRORS in also:
        for wrong in _WRONG:
            yield Scan(whole, WP, mask=WRITTEN, returned=WRITTEN, raw=(wrong,))
        yield Scan(whole, WP, mask=Category(1 << 63), returned=WRITTEN)
        yield Scan(whole, mask=WRITTEN, returned=WRITTEN, raw=(("vec", At(whole.start + 1)),))
        yield Register(whole, Tracking.SYNC)


#: Fields of an argument that the kernel refuses: a number of an ioctl, a size and a flag that there aren't, an argument
#: and a vec where nothing is mapped, one that isn't there, and one that isn't in the address space of a process; a
#: start that isn't a page's, or behind the end.
_WRONG: tuple[tuple[str, int | At], ...] = (
    ("request", 1),
    ("arg", At(1 << 10)),
    ("size", 8),
    ("start", At(0, 1)),
    ("start", 1 << 63),
    ("end", At(-1)),
    ("vec", 0),
    ("vec_len", 1 << 61),
    ("flags", 1 << 7 | 1),
    ("vec", At(1 << 10)),
    ("vec", (1 << 64) - 8),
)


def _at_a_border(kind: Kind, span: Span, page: int) -> Iterator[Operation]:
    """What makes two mappings, or their pages, the same or different."""
    yield Read(Span(page, page + 1))
    yield Write(Span(page, page + 1))
    some = span if kind.backing.is_hugetlb else Span(page, page + 1)
    yield WriteProtect(some)
    yield WriteProtect(span)
    yield Advise(some, Advice.DONTNEED)
    yield Unmap(some)
    yield Unregister(span)
    yield Register(span)
    yield Protection(some, Prot.READ)


def _of_a_mapping(
    kind: Kind, span: Span, elsewhere: int, facts: Facts, missing: Collection[str]
) -> Iterator[Operation]:
    """What is done to a page, to a part and to the whole of a mapping. ``elsewhere``: where there is room."""
    page, part = Span(span.start + 1, span.start + 2), Span(span.start + 1, span.start + 3)
    yield Read(page)
    yield Write(page)
    yield KernelWrite(page)
    yield from _scans_of_a_part(part, facts)
    # Of a hugetlb page, nothing else than these can be done to a part.
    page = span if kind.backing.is_hugetlb else page
    for some in dict.fromkeys([page, span]):
        yield WriteProtect(some)
        yield Advise(some, Advice.DONTNEED)
        yield Unregister(some)
    yield WriteProtect(page, protect=False)
    yield Protection(page, Prot.NONE)
    yield Protection(span, Prot.READ)
    yield Protection(span, Prot.WRITE)
    yield Unmap(page)
    yield Map(page, kind.backing, kind.shared, file="file" if kind.backing.has_file else "")
    yield Move(page, to=elsewhere)
    if not kind.backing.is_hugetlb:
        yield Resize(span, span.end - 1)
        yield Resize(span, span.end + 1)
    if kind.backing is Backing.ANON and not kind.shared:
        yield Move(span, to=elsewhere, keeps_mapping=True)
    if not kind.backing.is_hugetlb:
        yield Move(page, to=span.end - 1)
    if kind.backing.has_file:
        inside = Span(page.start - span.start, page.end - span.start)
        if not kind.backing.is_hugetlb:
            yield FileWrite("file", inside)
        yield PunchHole("file", inside)
        yield Truncate("file", Span(inside.start, len_of(span)))
    if not kind.backing.is_hugetlb:
        yield Advise(page, Advice.PAGEOUT)
        yield Advise(page, Advice.FREE)
        yield Advise(part, Advice.COLD)
    if not kind.backing.is_hugetlb and kind.guards_need not in missing:
        yield Advise(page, Advice.GUARD_INSTALL)
        yield Advise(span, Advice.GUARD_REMOVE)
    if kind.is_split:
        yield Scan(span, WP, mask=WRITTEN | Category.HUGE, returned=facts.known, max_pages=2)
        yield Advise(span, Advice.PAGEOUT)
        yield Advise(span, Advice.COLD)
        yield Advise(span, Advice.HUGEPAGE)
        yield Advise(span, Advice.COLLAPSE)


def _scans(whole: Span, facts: Facts) -> Iterator[Operation]:
    """Scans of all that there is, by shape. Those that change nothing end every program anyway."""
    fast = Scan(whole, WP, mask=WRITTEN, returned=WRITTEN)
    yield fast
    yield replace(fast, returned=facts.known)
    yield replace(fast, max_pages=1)
    yield replace(fast, vec_len=1)
    yield replace(fast, vec_len=None, mask=WRITTEN | Category.PRESENT, returned=Category(0))
    yield replace(fast, flags=WP | ScanFlag.CHECK_WPASYNC)
    yield replace(fast, mask=Category.PRESENT, returned=Category.PRESENT)
    yield replace(fast, inverted=WRITTEN)
    yield replace(fast, mask=Category(0), anyof=WRITTEN | Category.SWAPPED, max_pages=2)


def _scans_of_a_part(part: Span, facts: Facts) -> Iterator[Operation]:
    yield Scan(part, WP, mask=WRITTEN, returned=facts.known)
