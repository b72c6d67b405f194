"""The interface as the kernel's headers name it: constants and structures, no policy.

Sources: ``include/uapi/linux/fs.h`` and ``include/uapi/linux/userfaultfd.h``.
:mod:`helpers.interface.build` turns the tables below into a C header. What the machine's own headers
lack is defined there; where they have it, the compiler checks that both agree.
"""

from __future__ import annotations

import enum
from functools import cache


class Category(enum.IntFlag):
    """``PAGE_IS_*``: what can be said about a page, bit by bit (``linux/fs.h``)."""

    WPALLOWED = 1 << 0
    WRITTEN = 1 << 1
    FILE = 1 << 2
    PRESENT = 1 << 3
    SWAPPED = 1 << 4
    PFNZERO = 1 << 5
    HUGE = 1 << 6
    SOFT_DIRTY = 1 << 7
    GUARD = 1 << 8
    ACCESSED = 1 << 9


@cache
def category(bits: int) -> Category:
    """The bits as a Category; far quicker than Category(bits), which looks them up each time."""
    return Category(bits)


class ScanFlag(enum.IntFlag):
    """``PM_SCAN_*``: what a scan does besides reporting (``linux/fs.h``)."""

    WP_MATCHING = 1 << 0
    CHECK_WPASYNC = 1 << 1


class PagemapBit(enum.IntFlag):
    """Bits of an entry of ``/proc/PID/pagemap`` (``Documentation/admin-guide/mm/pagemap.rst``)."""

    SOFT_DIRTY = 1 << 55
    UFFD_WP = 1 << 57
    GUARD = 1 << 58
    FILE = 1 << 61
    SWAPPED = 1 << 62
    PRESENT = 1 << 63


@cache
def pagemap_bit(bits: int) -> PagemapBit:
    """The bits as a PagemapBit."""
    return PagemapBit(bits)


#: Bits 0 to 6 came with PAGEMAP_SCAN itself; each later one is probed for.
FIRST_CATEGORIES = Category(0x7F)

#: Values that are the same on every architecture.
CONSTANTS: dict[str, int] = {
    **{f"PAGE_IS_{category.name}": category.value for category in Category},
    **{f"PM_SCAN_{flag.name}": flag.value for flag in ScanFlag},
    "UFFD_API": 0xAA,
    "UFFD_USER_MODE_ONLY": 1,
    "UFFD_FEATURE_PAGEFAULT_FLAG_WP": 1 << 0,
    "UFFD_FEATURE_EVENT_FORK": 1 << 1,
    "UFFD_FEATURE_MINOR_HUGETLBFS": 1 << 9,
    "UFFD_FEATURE_MINOR_SHMEM": 1 << 10,
    "UFFD_FEATURE_WP_HUGETLBFS_SHMEM": 1 << 12,
    "UFFD_FEATURE_WP_UNPOPULATED": 1 << 13,
    "UFFD_FEATURE_WP_ASYNC": 1 << 15,
    "UFFD_FEATURE_POISON": 1 << 14,
    "UFFD_FEATURE_MOVE": 1 << 16,
    "UFFD_FEATURE_RWP": 1 << 17,
    "UFFD_FEATURE_RWP_ASYNC": 1 << 18,
    "UFFD_EVENT_FORK": 0x13,
    "UFFDIO_REGISTER_MODE_MISSING": 1 << 0,
    "UFFDIO_REGISTER_MODE_WP": 1 << 1,
    "UFFDIO_REGISTER_MODE_MINOR": 1 << 2,
    "UFFDIO_REGISTER_MODE_RWP": 1 << 3,
    "UFFDIO_WRITEPROTECT_MODE_WP": 1 << 0,
    "UFFDIO_RWPROTECT_MODE_RWP": 1 << 0,
    "UFFDIO_COPY_MODE_WP": 1 << 1,
    "UFFDIO_CONTINUE_MODE_WP": 1 << 1,
}

