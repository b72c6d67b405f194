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
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from helpers.interface import uapi
from helpers.interface.uapi import Category, PagemapBit, ScanFlag
from helpers.lab import STATE, Step
from helpers.model import Facts
from helpers.operations import (
    ROOM,
    Advice,
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
    Scan,
    ScanResult,
    Span,
    Target,
    Tracking,
    Unmap,
    Unregister,
    Write,
    WriteProtect,
)

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
_BACKINGS = {
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


def constants(facts: Facts) -> str:
    """The definitions that no header is needed for."""
    lines = [
        f"#define PAGE {facts.page_size}",
        f"#define HUGE_PAGE ((size_t)PAGE * {facts.pages_per_huge_page})",
        f"#define HUGE_PAGE_SHIFT {(facts.page_size * facts.pages_per_huge_page).bit_length() - 1}",
        f"#define MADE_FOR {facts.known.value:#x}ULL",
        f"enum {{ {', '.join(_BACKINGS.values())} }};",
        *(f"#define PAGE_IS_{category.name} {category.value:#x}ULL" for category in Category),
        *(f"#define PM_SCAN_{flag.name} {flag.value:#x}ULL" for flag in ScanFlag),
        *(f"#define PM_{bit.name} {bit.value:#x}ULL" for bit in PagemapBit),
        *(
            f"#define {name} {value:#x}ULL"
            for name, value in uapi.CONSTANTS.items()
            if name.startswith(("UFFD_F", "UFFD_API", "UFFDIO", "UFFD_USER"))
        ),
        *(f"#define {name} {uapi.MACHINE_CONSTANTS[name]}" for name in _MACHINE),
    ]
    for name, value in _FALLBACKS.items():
        lines += [f"#ifndef {name}", f"#define {name} {value}", "#endif"]
    return "\n".join(lines)


def runtime(names: Iterable[str], facts: Facts) -> str:
    """The text of parts and of all that they need."""
    texts = (parts()[name][1] for name in needed({"base", *names}))
    return "".join(texts).replace("@CONSTANTS@", constants(facts))


def _bits(flags: int, kind: type[Category] | type[ScanFlag] | type[PagemapBit], prefix: str) -> str:
    names = [f"{prefix}{flag.name}" for flag in kind if flag.value & flags]
    rest = flags & ~sum(flag.value for flag in kind)
    return " | ".join([*names, *([f"{rest:#x}ULL"] if rest else [])]) or "0"


def categories(told: int) -> str:
    """Categories by the names that linux/fs.h gives them."""
    return _bits(int(told), Category, "PAGE_IS_")


@dataclass(frozen=True)
class Place:
    """What of the memory of a kind is written by name, so that equal programs on different kinds read the same."""

    end: int
    categories: int


def _runs(bits: Iterable[int]) -> str:
    runs = ((len(list(run)), told) for told, run in itertools.groupby(bits))
    return ", ".join(f"{{ {count}, {_bits(told, PagemapBit, 'PM_')} }}" for count, told in runs)


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


class Printer(Target):
    """Each operation as a call in C. What an asking operation has to answer is in ``step``."""

    def __init__(self, facts: Facts, place: Place | None = None) -> None:
        self.facts = facts
        self.place = place
        self.parts: set[str] = set()
        #: Until soft-dirty bits are cleared, every page has one where there are any: the program adds it.
        self.tells_soft_dirty = False
        self.step = Step(Read(Span(0, 0)), None, None)

    def close(self) -> None:
        self.parts.clear()

    def statement(self, step: Step) -> str:
        """The call for an operation that ran, without indentation."""
        self.step = step
        text: str = step.operation.run(self)
        return text

    def call(self, part: str, *arguments: object) -> str:
        self.parts.add(part)
        return f"{part}({', '.join(map(str, arguments))});"

    def page(self, number: int) -> str:
        """A page number, as it is or counted from the end of the memory."""
        if self.place and number in (self.place.end, self.place.end - 1):
            return "END" if number == self.place.end else "END - 1"
        return str(number)

    def pages(self, span: Span) -> tuple[str, str]:
        return self.page(span.start), self.page(span.end)

    def told(self, told: int) -> str:
        """Categories, as they are or as those of the kind of memory and some more."""
        if self.place is None:
            return categories(told)
        if self.place.categories and told & self.place.categories == self.place.categories:
            rest = told & ~self.place.categories
            return f"KIND | {categories(rest)}" if rest else "KIND"
        return categories(told)

    # Operations that answer nothing. Their type says None, since a target carries them out; this one prints them.

    def map(self, op: Map) -> Any:
        prot = {Prot.NONE: "PROT_NONE", Prot.READ: "PROT_READ", Prot.WRITE: "PROT_READ | PROT_WRITE"}[op.prot]
        sharing = "MAP_SHARED" if op.shared else "MAP_PRIVATE"
        file = f'"{op.file}"' if op.backing.has_file else "NULL"
        return self.call("map", *self.pages(op.span), _BACKINGS[op.backing], sharing, prot, file, op.file_page)

    def unmap(self, op: Unmap) -> Any:
        return self.call("unmap", *self.pages(op.span))

    def move(self, op: Move) -> Any:
        return self.call("move", *self.pages(op.span), op.to)

    def mprotect(self, op: Protection) -> Any:
        prot = {Prot.NONE: "PROT_NONE", Prot.READ: "PROT_READ", Prot.WRITE: "PROT_READ | PROT_WRITE"}[op.prot]
        return self.call("set_protection", *self.pages(op.span), prot)

    def advise(self, op: Advise) -> Any:
        return self.call("advise", *self.pages(op.span), f"MADV_{op.advice.name}", int(op.advice is Advice.PAGEOUT))

    def register(self, op: Register) -> Any:
        return self.call("track", *self.pages(op.span), "ASYNC" if op.tracking is Tracking.ASYNC else "SYNC")

    def unregister(self, op: Unregister) -> Any:
        return self.call("untrack", *self.pages(op.span))

    def close_userfaultfd(self, op: CloseUserfaultfd) -> Any:
        return self.call("close_userfaultfd")

    def write_protect(self, op: WriteProtect) -> Any:
        return self.call("write_protect", *self.pages(op.span), int(op.protect))

    def read(self, op: Read) -> Any:
        return self.call("read_pages", *self.pages(op.span))

    def write(self, op: Write) -> Any:
        return self.call("write_pages", *self.pages(op.span))

    def kernel_write(self, op: KernelWrite) -> Any:
        return self.call("kernel_writes", *self.pages(op.span))

    def file_write(self, op: FileWrite) -> Any:
        return self.call("write_file", f'"{op.file}"', *self.pages(op.span))

    def punch_hole(self, op: PunchHole) -> Any:
        return self.call("punch_hole", f'"{op.file}"', *self.pages(op.span))

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
        otherwise = "CANNOT_ASK" if self.step.is_precondition else "DIFFERS"
        names = _bits(bits, PagemapBit, "PM_")
        return self.call("expect_entries", *self.pages(op.span), names, otherwise, f"RUNS({_runs(told)})")

    def read_usage(self, op: ReadUsage) -> Any:
        return self.call("expect_huge", *self.pages(op.span), self.step.expected.huge)

    def scan(self, op: Scan) -> Any:
        expected: ScanResult = self.step.expected
        fields = []
        if op.flags:
            fields.append(f".flags = {_bits(op.flags, ScanFlag, 'PM_SCAN_')}")
        for name in ("mask", "anyof", "inverted"):
            if told := getattr(op, name):
                fields.append(f".{name} = {categories(told)}")
        if op.returned != self.facts.known:
            fields.append(f".returned = {categories(op.returned) if op.returned else 'NO_CATEGORY'}")
        if op.max_pages:
            fields.append(f".max_pages = {op.max_pages}")
        if op.vec_len is None:
            fields.append(".without_vec = 1")
        elif op.vec_len != ROOM:
            fields.append(f".vec_len = {op.vec_len or 'NO_ROOM'}")
        if op.process == "child":
            fields.append(".of_child = 1")
        fields += self.replaced(op.raw)
        if expected.result < 0:
            fields.append(f".error = {errno.errorcode[-expected.result]}")
        if expected.walk_end is None:
            fields.append("STOPS_AT(NOT_WRITTEN)")
        elif expected.walk_end != op.span.end:
            fields.append(f"STOPS_AT({self.page(int(expected.walk_end))})")
        if expected.regions:
            fields.append(f".regions = {self.regions(expected.regions)}")
        self.parts.add("scan")
        return f"SCAN({', '.join([*self.pages(op.span), *fields])});"

    def regions(self, expected: tuple[Region, ...]) -> str:
        told = []
        for region, times, stride in folded(expected):
            said = f"{self.page(region.start)}, {self.page(region.end)}, {self.told(region.categories)}"
            told.append(f"EVERY({said}, {times}, {stride})" if times > 1 else f"R({said})")
        return f"REGIONS({', '.join(told)})"

    def replaced(self, raw: tuple[tuple[str, int | At], ...]) -> list[str]:
        """The initializers for fields that were given other values."""
        found, put = [], []
        for name, value in raw:
            number = f"ADDRESS({value.page}, {value.offset})" if isinstance(value, At) else f"{value:#x}ULL"
            if name == "request":
                found.append(f".request = {number}")
            elif name == "arg":
                found += [".is_elsewhere = 1", f".place = {number}"]
            else:
                put.append(f"PUT({name}, {number})")
            if name == "vec" and isinstance(value, At):
                found.append(f".vec = {number}")
        return found + ([f".put = FIELDS({', '.join(put)})"] if put else [])


def wrapped(statement: str) -> str:
    """A statement, indented; a long one has a line for each initializer."""
    parts = re.split(r"(?<=,) (?=\.|STOPS|R\(|EVERY\()", statement) if len(statement) > 100 else [statement]
    lines = (textwrap.wrap(part, 96, subsequent_indent="\t", break_long_words=False) for part in parts)
    return "\n".join(f"\t{line}" for line in "\n\t".join("\n".join(part) for part in lines).splitlines())


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
        lines.append(wrapped(printer.statement(step)))
    told = "\n".join(textwrap.fill(clause, 110, initial_indent=" * ", subsequent_indent=" *   ") for clause in clauses)
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
{runtime(printer.parts, facts)}

int main(void)
{{
	prepare_to_ask();

{chr(10).join(lines)}

	end(KEEPS, "keeps the clause");
}}
"""
