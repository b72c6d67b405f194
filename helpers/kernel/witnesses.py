"""Other witnesses than the scan: read(2) of pagemap, and smaps."""

from __future__ import annotations

import os
from functools import cache

from helpers.interface import procfs
from helpers.interface.native import MACHINE, checked, lib
from helpers.interface.uapi import PagemapBit
from helpers.kernel.arena import Arena
from helpers.kernel.mappings import PROT
from helpers.operations import Prot, ReadPagemap, ReadUsage, Span, Usage, len_of

#: The counts of smaps that are of memory mapped by huge pages.
HUGE_COUNTS = ("AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb")


@cache
def huge_zero_frame() -> int:
    """The first frame of the huge zero page, -1 when it can't be found out.

    Read memory that asks for huge pages, in a place of its own, and see which frame is behind it.
    """
    length = procfs.meminfo().get("Hugepagesize", 0)
    flags = MACHINE["MAP_PRIVATE"] | MACHINE["MAP_ANONYMOUS"] | MACHINE["MAP_NORESERVE"]
    place = checked(lib.native_mmap(0, 2 * length, PROT[Prot.READ], flags, -1, 0), "mmap")
    aligned = -(-place // length) * length
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lib.native_madvise(aligned, length, MACHINE["MADV_HUGEPAGE"], 1000)
        lib.native_read(aligned, 1, length)
        first, second = procfs.frames(pagemap, aligned, 2, os.sysconf("SC_PAGE_SIZE"))
        return first if second == first + 1 else -1
    finally:
        os.close(pagemap)
        lib.native_munmap(place, 2 * length)


class Witnesses(Arena):
    """What they say of a span."""

    def read_pagemap(self, op: ReadPagemap) -> tuple[PagemapBit, ...]:
        return procfs.page_table_bits(
            self.pagemaps["self"], self.address(op.span.start), len_of(op.span), self.sizes.page
        )

    def read_usage(self, op: ReadUsage) -> Usage:
        start, end = self.address(op.span.start), self.address(op.span.end)
        huge = swapped = 0
        for vma in procfs.read_smaps(start, end):
            huge += sum(vma.bytes_of.get(name, 0) for name in HUGE_COUNTS)
            swapped += vma.bytes_of.get("Swap", 0)
        zeros = self.pages_of_huge_zero_page(op.span)
        return Usage(huge // self.sizes.page + zeros, swapped // self.sizes.page)

    def pages_of_huge_zero_page(self, span: Span) -> int:
        """smaps doesn't count the huge zero page: it is told by its frames, which every use of it shares."""
        size = self.sizes.pages_per_huge_page
        aligned = Span(min(-(-span.start // size) * size, span.end), span.end)
        frames = procfs.frames(self.pagemaps["self"], self.address(aligned.start), len_of(aligned), self.sizes.page)
        units = [frames[first : first + size] for first in range(0, len(frames), size)]
        return size * units.count(list(range(huge_zero_frame(), huge_zero_frame() + size)))
