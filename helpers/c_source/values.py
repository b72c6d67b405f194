"""What operations are given and have to answer, in C: pages, bits by their names, regions, numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from enum import IntFlag

from helpers.c_source.term import Term, expression
from helpers.interface.uapi import Category, PagemapBit
from helpers.operations import At, Region, Span


def bits_of(flags: int, kind: type[IntFlag], prefix: str) -> str:
    names = [f"{prefix}{flag.name}" for flag in kind if flag.value & flags]
    rest = flags & ~sum(flag.value for flag in kind)
    return " | ".join([*names, *([f"{rest:#x}ULL"] if rest else [])]) or "0"


def pagemap_bits(told: int) -> str:
    """Bits of an entry of pagemap by their names."""
    return bits_of(told, PagemapBit, "PM_")


def categories(told: int) -> str:
    """Categories by the names that linux/fs.h gives them."""
    return bits_of(int(told), Category, "PAGE_IS_")


def page(number: int, name: str = "page") -> Term:
    return expression(number, "int64_t", name)


def pages(span: Span) -> tuple[Term, Term]:
    return page(span.start, "start"), page(span.end, "stop")


def _said(told: int) -> Term:
    return expression(categories(told), "uint64_t", "categories")


def runs(bits: Iterable[int]) -> Term:
    told = []
    for bit, run in itertools.groupby(bits):
        count, names = expression(len(list(run)), "int64_t", "pages"), pagemap_bits(bit)
        told.append(Term("{ ", (count, expression(names, "uint64_t", "bits")), " }"))
    return Term("RUNS(", tuple(told), ")", "const struct run *", "runs")


def folded(told: tuple[Region, ...]) -> list[tuple[Region, int, int]]:
    """Regions, with those that repeat at equal distances told once: region, times, stride."""
    found: list[tuple[Region, int, int]] = []
    for region in told:
        if found:
            first, times, stride = found[-1]
            distance = region.start - first.start
            same = region.categories == first.categories and region.end - region.start == first.end - first.start
            same = same and first.end != region.start
            if same and (times == 1 or distance == times * stride):
                found[-1] = (first, times + 1, stride if times > 1 else distance)
                continue
        found.append((region, 1, 0))
    return found


def regions(expected: tuple[Region, ...]) -> Term:
    told: list[Term] = []
    before = None
    for region, times, stride in folded(expected):
        said = (*pages(Span(region.start, region.end)), _said(region.categories))
        repeated = (expression(times, "int64_t", "times"), expression(stride, "int64_t", "stride"))
        is_apart = before and (before.end, before.categories) == (region.start, region.categories)
        one = Term("APART(" if is_apart else "R(", said, ")")
        told.append(Term("EVERY(", (*said, *repeated), ")") if times > 1 else one)
        before = region
    begin, end = ("REGIONS(", ")") if told else ("NULL", "")
    return Term(begin, tuple(told), end, "const struct region *", "regions")


def number(value: int) -> str:
    """A number as one reads it: a bit by its place, a large one from the top or in hexadecimal."""
    if value < 1 << 12:
        return str(value)
    if value & (value - 1) == 0:
        return f"1ULL << {value.bit_length() - 1}"
    return f"-{(1 << 64) - value}ULL" if value >> 63 and (1 << 64) - value <= 1 << 12 else f"{value:#x}ULL"


def address(place: At) -> Term:
    return Term(
        "ADDRESS(", (page(place.page), expression(place.offset, "uint64_t", "offset")), ")", "uint64_t", "address"
    )


def option(name: str, told: object, omitted: str, type: str) -> Term:
    """The initializer of a field, which goes without saying when it has a certain value."""
    value = told if isinstance(told, Term) else expression(told, type, name)
    return Term(f".{name} = ", (value,), omitted=Term(omitted))
