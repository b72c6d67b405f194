"""What the kernel says in files: /proc/PID/pagemap by read(2), maps, smaps, meminfo."""

from __future__ import annotations

import itertools
import os
import re
import sys
from array import array
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from helpers.interface.uapi import PagemapBit, pagemap_bit

_TOLD_BITS = sum(PagemapBit)
_FRAME = (1 << 55) - 1
#: With which line a mapping begins in smaps.
_RANGE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ")
_KILOBYTES = re.compile(r"^(\w+):\s+(\d+) kB$")


def page_table_bits(pagemap: int, address: int, pages: int, page_size: int) -> tuple[PagemapBit, ...]:
    """Entries of an open pagemap, reduced to :class:`PagemapBit`: frame numbers and bit 56 are masked out."""
    told = os.pread(pagemap, pages * 8, address // page_size * 8)
    # All entries at once, as one number: one by one takes longer than the kernel does.
    masked = int.from_bytes(told, sys.byteorder) & _told_bits_of(len(told) // 8)
    return tuple(map(pagemap_bit, array("Q", masked.to_bytes(len(told), sys.byteorder))))


@cache
def _told_bits_of(entries: int) -> int:
    return int.from_bytes(array("Q", [_TOLD_BITS] * entries).tobytes(), sys.byteorder)


def frames(pagemap: int, address: int, pages: int, page_size: int) -> list[int]:
    """Frame numbers of pages that are present; 0 for all when the process lacks CAP_SYS_ADMIN."""
    return [entry & _FRAME for entry in _entries(pagemap, address, pages, page_size)]


def _entries(pagemap: int, address: int, pages: int, page_size: int) -> array[int]:
    entries = array("Q")
    entries.frombytes(os.pread(pagemap, pages * 8, address // page_size * 8))
    return entries


class Vma(NamedTuple):
    """One entry of /proc/PID/smaps: its range, its counts in bytes, and its VmFlags (proc(5))."""

    start: int
    end: int
    bytes_of: dict[str, int]
    flags: frozenset[str]


def read_smaps(start: int, end: int) -> Iterator[Vma]:
    """The mappings of this process that lie within a range of addresses.

    The kernel makes the file as it is read, which is slow: nothing behind the range is read.
    """
    first = last = 0
    counts: dict[str, int] = {}
    with Path("/proc/self/smaps").open() as smaps:
        for line in smaps:
            if found := _KILOBYTES.match(line):
                counts[found[1]] = int(found[2]) * 1024
            elif header := _RANGE.match(line):
                first, last = int(header[1], 16), int(header[2], 16)
                counts = {}
                if first >= end:
                    return
            elif line.startswith("VmFlags:") and start <= first and last <= end:  # The last line of an entry.
                yield Vma(first, last, counts, frozenset(line.split()[1:]))


def largest_gap() -> tuple[int, int]:
    """The largest stretch of addresses between two mappings of this process."""
    ends = [
        tuple(int(part, 16) for part in line.split(" ", 1)[0].split("-"))
        for line in Path("/proc/self/maps").read_text().splitlines()
        if not line.endswith("[vsyscall]")
    ]
    gaps = itertools.pairwise(ends)
    return max(((low[1], high[0]) for low, high in gaps), key=lambda gap: gap[1] - gap[0])


def meminfo() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    found = map(_KILOBYTES.match, Path("/proc/meminfo").read_text().splitlines())
    return {line[1]: int(line[2]) * 1024 for line in found if line}
