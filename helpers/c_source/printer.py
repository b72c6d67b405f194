"""Operations as calls in C. The text of the functions that are called is in :mod:`helpers.c_source.parts`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from helpers.c_source.constants import BACKINGS
from helpers.c_source.known import KnownAnswers, identifier
from helpers.c_source.term import Term, expression
from helpers.c_source.values import address, bits_of, categories, number, option, page, pages, regions, runs
from helpers.deviations import Erratum, name_of
from helpers.interface.uapi import Category, PagemapBit, ScanFlag
from helpers.model import Facts
from helpers.operations import (
    ROOM,
    Advise,
    Answer,
    At,
    ChildWrite,
    ClearRefs,
    CloseUserfaultfd,
    Faults,
    FileWrite,
    Fill,
    Fork,
    KernelWrite,
    KillChild,
    Map,
    Move,
    MoveIn,
    Prot,
    Protection,
    PunchHole,
    Read,
    ReadPagemap,
    ReadUsage,
    Refusal,
    Register,
    Resize,
    RwProtect,
    Scan,
    ScanResult,
    Span,
    Target,
    Tracking,
    Truncate,
    Unmap,
    Unregister,
    Write,
    WriteProtect,
)
from helpers.steps import STATE, Step

_PROTS = {Prot.NONE: "PROT_NONE", Prot.READ: "PROT_READ", Prot.WRITE: "PROT_READ | PROT_WRITE"}
_TRACKINGS = {told: "UNTRACKED" if told is Tracking.NONE else told.name for told in Tracking}


#: What is known of an answer that has no regions.
_NO_REGIONS = Term("NULL", type="const struct region *", name="regions")


def said(answer: Answer) -> str:
    """What an operation answers that asks nothing: an errno, or that it doesn't return."""
    if isinstance(answer, Refusal):
        return errno.errorcode[answer.number]
    return "DOES_NOT_RETURN" if answer else "0"


def goes_on(one: Step, other: Step) -> bool:
    """Whether a scan is the same as another from where that one's walk ended."""
    first, second = one.operation, other.operation
    return (
        isinstance(first, Scan)
        and isinstance(second, Scan)
        and replace(first, span=second.span) == second
        and (one.expected.walk_end, first.span.end) == second.span
        and bool(one.expected.regions and other.expected.regions)
    )


