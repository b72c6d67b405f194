"""A test that ran, and how it reads in C."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from helpers.c_source.known import KnownAnswers
from helpers.c_source.loops import as_loops
from helpers.c_source.printer import Printer, goes_on
from helpers.c_source.term import Term, expression
from helpers.c_source.values import categories
from helpers.interface.uapi import Category
from helpers.kinds import Kind
from helpers.model import Facts, Model, Unspecified
from helpers.operations import Map, ReadPagemap, ReadUsage, Register, Tracking
from helpers.steps import STATE, Prepared, Step


class Kernels(Enum):
    """What a kernel says WRITTEN of: all memory, or registered memory only, as those that know ACCESSED."""

    OLD_WRITTEN = False
    NEW_WRITTEN = True


@dataclass(frozen=True)
class Record:
    """A test that ran: its function, its parameters, and what it did.

    ``known``: for each step, what kernels with errata answer. ``loop`` is a call in C for a test that is told
    elsewhere, or is a loop over more cases than could be told one by one. ``facts`` are those of the kernel that the
    expectations are about; ``only_on``: which kernels these are, where others promise something else.
    """

    function: str
    parameters: str = ""
    steps: tuple[Step, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    known: tuple[KnownAnswers, ...] = ()
    loop: Term | None = None
    facts: Facts = Facts()
    only_on: Kernels | None = None

    @property
    def kind(self) -> Kind | None:
        """The kind of memory that the test is about."""
        return self.prepared[0].kind if self.prepared else None

    @property
    def pattern(self) -> str:
        """The parameters, with an asterisk for the kind."""
        told = self.parameters.removeprefix("[").removesuffix("]")
        return told.replace(self.kind.name, "*", 1) if self.kind else told

    def forms(self, printer: Printer) -> tuple[tuple[Term, ...], ...]:
        """The statements, with what is the kind's own told as such, and as it is."""
        if any(part.kind != self.kind for part in self.prepared):
            raise ValueError(f"{self.function} prepares memory of two kinds: a row of the suite in C is about one")
        printer.tells_soft_dirty = printer.follows = False
        statements = tuple(as_loops(tuple(self._statements(printer)), "int64_t ", "page"))
        if not self.prepared:
            return (statements,)
        own = _Own(self.prepared[0])
        by_pages = tuple(statement.changed(own.page) for statement in statements)
        return tuple(statement.changed(own.categories) for statement in by_pages), by_pages

    def _statements(self, printer: Printer) -> Iterator[Term]:
        place = 0
        for part in self.prepared:
            yield from self._told(place, part.steps.start, printer)
            yield _preparation(part, self.steps, printer)
            place = part.steps.stop
        yield from self._told(place, len(self.steps), printer)

    def _told(self, place: int, stop: int, printer: Printer) -> Iterator[Term]:
        known = self.known or ((),) * len(self.steps)
        while place < stop:
            end = place + 1
            while end < stop and goes_on(self.steps[end - 1], self.steps[end]) and not any(known[place : end + 1]):
                end += 1
            if end == place + 1:
                yield printer.statement(self.steps[place], known[place])
            else:
                yield printer.resumed(self.steps[place:end])
            place = end


def _preparation(part: Prepared, steps: Sequence[Step], printer: Printer) -> Term:
    first, last = steps[part.steps.start].operation, steps[part.steps.stop - 1].operation
    tracking = last.tracking if isinstance(last, Register) else Tracking.NONE
    file = first.file if isinstance(first, Map) else ""
    start = expression(part.span.start, "int64_t", "start")
    told: Term = printer.call("prepare", start, printer.file(file or "file"), printer.tracking(tracking))
    return told


def on_new_kernels(record: Record) -> Record | None:
    """The test on kernels that say WRITTEN of registered memory only: itself where these promise the same, None where
    no document decides what they say."""
    facts = replace(record.facts, written_needs_registration=Kernels.NEW_WRITTEN.value)
    model = Model(facts)
    steps = []
    try:
        for step in record.steps:
            said = step.operation.run(model)
            steps.append(step if step.is_precondition else replace(step, expected=said, predicted=said, observed=said))
    except Unspecified:
        return None
    if steps == list(record.steps):
        return record
    return replace(record, steps=tuple(steps), facts=facts, only_on=Kernels.NEW_WRITTEN)


class _Own:
    """What is told by names of the kind: the end of its memory, and its categories but for those of tracking."""

    def __init__(self, prepared: Prepared) -> None:
        self.end = prepared.span.end - prepared.span.start
        self.names = set(categories(_untracked(prepared)).split(" | ")) - {"0"}

    def page(self, leaf: Term) -> Term:
        """Numbers of pages counted from the end, for the last ones."""
        if leaf.type != "int64_t" or leaf.number not in (self.end, self.end - 1):
            return leaf
        return replace(leaf, before="END" if leaf.number == self.end else "END - 1")

    def categories(self, leaf: Term) -> Term:
        names = leaf.before.split(" | ")
        if leaf.name != "categories" or not self.names <= set(names):
            return leaf
        return replace(leaf, before=" | ".join(["KIND", *(name for name in names if name not in {*self.names, "0"})]))


def _untracked(prepared: Prepared) -> int:
    return prepared.categories & ~int(Category.WPALLOWED | Category.WRITTEN | Category.SOFT_DIRTY | Category.ACCESSED)


@dataclass(frozen=True)
class Preparation:
    """Memory of a kind as it was prepared: its pages, its categories without tracking, its state by pagemap, and how
    many of its pages are mapped by huge ones, -1 where that wasn't asked."""

    pages: int
    categories: int
    state: int
    huge: int

    @classmethod
    def of(cls, prepared: Prepared, steps: Sequence[Step]) -> Preparation:
        done = [steps[number] for number in prepared.steps]
        states = {
            int(entry & STATE) for step in done if isinstance(step.operation, ReadPagemap) for entry in step.expected
        }
        [state] = states
        huge = next((step.expected.huge for step in done if isinstance(step.operation, ReadUsage)), -1)
        return cls(prepared.span.end - prepared.span.start, _untracked(prepared), state, huge)
