"""Random programs: several mappings of different kinds, patterns of written pages, and operations of any size anywhere.

A program is drawn step by step beside its models, so that it does nothing of which no document decides what comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from helpers.deviations import Erratum, together
from helpers.exploration.breadth import Breadth
from helpers.exploration.questions import questions
from helpers.exploration.stretched import is_of_the_small_world_alone
from helpers.host import HUGETLB_PAGES_NEEDED
from helpers.interface.uapi import Category, ScanFlag, category
from helpers.kinds import Kind
from helpers.lab import harm_of
from helpers.model import Facts, Model, Unspecified
from helpers.operations import (
    DOES_NOT_RETURN,
    ROOM,
    Advice,
    Advise,
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
    Scan,
    Span,
    Tracking,
    Truncate,
    Unmap,
    Unregister,
    Write,
    WriteProtect,
    len_of,
)

Draw = Callable[[st.SearchStrategy[Any]], Any]

#: Most mappings, and most operations behind them.
MAPPINGS, OPERATIONS = 4, 12
#: Pages of a mapping that isn't made of huge pages, mostly.
FEW = 12


@dataclass(frozen=True)
class Program:
    """Operations, with what the contract answers and what is known to be answered; and what was left out of it."""

    operations: tuple[Operation, ...]
    expected: tuple[Any, ...]
    predicted: tuple[Any, ...]
    unspecified: int
    passed_over: int


@dataclass
class _Draft:
    """A program as it is drawn."""

    facts: Facts
    errata: Sequence[type[Erratum]]
    breadth: Breadth
    may_hang: bool
    missing: Collection[str]
    tracking: Tracking
    mappings: list[tuple[Span, Kind, str]] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    expected: list[Any] = field(default_factory=list)
    predicted: list[Any] = field(default_factory=list)
    unspecified: int = 0
    passed_over: int = 0

    def __post_init__(self) -> None:
        self.go_back()

    def go_back(self) -> None:
        """To where the last operation left the models: a copy before each operation would take longer."""
        self.contract = Model(self.facts)
        self.known = together(self.errata)(self.facts) if self.errata else self.contract
        for operation in self.operations:
            operation.run(self.contract)
            if self.known is not self.contract:
                operation.run(self.known)

    def add(self, operation: Operation) -> bool:
        """Goes on with an operation, if documents decide what comes of it."""
        if harm_of(operation, self.known, self.may_hang):
            self.passed_over += 1
            return False
        try:
            expected = operation.run(self.contract)
            predicted = expected if self.known is self.contract else operation.run(self.known)
        except Unspecified:
            self.unspecified += 1
            self.go_back()
            return False
        if DOES_NOT_RETURN in (expected, predicted):
            self.passed_over += 1
            self.go_back()
            return False
        if self.breadth.is_small and is_of_the_small_world_alone(operation, predicted):
            self.go_back()
            return False
        self.operations.append(operation)
        self.expected.append(expected)
        self.predicted.append(predicted)
        return True

    def end(self) -> Program:
        for question, expected, predicted in questions(self.contract, self.known):
            self.operations.append(question)
            self.expected.append(expected)
            self.predicted.append(predicted)
        return Program(
            tuple(self.operations),
            tuple(self.expected),
            tuple(self.predicted),
            self.unspecified,
            self.passed_over,
        )


def programs(
    facts: Facts,
    errata: Sequence[type[Erratum]],
    missing: Collection[str],
    breadth: Breadth,
    may_hang: bool = False,
) -> st.SearchStrategy[Program]:
    """Programs for a kernel that has these errata, on a machine that lacks what is :func:`helpers.host.missing`."""
    kinds = [kind for kind in breadth.kinds if not {*kind.needs} & {*missing}]

    trackings = [Tracking.ASYNC] + [Tracking.FOLLOWING] * ("fork events" not in missing)

    @st.composite
    def drawn(draw: Draw) -> Program:
        tracking = draw(st.sampled_from(trackings))
        draft = _Draft(facts, errata, breadth, may_hang, missing, tracking)
        _map(draw, draft, kinds)
        for _ in _some(draw, OPERATIONS):
            draft.add(draw(st.sampled_from(_STEPS))(draw, draft))
        return draft.end()

    return drawn()


def _some(draw: Draw, most: int) -> Iterator[int]:
    """Numbers from 0 on. Whether another one comes is drawn each time, so that any of them can be shrunk away."""
    yield 0
    for number in range(1, most):
        if not draw(st.integers(0, most)):
            return
        yield number


def _map(draw: Draw, draft: _Draft, kinds: Sequence[Kind]) -> None:
    """Mappings side by side or with gaps between, registered one by one or all together, some of them not."""
    place, huge, room = 0, draft.facts.pages_per_huge_page, HUGETLB_PAGES_NEEDED
    for number in _some(draw, MAPPINGS):
        kind = draw(st.sampled_from([kind for kind in kinds if _hugetlb_pages(kind) <= room]))
        room -= _hugetlb_pages(kind)
        place += draw(st.sampled_from([0, 0, 1, 3]))
        if kind.is_huge or (draft.breadth.is_small and kind.backing.has_file):
            # In the small world, a page of a file is where it is in a mapping that begins with a huge page's stretch.
            place = -(-place // huge) * huge
        pages = kind.units * huge if kind.is_huge else draw(_lengths(draft.breadth.many(huge)))
        span = Span(place, place + pages)
        file = f"file{number}"
        for operation in kind.operations(span, file):
            draft.add(operation)
        draft.mappings.append((span, kind, file if kind.backing.has_file else ""))
        place = span.end
    for span, kind, _ in draft.mappings:
        if draw(st.integers(0, 5)):
            may_wait = [Faults.MISSING, *[Faults.MINOR] * (kind.shared and "minor faults" not in draft.missing)]
            draft.add(Register(span, draft.tracking, draw(st.sampled_from([*[Faults(0)] * 4, *may_wait]))))


def _hugetlb_pages(kind: Kind) -> int:
    """How many its memory takes; as many again where a child has copies. Where there are too few, a child loses its
    own: hugetlb_wp() in mm/hugetlb.c."""
    return kind.units * (1 if kind.shared else 2) if kind.backing.is_hugetlb else 0


def _lengths(many: int) -> st.SearchStrategy[int]:
    return st.integers(0, 15).flatmap(lambda dice: st.integers(1, FEW if dice else many))


def _place(draw: Draw, draft: _Draft) -> int:
    """A page: at a border of a mapping, beside it, or anywhere."""
    span = draw(st.sampled_from([span for span, _, _ in draft.mappings]))
    border = draw(st.sampled_from([*span]))
    near = max(0, border + draw(st.integers(-2, 2)))
    return int(draw(st.sampled_from([border, near, draw(st.integers(span.start, span.end))])))


def _span(draw: Draw, draft: _Draft) -> Span:
    """Any pages, across mappings and gaps as well."""
    one, other = _place(draw, draft), _place(draw, draft)
    return Span(min(one, other), max(one, other)) if one != other else Span(one, one + 1)


def _of_a_mapping(draw: Draw, draft: _Draft) -> tuple[Span, Kind, str]:
    """A part of a mapping, or all of it; of hugetlb memory, whole huge pages."""
    span, kind, file = draw(st.sampled_from(draft.mappings))
    start = draw(st.integers(span.start, span.end - 1))
    end = draw(st.integers(start + 1, span.end))
    if kind.backing.is_hugetlb:
        huge = draft.facts.pages_per_huge_page
        start, end = start // huge * huge, -(-end // huge) * huge
    part = Span(start, end)
    return (part if draw(st.booleans()) else span), kind, file


# --- Steps ------------------------------------------------------------------------------------------------


def _touch(draw: Draw, draft: _Draft) -> Operation:
    return draw(st.sampled_from([Read, Write, Write, KernelWrite]))(_span(draw, draft))  # type: ignore[no-any-return]


def _write_a_pattern(draw: Draw, draft: _Draft) -> Operation:
    """Every second page, say: as many regions as there is room for."""
    span, step = _span(draw, draft), draw(st.integers(2, 4))
    for page in range(span.start, span.end - 1, step):
        if not draft.add(Write(Span(page, page + 1))):
            break
    return Write(Span(span.end - 1, span.end))


def _scan(draw: Draw, draft: _Draft) -> Operation:
    """Masks of all kinds; those that trackers use come often."""
    bits = st.integers(0, draft.facts.known.value).map(lambda value: value & draft.facts.known.value)
    some = st.one_of(
        st.sampled_from([0, Category.WRITTEN.value, Category.PRESENT.value, draft.facts.known.value]), bits
    )
    fast = draw(st.booleans())
    huge = draft.facts.pages_per_huge_page
    limit = st.one_of(st.sampled_from(draft.breadth.limits(huge)), st.integers(1, draft.breadth.any_limit(huge)))
    return Scan(
        _span(draw, draft),
        draw(st.sampled_from([ScanFlag(0), ScanFlag.WP_MATCHING, *ScanFlag, *_BOTH])),
        Category.WRITTEN if fast else category(draw(some)),
        Category(0) if fast else category(draw(some)),
        Category(0) if fast else category(draw(some)),
        Category.WRITTEN if fast else category(draw(some)),
        max_pages=draw(st.one_of(st.just(0), limit)),
        vec_len=draw(st.one_of(st.just(ROOM), st.none(), limit)),
        process=draw(st.sampled_from(["self", "self", "child"])) if draft.contract.has_child else "self",
    )


_BOTH = [ScanFlag.WP_MATCHING | ScanFlag.CHECK_WPASYNC]


def _track(draw: Draw, draft: _Draft) -> Operation:
    span, _, _ = _of_a_mapping(draw, draft)
    how = draw(st.sampled_from([Register, Unregister, WriteProtect, WriteProtect, None]))
    if how is Register:
        return Register(span, draft.tracking)
    return WriteProtect(span, protect=False) if how is None else how(span)


def _fill(draw: Draw, draft: _Draft) -> Operation:
    """Of what has content, nothing is filled: mostly, some pages are emptied before."""
    span, _, _ = _of_a_mapping(draw, draft)
    if draw(st.booleans()):
        draft.add(Advise(span, Advice.DONTNEED))
    if "UFFDIO_MOVE" not in draft.missing and draw(st.booleans()):
        other, _, _ = _of_a_mapping(draw, draft)
        length = min(len_of(span), len_of(other))
        return MoveIn(Span(span.start, span.start + length), other.start)
    return Fill(span, draw(st.sampled_from([filler for filler in Filler if not {*filler.needs} & {*draft.missing}])))


def _advise(draw: Draw, draft: _Draft) -> Operation:
    span, kind, _ = _of_a_mapping(draw, draft)
    unasked = {Advice.HWPOISON, Advice.MERGEABLE}
    if kind.guards_need in draft.missing:
        unasked |= {Advice.GUARD_INSTALL, Advice.GUARD_REMOVE}
    if kind.backing.is_hugetlb:
        unasked |= {Advice.HUGEPAGE, Advice.NOHUGEPAGE, Advice.COLLAPSE}
    return Advise(span, draw(st.sampled_from([advice for advice in Advice if advice not in unasked])))


def _map_anew(draw: Draw, draft: _Draft) -> Operation:
    """A mapping less, one that is elsewhere, or that may be accessed otherwise; or a new one, over others as well."""
    span, kind, _ = _of_a_mapping(draw, draft)
    match draw(st.integers(0, 5)):
        case 0:
            return Unmap(span)
        case 1:
            keeps = kind.backing is Backing.ANON and not kind.shared and draw(st.booleans())
            if kind.backing.is_hugetlb or draw(st.booleans()):
                huge = draft.facts.pages_per_huge_page
                behind = max([*draft.contract.memory, *(span.end for span, _, _ in draft.mappings)])
                return Move(span, -(-(behind + 1) // huge) * huge, keeps)
            return Move(span, _place(draw, draft), keeps)
        case 2:
            return Resize(span, max(span.start + 1, draw(st.integers(span.end - 3, span.end + 3))))
        case 3 if not kind.backing.is_hugetlb:
            return Map(draw(st.sampled_from([span, Span(span.end, span.end + 1)])))
        case _:
            return Protection(span, draw(st.sampled_from([*Prot, Prot.WRITE])))


def _change_the_file(draw: Draw, draft: _Draft) -> Operation:
    span, kind, file = _of_a_mapping(draw, draft)
    whole = next(one for one, _, _ in draft.mappings if one.start <= span.start < one.end)
    inside = Span(span.start - whole.start, span.end - whole.start)
    if not file:
        return Write(span)
    if kind.backing.is_hugetlb or draw(st.booleans()):
        return PunchHole(file, inside)
    return draw(st.sampled_from([FileWrite(file, inside), Truncate(file, Span(inside.start, len_of(whole)))]))  # type: ignore[no-any-return]


def _have_a_child(draw: Draw, draft: _Draft) -> Operation:
    if draft.contract.child is None:
        return Fork()
    span, _, _ = _of_a_mapping(draw, draft)
    return draw(st.sampled_from([KillChild(), ChildWrite(span), ChildWrite(span)]))  # type: ignore[no-any-return]


def _forget(draw: Draw, draft: _Draft) -> Operation:
    return ClearRefs() if draft.facts.soft_dirty and draw(st.booleans()) else CloseUserfaultfd()


_STEPS = [
    *[_touch] * 4,
    *[_write_a_pattern] * 2,
    *[_scan] * 8,
    *[_track] * 4,
    *[_advise] * 4,
    *[_fill] * 2,
    *[_map_anew] * 2,
    _change_the_file,
    *[_have_a_child] * 2,
    _forget,
]