#: Values that differ between architectures: the machine's headers say, or else this expression.
#: None: every C library has it, nothing to fall back on.
MACHINE_CONSTANTS: dict[str, str | None] = {
    "PAGEMAP_SCAN": "_IOWR('f', 16, struct pm_scan_arg)",
    "UFFDIO_API": "_IOWR(0xAA, 0x3F, struct uffdio_api)",
    "UFFDIO_REGISTER": "_IOWR(0xAA, 0x00, struct uffdio_register)",
    "UFFDIO_UNREGISTER": "_IOR(0xAA, 0x01, struct uffdio_range)",
    "UFFDIO_WRITEPROTECT": "_IOWR(0xAA, 0x06, struct uffdio_writeprotect)",
    "UFFDIO_COPY": "_IOWR(0xAA, 0x03, struct uffdio_copy)",
    "UFFDIO_CONTINUE": "_IOWR(0xAA, 0x07, struct uffdio_continue)",
    "UFFDIO_MOVE": "_IOWR(0xAA, 0x05, struct uffdio_move)",
    "UFFDIO_POISON": "_IOWR(0xAA, 0x08, struct uffdio_poison)",
    "UFFDIO_ZEROPAGE": "_IOWR(0xAA, 0x04, struct uffdio_zeropage)",
    # Its own structure, uffdio_rwprotect, has the same fields.
    "UFFDIO_RWPROTECT": "_IOWR(0xAA, 0x09, struct uffdio_writeprotect)",
    "__NR_userfaultfd": None,
    "__NR_ioctl": None,
    "MAP_SHARED": None,
    "MAP_PRIVATE": None,
    "MAP_ANONYMOUS": None,
    "MAP_NORESERVE": None,
    "MAP_HUGETLB": None,
    "MAP_FIXED": None,
    "MAP_FIXED_NOREPLACE": "0x100000",
    "MAP_HUGE_SHIFT": "26",
    "MFD_CLOEXEC": "1U",
    "MFD_HUGETLB": "4U",
    "MREMAP_MAYMOVE": None,
    "MREMAP_FIXED": None,
    "MREMAP_DONTUNMAP": "4",
    "MADV_DONTNEED": None,
    "MADV_FREE": "8",
    "MADV_REMOVE": None,
    "MADV_HUGEPAGE": None,
    "MADV_NOHUGEPAGE": None,
    "MADV_COLD": "20",
    "MADV_PAGEOUT": "21",
    "MADV_COLLAPSE": "25",
    "MADV_POPULATE_WRITE": "23",
    "MADV_MERGEABLE": "12",
    "MADV_HWPOISON": "100",
    "MADV_GUARD_INSTALL": "102",
    "MADV_GUARD_REMOVE": "103",
}

PM_SCAN_ARG_FIELDS = (
    "size",
    "flags",
    "start",
    "end",
    "walk_end",
    "vec",
    "vec_len",
    "max_pages",
    "category_inverted",
    "category_mask",
    "category_anyof_mask",
    "return_mask",
)

#: Structures, each with the name of a macro by which one tells that the machine's headers have it.
STRUCTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "page_region": ("PAGEMAP_SCAN", ("start", "end", "categories")),
    "pm_scan_arg": ("PAGEMAP_SCAN", PM_SCAN_ARG_FIELDS),
    "uffdio_range": ("UFFDIO_API", ("start", "len")),
    "uffdio_api": ("UFFDIO_API", ("api", "features", "ioctls")),
    "uffdio_register": ("UFFDIO_API", ("range.start", "range.len", "mode", "ioctls")),
    "uffdio_writeprotect": ("UFFDIO_API", ("range.start", "range.len", "mode")),
    "uffdio_copy": ("UFFDIO_API", ("dst", "src", "len", "mode", "copy")),
    "uffdio_move": ("UFFDIO_MOVE", ("dst", "src", "len", "mode", "move")),
    "uffdio_continue": ("UFFDIO_CONTINUE", ("range.start", "range.len", "mode", "mapped")),
    "uffdio_poison": ("UFFDIO_POISON", ("range.start", "range.len", "mode", "updated")),
    "uffdio_zeropage": ("UFFDIO_API", ("range.start", "range.len", "mode", "zeropage")),
}
