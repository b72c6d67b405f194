"""Programs of operations as C: one for a test that failed, to compile, run and mail.

The text of the functions that carry the operations out is in ``parts.c``; what is printed here is the calls, each
with what the model expects. A program exits 0 when the kernel keeps the clause, 1 when it doesn't, 4 when it can't
be asked.
"""

from __future__ import annotations

import errno
import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from helpers.interface import uapi
from helpers.interface.uapi import Category, PagemapBit, ScanFlag
from helpers.model import Facts
from helpers.operations import (
    ROOM,
    Advise,
    At,
    Backing,
    ClearRefs,
    CloseUserfaultfd,
    FileWrite,
    Fork,
    KernelWrite,
    KillChild,
    Map,
    Move,
    Operation,
    Prot,
    Protection,
    PunchHole,
    Read,
    ReadPagemap,
    ReadUsage,
    Region,
    Register,
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
from helpers.program.term import LINES, Term, expression
from helpers.steps import STATE, Step

PARTS = Path(__file__).with_name("parts.c")
COMPILE = "cc -O2 -Wall -Wextra -Werror -pthread"
#: Constants that only the kernel's headers have, or that a libc may be too old for.
_MACHINE = ("PAGEMAP_SCAN", "UFFDIO_API", "UFFDIO_REGISTER", "UFFDIO_UNREGISTER", "UFFDIO_WRITEPROTECT")
_FALLBACKS = {
    **{name: text for name, text in uapi.MACHINE_CONSTANTS.items() if text and name not in _MACHINE},
    "FALLOC_FL_KEEP_SIZE": "1",
    "FALLOC_FL_PUNCH_HOLE": "2",
    "TMPFS_MAGIC": "0x01021994",
    "RAMFS_MAGIC": "0x858458f6",
    "OVERLAYFS_MAGIC": "0x794c7630",
}
BACKINGS = {
    Backing.ANON: "ANONYMOUS",
    Backing.MEMFD: "MEMFD",
    Backing.TMPFS: "TMPFS",
    Backing.FILE: "ON_DISK",
    Backing.HUGETLB: "HUGETLB",
    Backing.HUGETLB_MEMFD: "HUGETLB_MEMFD",
}


@cache
def parts() -> dict[str, tuple[list[str], str]]:
    """The parts by name, in order: the parts that each needs, and its text."""
    found = re.split(r"^//@ (\w+):(.*)\n", PARTS.read_text(), flags=re.MULTILINE)[1:]
    return {name: (needs.split(), text) for name, needs, text in zip(found[::3], found[1::3], found[2::3], strict=True)}


def needed(names: Iterable[str]) -> list[str]:
    """Parts and all that they need, in the order of the file."""
    wanted: set[str] = set()
    open_names = list(names)
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names += parts()[name][0]
    return [name for name in parts() if name in wanted]


def constants(facts: Facts) -> dict[str, str]:
    """The definitions that no header is needed for, by name."""
    values = {
        "PAGE": f"{facts.page_size}",
        "HUGE_PAGE": f"((size_t)PAGE * {facts.pages_per_huge_page})",
        "HUGE_PAGE_SHIFT": f"{(facts.page_size * facts.pages_per_huge_page).bit_length() - 1}",
        "MADE_FOR": f"{facts.known.value:#x}ULL",
        **{name: f"{value:#x}ULL" for name, value in uapi.CONSTANTS.items()},
        **{f"PM_{bit.name}": f"{bit.value:#x}ULL" for bit in PagemapBit},
        **{name: str(uapi.MACHINE_CONSTANTS[name]) for name in _MACHINE},
    }
    found = {name: f"#define {name} {value}" for name, value in values.items()}
    for number, backing in enumerate(BACKINGS.values()):
        found[backing] = f"#define {backing} {number}"
    for name, value in _FALLBACKS.items():
        found[name] = f"#ifndef {name}\n#define {name} {value}\n#endif"
    return found


def runtime(names: Iterable[str], facts: Facts, rest: str, kinds: str = "") -> str:
    """The text of parts and of all that they need, then the rest: what is included and defined is what they use."""
    parted = [parts()[name][1] for name in needed({"base", *names})]
    includes = sorted({line for text in parted for line in text.splitlines() if line.startswith("#include")})
    text = re.sub(r"^#include.*\n+", "", "".join(parted), flags=re.MULTILINE).replace("@KINDS@", kinds) + rest
    used = set(re.findall(r"\w+", text))
    defined = [line for name, line in constants(facts).items() if name in used | {"PAGE"}]
    return "\n".join(["#define _GNU_SOURCE", *includes, "", text.replace("@CONSTANTS@", "\n".join(defined))])


def _bits(flags: int, kind: type[Category] | type[ScanFlag] | type[PagemapBit], prefix: str) -> str:
    names = [f"{prefix}{flag.name}" for flag in kind if flag.value & flags]
    rest = flags & ~sum(flag.value for flag in kind)
    return " | ".join([*names, *([f"{rest:#x}ULL"] if rest else [])]) or "0"


def pagemap_bits(told: int) -> str:
    """Bits of an entry of pagemap by their names."""
    return _bits(told, PagemapBit, "PM_")


def categories(told: int) -> str:
    """Categories by the names that linux/fs.h gives them."""
    return _bits(int(told), Category, "PAGE_IS_")


def _page(number: int, name: str = "page") -> Term:
    return expression(number, "int64_t", name)


def _pages(span: Span) -> tuple[Term, Term]:
    return _page(span.start, "start"), _page(span.end, "stop")


def _said(told: int) -> Term:
    return expression(categories(told), "uint64_t", "categories")


def _runs(bits: Iterable[int]) -> Term:
    told = []
    for bit, run in itertools.groupby(bits):
        count, names = expression(len(list(run)), "int64_t", "pages"), pagemap_bits(bit)
        told.append(Term("{ ", (count, expression(names, "uint64_t", "bits")), " }"))
    return Term("RUNS(", tuple(told), ")", "const struct run *", "runs")


def folded(regions: tuple[Region, ...]) -> list[tuple[Region, int, int]]:
    """Regions, with those that repeat at equal distances told once: region, times, stride."""
    found: list[tuple[Region, int, int]] = []
    for region in regions:
        if found:
            first, times, stride = found[-1]
            distance = region.start - first.start
            same = region.categories == first.categories and region.end - region.start == first.end - first.start
            if same and (times == 1 or distance == times * stride):
                found[-1] = (first, times + 1, stride if times > 1 else distance)
                continue
        found.append((region, 1, 0))
    return found


_PROTS = {Prot.NONE: "PROT_NONE", Prot.READ: "PROT_READ", Prot.WRITE: "PROT_READ | PROT_WRITE"}
_TRACKINGS = {told: "UNTRACKED" if told is Tracking.NONE else told.name for told in Tracking}


def tracking_of(told: Tracking) -> Term:
    return expression(_TRACKINGS[told], "enum tracking", "tracking")


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
        self.step = Step(Read(Span(0, 0)), None, None, None)

    def close(self) -> None:
        self.parts.clear()

    def statement(self, step: Step) -> Term:
        """The call for an operation that ran."""
        self.step = step
        told: Term = step.operation.run(self)
        return told

    def call(self, part: str, *arguments: Term) -> Any:
        """A call of the function that a part is named after."""
        self.parts.add(part)
        return Term(f"{part}(", arguments, ");")

    # Operations that answer nothing. Their type says None, since a target carries them out; this one prints them.

    def map(self, op: Map) -> Any:
        told = (
            *_pages(op.span),
            expression(BACKINGS[op.backing], "int", "backing"),
            expression("MAP_SHARED" if op.shared else "MAP_PRIVATE", "int", "sharing"),
            expression(_PROTS[op.prot], "int", "prot"),
        )
        if op.backing.has_file:
            return self.call("map_file", *told, self.file(op.file), _page(op.file_page, "file_page"))
        return self.call("map", *told)

    def file(self, name: str) -> Term:
        return expression(f'"{name}"', "const char *", "file")

    def unmap(self, op: Unmap) -> Any:
        return self.call("unmap", *_pages(op.span))

    def move(self, op: Move) -> Any:
        return self.call("move", *_pages(op.span), _page(op.to, "to"))

    def mprotect(self, op: Protection) -> Any:
        return self.call("set_protection", *_pages(op.span), expression(_PROTS[op.prot], "int", "prot"))

    def advise(self, op: Advise) -> Any:
        return self.call("advise", *_pages(op.span), expression(f"MADV_{op.advice.name}", "int", "advice"))

    def register(self, op: Register) -> Any:
        return self.call("track", *_pages(op.span), tracking_of(op.tracking))

    def unregister(self, op: Unregister) -> Any:
        return self.call("untrack", *_pages(op.span))

    def close_userfaultfd(self, op: CloseUserfaultfd) -> Any:
        return self.call("close_userfaultfd")

    def write_protect(self, op: WriteProtect) -> Any:
        return self.call("write_protect", *_pages(op.span), expression(int(op.protect), "int", "protect"))

    def rw_protect(self, op: RwProtect) -> Any:
        return self.call("rw_protect", *_pages(op.span))

    def read(self, op: Read) -> Any:
        return self.call("read_pages", *_pages(op.span))

    def write(self, op: Write) -> Any:
        return self.call("write_pages", *_pages(op.span))

    def kernel_write(self, op: KernelWrite) -> Any:
        return self.call("kernel_writes", *_pages(op.span))

    def file_write(self, op: FileWrite) -> Any:
        return self.call("write_file", self.file(op.file), *_pages(op.span))

    def punch_hole(self, op: PunchHole) -> Any:
        return self.call("punch_hole", self.file(op.file), *_pages(op.span))

    def truncate(self, op: Truncate) -> Any:
        return self.call("truncate_file", self.file(op.file), *_pages(op.span))

    def clear_refs(self, op: ClearRefs) -> Any:
        self.tells_soft_dirty = True
        return self.call("clear_refs")

    def fork(self, op: Fork) -> Any:
        return self.call("fork_child")

    def kill_child(self, op: KillChild) -> Any:
        return self.call("kill_child")

    # Operations that ask.

    def read_pagemap(self, op: ReadPagemap) -> Any:
        bits = int(STATE) if self.step.is_precondition else sum(PagemapBit)
        shown = bits if self.tells_soft_dirty else bits & ~PagemapBit.SOFT_DIRTY
        told = [entry & shown for entry in self.step.expected]
        return self.call(
            "expect_entries",
            *_pages(op.span),
            Term("STATE" if self.step.is_precondition else "EVERY_BIT"),
            Term("CANNOT_ASK" if self.step.is_precondition else "DIFFERS"),
            _runs(told),
        )

    def read_usage(self, op: ReadUsage) -> Any:
        return self.call("expect_huge", *_pages(op.span), expression(self.step.expected.huge, "long", "huge"))

    def scan(self, op: Scan) -> Any:
        expected: ScanResult = self.step.expected
        start, stop = _pages(op.span)
        walk_end = Term("NOT_WRITTEN") if expected.walk_end is None else _page(int(expected.walk_end))
        error = errno.errorcode[-expected.result] if expected.result < 0 else "0"
        options = (
            *self.options(op),
            _option("error", error, "0", "int"),
            Term("STOPS_AT(", (replace(walk_end, name="walk_end", type="int64_t"),), ")", omitted=stop),
            Term(".regions = ", (self.regions(expected.regions),), omitted=Term("NULL")),
        )
        self.parts.add("scan")
        return Term("SCAN(", (start, stop, *options), ");")

    def resumed(self, steps: Sequence[Step]) -> Term:
        """Scans that go on from each other's walk_end, as one call."""
        op = steps[0].operation
        assert isinstance(op, Scan)
        ends = tuple(_page(int(step.expected.walk_end)) for step in steps)
        regions = tuple(region for step in steps for region in self.regions(step.expected.regions).children)
        self.parts.add("resume")
        told = (
            *_pages(op.span),
            Term("PAGES(", ends, ")", "const int64_t *", "walk_ends"),
            *self.options(op),
            Term(".regions = ", (Term("REGIONS(", regions, ")", "const struct region *", "regions"),)),
        )
        return Term("RESUMED(", told, ");")

    def options(self, op: Scan) -> list[Term]:
        """The initializers for what a scan asks."""
        returned = "EVERY_CATEGORY" if op.returned == self.facts.known else categories(op.returned)
        room = {None: "NO_VEC", ROOM: "ROOM", 0: "NO_ROOM"}.get(op.vec_len, str(op.vec_len))
        return [
            _option("flags", _bits(op.flags, ScanFlag, "PM_SCAN_"), "0", "uint64_t"),
            *(_option(name, categories(getattr(op, name)), "0", "uint64_t") for name in ("mask", "anyof", "inverted")),
            _option("returned", returned if op.returned else "NO_CATEGORY", "EVERY_CATEGORY", "uint64_t"),
            _option("max_pages", op.max_pages, "0", "uint64_t"),
            _option("vec_len", room, "ROOM", "uint64_t"),
            _option("of_child", int(op.process == "child"), "0", "int"),
            *self.replaced(op.raw),
        ]

    def regions(self, expected: tuple[Region, ...]) -> Term:
        told = []
        for region, times, stride in folded(expected):
            said = (*_pages(Span(region.start, region.end)), _said(region.categories))
            repeated = (expression(times, "int64_t", "times"), expression(stride, "int64_t", "stride"))
            told.append(Term("EVERY(", (*said, *repeated), ")") if times > 1 else Term("R(", said, ")"))
        before, after = ("REGIONS(", ")") if told else ("NULL", "")
        return Term(before, tuple(told), after, "const struct region *", "regions")

    def replaced(self, raw: tuple[tuple[str, int | At], ...]) -> list[Term]:
        """The initializers for fields that were given other values, the number and the place of the argument."""
        numbers = {
            name: _address(value) if isinstance(value, At) else expression(_number(value), "uint64_t", name)
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
            _option("request", numbers.get("request", zero), "0", "uint64_t"),
            _option("place", numbers.get("arg", place), "ON_THE_STACK", "uint64_t"),
            Term(".put = ", (fields,), omitted=Term("NULL")),
            _option("vec", numbers["vec"] if isinstance(dict(raw).get("vec"), At) else zero, "0", "uint64_t"),
        ]


def _number(value: int) -> str:
    """A number as one reads it: a bit by its place, a large one from the top or in hexadecimal."""
    if value < 1 << 12:
        return str(value)
    if value & (value - 1) == 0:
        return f"1ULL << {value.bit_length() - 1}"
    return f"-{(1 << 64) - value}ULL" if value >> 63 and (1 << 64) - value <= 1 << 12 else f"{value:#x}ULL"


def _address(place: At) -> Term:
    return Term(
        "ADDRESS(", (_page(place.page), expression(place.offset, "uint64_t", "offset")), ")", "uint64_t", "address"
    )


def _option(name: str, told: object, omitted: str, type: str) -> Term:
    """The initializer of a field, which goes without saying when it has a certain value."""
    value = told if isinstance(told, Term) else expression(told, type, name)
    return Term(f".{name} = ", (value,), omitted=Term(omitted))


#: Where a statement isn't broken in two lines, from the best way to the last.
_WHOLE = (r" (?=[^()]*\))|(?<!,) ", r"(?<!,) ", r"(?<![,|]) ")


def wrapped(statement: str, indent: int = 1) -> str:
    """A statement, indented, in lines of 120 columns."""
    first, rest = " " * 8 * indent, " " * 8 * (indent + 1)
    for whole in _WHOLE:
        told = re.sub(whole, "\0", statement)
        lines = textwrap.wrap(
            told, 120, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
        )
        if all(len(line) <= 120 for line in lines):
            break
    starts = ["\t" * indent, *["\t" * (indent + 1)] * (len(lines) - 1)]
    return "\n".join(start + line.strip().replace("\0", " ") for start, line in zip(starts, lines, strict=True))


def block(statements: Iterable[Term], shortened: Callable[[str], str] = str) -> str:
    """Statements in lines, those of a loop indented."""
    lines, depth, once = [], 1, 0
    for statement in statements:
        for part in statement.children if statement.between == LINES else (statement,):
            text = shortened(str(part))
            depth -= text == "}"
            lines.append(wrapped(text, depth + once))
            once = int(text.startswith("for") and not text.endswith("{"))
            depth += text.endswith("{")
    return "\n".join(lines)


def said_of(operation: Operation) -> str:
    """What an operation does: the first sentence of its description."""
    sentence = " ".join((type(operation).__doc__ or "").split()).split(". ")[0].rstrip(".")
    return sentence.replace("`", "").replace("*/", "")


def program(name: str, steps: list[Step], facts: Facts, clauses: Iterable[str], kernel: str) -> str:
    """A self-contained C program that carries out the steps of a test and compares every answer.

    ``clauses``: sentences of the contract, each with where it is written; ``kernel``: where the test ran.
    """
    printer = Printer(facts)
    lines = []
    for number, step in enumerate(steps, 1):
        also = ": the memory has to be what it should be" if step.is_precondition else ""
        lines.append(f"\t/* {number}. {said_of(step.operation)}{also} */")
        lines.append(wrapped(str(printer.statement(step))))
    told = "\n".join(textwrap.fill(clause, 110, initial_indent=" * ", subsequent_indent=" *   ") for clause in clauses)
    main = f"""\
int main(void)
{{
	prepare_to_ask();

{chr(10).join(lines)}

	end(KEEPS, "keeps the clause");
}}
"""
    return f"""\
// SPDX-License-Identifier: GPL-2.0
/*
 * {name}, as it ran on {kernel}.
 *
 * The contract:
{told}
 *
 * Pages are counted from the start of an arena. Each scan says what the contract expects of it.
 * {COMPILE} FILE.c && ./a.out
 * exits 0 when the kernel keeps the clause, 1 when it doesn't, 4 when it can't be asked here.
 */
{runtime({"alone", *printer.parts}, facts, main)}"""