class Printer(Target):
    """Each operation as a call in C. What an asking operation has to answer is in ``step``."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.parts: set[str] = set()
        #: Until soft-dirty bits are cleared, every page has one where there are any: the program adds it.
        self.tells_soft_dirty = False
        #: Whether a child's memory is registered as well.
        self.follows = False
        self.step = Step(Read(Span(0, 0)), None, None, None)
        self.known: KnownAnswers = ()
        #: The errata that were named.
        self.errata: set[type[Erratum]] = set()

    def close(self) -> None:
        self.parts.clear()

    def statement(self, step: Step, known: KnownAnswers = ()) -> Term:
        """The call for an operation that ran. ``known``: what kernels with errata answer instead."""
        self.step, self.known = step, known
        told: Term = step.operation.run(self)
        return told

    def instead(self, print_answer: Callable[[Any], Sequence[Term]]) -> Term:
        """What kernels with errata answer, each with the errata that it has."""
        told = []
        for one in self.known:
            self.errata.update(one.errata)
            which = " | ".join(identifier(name_of(erratum)) for erratum in one.errata)
            told.append(Term("IF(", (expression(which, "uint64_t", "errata"), *print_answer(one.answer)), ")"))
        before, after = ("KNOWN(", ")") if told else ("NULL", "")
        return Term(before, tuple(told), after, "const struct known *", "known")

    def call(self, part: str, *arguments: Term) -> Any:
        """A call of the function that a part is named after."""
        self.parts.add(part)
        return Term(f"{part}(", arguments, ");")

    def answered(self, part: str, *arguments: Term) -> Any:
        """The same, of a function that has another beside it for when it is to be refused."""
        if self.step.expected is None:
            return self.call(part, *arguments)
        return self.call(f"expect_{part}", *arguments, expression(said(self.step.expected), "int", "error"))

    # Operations that answer nothing. Their type says None, since a target carries them out; this one prints them.

    def map(self, op: Map) -> Any:
        told = (
            *pages(op.span),
            expression(BACKINGS[op.backing], "int", "backing"),
            expression("MAP_SHARED" if op.shared else "MAP_PRIVATE", "int", "sharing"),
            expression(_PROTS[op.prot], "int", "prot"),
        )
        if op.backing.has_file:
            return self.call("map_file", *told, self.file(op.file), page(op.file_page, "file_page"))
        return self.call("map", *told)

    def file(self, name: str) -> Term:
        return expression(f'"{name}"', "const char *", "file")

    def unmap(self, op: Unmap) -> Any:
        return self.call("unmap", *pages(op.span))

    def move(self, op: Move) -> Any:
        return self.call("move_pages" if op.keeps_mapping else "move", *pages(op.span), page(op.to, "to"))

    def resize(self, op: Resize) -> Any:
        return self.answered("resize", *pages(op.span), page(op.end, "new_end"))

    def mprotect(self, op: Protection) -> Any:
        return self.call("set_protection", *pages(op.span), expression(_PROTS[op.prot], "int", "prot"))

    def advise(self, op: Advise) -> Any:
        told = (*pages(op.span), expression(f"MADV_{op.advice.name}", "int", "advice"))
        if self.step.expected is None and not self.known:
            return self.call("advise", *told)
        known = self.instead(lambda answer: [_NO_REGIONS, option("error", said(answer), "0", "int")])
        return self.call("expect_advice", *told, expression(said(self.step.expected), "int", "error"), known)

    def register(self, op: Register) -> Any:
        told = (*pages(op.span), self.tracking(op.tracking))
        if not op.faults:
            return self.answered("track", *told)
        return self.call(
            "track_faults", *told, expression(bits_of(op.faults, Faults, "UFFDIO_REGISTER_MODE_"), "int", "modes")
        )

    def tracking(self, told: Tracking) -> Term:
        self.follows = self.follows or told is Tracking.FOLLOWING
        return expression(_TRACKINGS[told], "enum tracking", "tracking")

    def unregister(self, op: Unregister) -> Any:
        return self.call("untrack", *pages(op.span))

    def close_userfaultfd(self, op: CloseUserfaultfd) -> Any:
        return self.call("close_userfaultfd")

    def write_protect(self, op: WriteProtect) -> Any:
        return self.answered("write_protect", *pages(op.span), expression(int(op.protect), "int", "protect"))

    def rw_protect(self, op: RwProtect) -> Any:
        return self.call("rw_protect", *pages(op.span))

    def fill(self, op: Fill) -> Any:
        return self.call("fill", *pages(op.span), expression(f"BY_{op.by.name}", "enum filler", "filler"))

    def move_in(self, op: MoveIn) -> Any:
        return self.answered("move_in", *pages(op.span), page(op.source, "source"))

    def read(self, op: Read) -> Any:
        return self.call("read_pages", *pages(op.span))

    def write(self, op: Write) -> Any:
        return self.call("write_pages", *pages(op.span))

    def kernel_write(self, op: KernelWrite) -> Any:
        return self.call("kernel_writes", *pages(op.span), expression(f"BY_{op.by.name}", "enum writer", "writer"))

    def file_write(self, op: FileWrite) -> Any:
        return self.call("write_file", self.file(op.file), *pages(op.span))

    def punch_hole(self, op: PunchHole) -> Any:
        return self.call("punch_hole", self.file(op.file), *pages(op.span))

    def truncate(self, op: Truncate) -> Any:
        return self.call("truncate_file", self.file(op.file), *pages(op.span))

    def clear_refs(self, op: ClearRefs) -> Any:
        self.tells_soft_dirty = True
        return self.call("clear_refs")

    def fork(self, op: Fork) -> Any:
        return self.call("fork_followed" if self.follows else "fork_child")

    def child_write(self, op: ChildWrite) -> Any:
        return self.call("child_writes", *pages(op.span))

    def kill_child(self, op: KillChild) -> Any:
        return self.call("kill_child")

    # Operations that ask.

    def read_pagemap(self, op: ReadPagemap) -> Any:
        bits = int(STATE) if self.step.is_precondition else sum(PagemapBit)
        shown = bits if self.tells_soft_dirty else bits & ~PagemapBit.SOFT_DIRTY

        def told(entries: Sequence[PagemapBit]) -> Term:
            return runs([entry & shown for entry in entries])

        if self.step.is_precondition:
            return self.call("expect_state", *pages(op.span), told(self.step.expected))
        known = self.instead(lambda answer: [_NO_REGIONS, Term(".runs = ", (told(answer),))])
        return self.call("expect_entries", *pages(op.span), told(self.step.expected), known)

    def read_usage(self, op: ReadUsage) -> Any:
        return self.call("expect_huge", *pages(op.span), expression(self.step.expected.huge, "long", "huge"))

    def scan(self, op: Scan) -> Any:
        start, stop = pages(op.span)

        def told(answer: ScanResult) -> tuple[Term, ...]:
            walk_end = Term("NOT_WRITTEN") if answer.walk_end is None else page(int(answer.walk_end))
            return (
                option("error", errno.errorcode[-answer.result] if answer.result < 0 else "0", "0", "int"),
                Term("STOPS_AT(", (replace(walk_end, name="walk_end", type="int64_t"),), ")", omitted=stop),
            )

        self.parts.add("scan")
        expected: ScanResult = self.step.expected
        found = Term(".regions = ", (regions(expected.regions),), omitted=Term("NULL"))
        instead = self.instead(lambda answer: [regions(answer.regions), *told(answer)])
        known = Term(".known = ", (instead,), omitted=Term("NULL"))
        return Term("SCAN(", (start, stop, *self.options(op), *told(expected), found, known), ");")

    def resumed(self, steps: Sequence[Step]) -> Term:
        """Scans that go on from each other's walk_end, as one call."""
        op = steps[0].operation
        assert isinstance(op, Scan)
        ends = tuple(page(int(step.expected.walk_end)) for step in steps)
        found = tuple(region for step in steps for region in regions(step.expected.regions).children)
        self.parts.add("resume")
        told = (
            *pages(op.span),
            Term("PAGES(", ends, ")", "const int64_t *", "walk_ends"),
            *self.options(op),
            Term(".regions = ", (Term("REGIONS(", found, ")", "const struct region *", "regions"),)),
        )
        return Term("RESUMED(", told, ");")

    def options(self, op: Scan) -> list[Term]:
        """The initializers for what a scan asks."""
        returned = "EVERY_CATEGORY" if op.returned == self.facts.known else self.meant(op.returned)
        room = {None: "NO_VEC", ROOM: "ROOM", 0: "NO_ROOM"}.get(op.vec_len, str(op.vec_len))
        return [
            option("flags", bits_of(op.flags, ScanFlag, "PM_SCAN_"), "0", "uint64_t"),
            *(option(name, self.meant(getattr(op, name)), "0", "uint64_t") for name in ("mask", "anyof", "inverted")),
            option("returned", returned if op.returned else "NO_CATEGORY", "EVERY_CATEGORY", "uint64_t"),
            option("max_pages", op.max_pages, "0", "uint64_t"),
            option("vec_len", room, "ROOM", "uint64_t"),
            option("of_child", int(op.process == "child"), "0", "int"),
            *self.replaced(op.raw),
        ]

    def meant(self, told: Category) -> str:
        """Categories; all but some where those are the fewer: kernels know more of them than this one, or not all."""
        others = self.facts.known & ~told
        return f"ALL_BUT({categories(others)})" if others.bit_count() < told.bit_count() else categories(told)

    def replaced(self, raw: tuple[tuple[str, int | At], ...]) -> list[Term]:
        """The initializers for fields that were given other values, the number and the place of the argument."""
        numbers = {
            name: address(value) if isinstance(value, At) else expression(number(value), "uint64_t", name)
            for name, value in raw
        }
        zero, place = expression("0", "uint64_t", "value"), expression("ON_THE_STACK", "uint64_t", "place")
        if ("arg", 0) in raw:
            numbers["arg"] = replace(place, before="AT_NULL")
        put = tuple(
            Term("PUT(", (Term(name), numbers[name]), ")") for name in numbers if name not in ("arg", "request")
        )
        fields = Term("FIELDS(" if put else "NULL", put, ")" if put else "", "const struct field *", "fields")
        return [
            option("request", numbers.get("request", zero), "0", "uint64_t"),
            option("place", numbers.get("arg", place), "ON_THE_STACK", "uint64_t"),
            Term(".put = ", (fields,), omitted=Term("NULL")),
            option("vec", numbers["vec"] if isinstance(dict(raw).get("vec"), At) else zero, "0", "uint64_t"),
        ]
