"""The running kernel as a target: each operation is the system call it is named after."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from helpers.interface import procfs
from helpers.interface.native import MACHINE, SuiteError, checked, ffi, lib
from helpers.interface.uapi import CONSTANTS, PM_SCAN_ARG_FIELDS, PagemapBit, category
from helpers.operations import (
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
    Usage,
    Write,
    WriteProtect,
    len_of,
)

#: Stands in every field that only the kernel writes: what still reads so wasn't written.
UNTOUCHED = 0x5E5E5E5E5E5E5E5E
#: Patience with a kernel that declines to reclaim pages for a moment, in seconds.
RECLAIM_LIMIT = 20.0
_PROT = {Prot.NONE: 0, Prot.READ: 1, Prot.WRITE: 3}
_OPEN = os.O_RDWR | os.O_CLOEXEC


@dataclass(frozen=True)
class Sizes:
    """Sizes of pages in bytes, and where files of a real file system and of tmpfs may be made."""

    page: int
    huge_page: int
    disk: Path | None = None
    tmpfs: Path | None = None

    @property
    def pages_per_huge_page(self) -> int:
        return self.huge_page // self.page


@cache
def arena_base(huge_page: int) -> int:
    """The middle of the largest stretch of unused addresses: nobody else's mappings come near it."""
    low, high = procfs.largest_gap()
    return (low + high) // 2 // (1 << 30) * (1 << 30) // huge_page * huge_page


def open_userfaultfd(features: int) -> int:
    """A userfaultfd for faults in user mode, which needs no privilege.

    Returns the descriptor, or -errno of userfaultfd(2) or UFFDIO_API.
    """
    fd = lib.native_userfaultfd(os.O_CLOEXEC | os.O_NONBLOCK | CONSTANTS["UFFD_USER_MODE_ONLY"])
    if fd < 0:
        return int(fd)
    api = ffi.new("struct uffdio_api *", {"api": CONSTANTS["UFFD_API"], "features": features})
    refused = lib.native_ioctl(fd, MACHINE["UFFDIO_API"], api)
    if refused < 0:
        os.close(fd)
        return int(refused)
    return int(fd)


_WP = CONSTANTS["UFFD_FEATURE_PAGEFAULT_FLAG_WP"] | CONSTANTS["UFFD_FEATURE_WP_HUGETLBFS_SHMEM"]
#: The counts of smaps that are of memory mapped by huge pages.
HUGE_COUNTS = ("AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb")

FEATURES = {
    Tracking.SYNC: _WP | CONSTANTS["UFFD_FEATURE_WP_UNPOPULATED"],
    Tracking.ASYNC: _WP | CONSTANTS["UFFD_FEATURE_WP_UNPOPULATED"] | CONSTANTS["UFFD_FEATURE_WP_ASYNC"],
    Tracking.ACCESS: CONSTANTS["UFFD_FEATURE_RWP"] | CONSTANTS["UFFD_FEATURE_RWP_ASYNC"],
}


@cache
def huge_zero_frame() -> int:
    """The first frame of the huge zero page, -1 when it can't be found out.

    Read memory that asks for huge pages, in a place of its own, and see which frame is behind it.
    """
    length = procfs.meminfo().get("Hugepagesize", 0)
    flags = MACHINE["MAP_PRIVATE"] | MACHINE["MAP_ANONYMOUS"] | MACHINE["MAP_NORESERVE"]
    place = checked(lib.native_mmap(0, 2 * length, _PROT[Prot.READ], flags, -1, 0), "mmap")
    aligned = -(-place // length) * length
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lib.native_madvise(aligned, length, MACHINE["MADV_HUGEPAGE"])
        lib.native_read(aligned, 1, length)
        first, second = procfs.frames(pagemap, aligned, 2, os.sysconf("SC_PAGE_SIZE"))
        return first if second == first + 1 else -1
    finally:
        os.close(pagemap)
        lib.native_munmap(place, 2 * length)


class ScanBuffers:
    """A ``pm_scan_arg`` and a vec that are used again by every scan of this process.

    Every entry of vec reads UNTOUCHED in its start before a scan.
    """

    def __init__(self, entries: int) -> None:
        self.arg = ffi.new("struct pm_scan_arg *")
        self.vec = ffi.new("struct page_region[]", entries + 1)
        self.address = int(ffi.cast("uintptr_t", self.vec))
        for entry in self.vec:
            entry.start = UNTOUCHED

    def take(self, base: int, page_size: int) -> tuple[Region, ...]:
        """The regions that were written, in page numbers; the entries are made UNTOUCHED again."""
        regions = []
        for entry in self.vec:
            if entry.start == UNTOUCHED:
                break
            regions.append(
                Region(
                    (entry.start - base) // page_size,
                    (entry.end - base) // page_size,
                    category(entry.categories),
                )
            )
            entry.start = UNTOUCHED
        return tuple(regions)


@cache
def scan_buffers() -> ScanBuffers:
    """The buffers of this process."""
    return ScanBuffers(1 << 16)


@dataclass
class Kernel(Target):
    """The running kernel. Raises SuiteError when a system call fails that isn't under test."""

    sizes: Sizes
    files: dict[str, int] = field(default_factory=dict)
    mapped: set[Span] = field(default_factory=set)
    userfaultfds: dict[Tracking, int] = field(default_factory=dict)
    child: int | None = None
    pagemaps: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = arena_base(self.sizes.huge_page)
        self.pagemaps["self"] = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        for fd in self.userfaultfds.values():
            os.close(fd)
        self.userfaultfds.clear()
        for span in self.mapped:
            lib.native_munmap(self.address(span.start), self.length(span))
        self.mapped.clear()
        for fd in self.files.values():
            os.close(fd)
        self.files.clear()
        if self.child is not None:
            self.kill_child(KillChild())
        for fd in self.pagemaps.values():
            os.close(fd)
        self.pagemaps.clear()

    # --- Addresses --------------------------------------------------------------------------------------

    def address(self, page: int) -> int:
        return self.base + page * self.sizes.page

    def length(self, span: Span) -> int:
        return len_of(span) * self.sizes.page

    def resolve(self, value: int | At) -> int:
        if isinstance(value, At):
            return self.address(value.page) + value.offset
        return value

    # --- Mappings ---------------------------------------------------------------------------------------

    def map(self, op: Map) -> None:
        flags = MACHINE["MAP_SHARED"] if op.shared else MACHINE["MAP_PRIVATE"]
        fd = self.file_of(op) if op.backing.has_file else -1
        if not op.backing.has_file:
            flags |= MACHINE["MAP_ANONYMOUS"]
        if op.backing is Backing.HUGETLB:
            flags |= MACHINE["MAP_HUGETLB"] | self.log2_of_huge_page() << MACHINE["MAP_HUGE_SHIFT"]
        checked(
            lib.native_mmap(
                self.address(op.span.start),
                self.length(op.span),
                _PROT[op.prot],
                flags | MACHINE["MAP_FIXED_NOREPLACE"],
                fd,
                op.file_page * self.sizes.page,
            ),
            str(op),
        )
        self.mapped.add(op.span)

    def log2_of_huge_page(self) -> int:
        return self.sizes.huge_page.bit_length() - 1

    def file_of(self, op: Map) -> int:
        """The file that the mapping names, made on first use and long enough for the mapping."""
        if op.file not in self.files:
            self.files[op.file] = self.new_file(op)
        fd = self.files[op.file]
        length = (op.file_page + len_of(op.span)) * self.sizes.page
        if os.fstat(fd).st_size < length:
            os.ftruncate(fd, length)
        return fd

    def new_file(self, op: Map) -> int:
        if op.backing is Backing.MEMFD:
            return os.memfd_create("pagemap-scan", os.MFD_CLOEXEC)
        if op.backing is Backing.HUGETLB_MEMFD:
            size = self.log2_of_huge_page() << MACHINE["MAP_HUGE_SHIFT"]
            return os.memfd_create("pagemap-scan", os.MFD_CLOEXEC | MACHINE["MFD_HUGETLB"] | size)
        directory = self.sizes.tmpfs if op.backing is Backing.TMPFS else self.sizes.disk
        if directory is None:
            raise SuiteError(f"there is no directory for {op.backing.value}")
        with tempfile.TemporaryFile(dir=directory) as file:
            return os.dup(file.fileno())

    def unmap(self, op: Unmap) -> None:
        checked(lib.native_munmap(self.address(op.span.start), self.length(op.span)), str(op))

    def move(self, op: Move) -> None:
        to = Span(op.to, op.to + len_of(op.span))
        checked(lib.native_mremap(self.address(op.span.start), self.length(op.span), self.address(op.to)), str(op))
        self.mapped.add(to)

    def mprotect(self, op: Protection) -> None:
        checked(lib.native_mprotect(self.address(op.span.start), self.length(op.span), _PROT[op.prot]), str(op))

    # --- Advice -----------------------------------------------------------------------------------------

    def advise(self, op: Advise) -> None:
        if op.advice is Advice.HWPOISON:
            self.lose_memory(op)
            return
        self.madvise(op)
        if op.advice is Advice.PAGEOUT:
            self.wait_until_reclaimed(op)
        elif op.advice is Advice.MERGEABLE:
            self.wait_until_merged(op)

    def madvise(self, op: Advise) -> None:
        advice = MACHINE[f"MADV_{op.advice.name}"]
        result = lib.native_madvise(self.address(op.span.start), self.length(op.span), advice)
        if op.advice is Advice.NOHUGEPAGE and result == -errno.EINVAL:
            return  # A kernel that is built without huge pages has none to keep away.
        checked(result, str(op))

    def lose_memory(self, op: Advise) -> None:
        """The process is told by SIGBUS what it has lost, before it touches it; without a handler it would die."""
        before = signal.signal(signal.SIGBUS, lambda number, frame: None)
        try:
            self.madvise(op)
        finally:
            signal.signal(signal.SIGBUS, before or signal.SIG_DFL)

    def wait_until_reclaimed(self, op: Advise) -> None:
        """Asks again until no page is mapped. The zero page and hugetlb never leave."""
        deadline = time.monotonic() + RECLAIM_LIMIT
        while self.present_pages(op.span):
            if time.monotonic() > deadline:
                raise SuiteError(f"{op}: pages are still mapped after {RECLAIM_LIMIT:.0f} s")
            self.madvise(op)

    def wait_until_merged(self, op: Advise) -> None:
        """Until KSM, whose thread comes by when it likes, has put one frame behind all pages."""
        deadline = time.monotonic() + RECLAIM_LIMIT
        pagemap, first = self.pagemaps["self"], self.address(op.span.start)
        while len(set(procfs.frames(pagemap, first, len_of(op.span), self.sizes.page))) > 1:
            if time.monotonic() > deadline:
                raise SuiteError(f"{op}: pages aren't merged after {RECLAIM_LIMIT:.0f} s")

    def present_pages(self, span: Span) -> int:
        return sum(PagemapBit.PRESENT in bits for bits in self.read_pagemap(ReadPagemap(span)))

    # --- userfaultfd ------------------------------------------------------------------------------------

    def userfaultfd(self, tracking: Tracking) -> int:
        if tracking not in self.userfaultfds:
            fd = open_userfaultfd(FEATURES[tracking])
            self.userfaultfds[tracking] = checked(fd, "userfaultfd")
        return self.userfaultfds[tracking]

    def range_of(self, span: Span) -> dict[str, int]:
        return {"start": self.address(span.start), "len": self.length(span)}

    def register(self, op: Register) -> None:
        mode = "RWP" if op.tracking is Tracking.ACCESS else "WP"
        arg = ffi.new(
            "struct uffdio_register *",
            {"range": self.range_of(op.span), "mode": CONSTANTS[f"UFFDIO_REGISTER_MODE_{mode}"]},
        )
        checked(lib.native_ioctl(self.userfaultfd(op.tracking), MACHINE["UFFDIO_REGISTER"], arg), str(op))

    def unregister(self, op: Unregister) -> None:
        arg = ffi.new("struct uffdio_range *", self.range_of(op.span))
        checked(lib.native_ioctl(self.userfaultfd(Tracking.ASYNC), MACHINE["UFFDIO_UNREGISTER"], arg), str(op))

    def close_userfaultfd(self, op: CloseUserfaultfd) -> None:
        for fd in self.userfaultfds.values():
            os.close(fd)
        self.userfaultfds.clear()

    def write_protect(self, op: WriteProtect) -> None:
        mode = CONSTANTS["UFFDIO_WRITEPROTECT_MODE_WP"] if op.protect else 0
        arg = ffi.new("struct uffdio_writeprotect *", {"range": self.range_of(op.span), "mode": mode})
        fd = next(iter(self.userfaultfds.values()), None)
        if fd is None:
            raise SuiteError(f"{op}: nothing is registered")
        checked(lib.native_ioctl(fd, MACHINE["UFFDIO_WRITEPROTECT"], arg), str(op))

    def rw_protect(self, op: RwProtect) -> None:
        mode = CONSTANTS["UFFDIO_RWPROTECT_MODE_RWP"]
        arg = ffi.new("struct uffdio_writeprotect *", {"range": self.range_of(op.span), "mode": mode})
        checked(lib.native_ioctl(self.userfaultfd(Tracking.ACCESS), MACHINE["UFFDIO_RWPROTECT"], arg), str(op))

    # --- Access -----------------------------------------------------------------------------------------

    def read(self, op: Read) -> None:
        lib.native_read(self.address(op.span.start), len_of(op.span), self.sizes.page)

    def write(self, op: Write) -> None:
        lib.native_write(self.address(op.span.start), len_of(op.span), self.sizes.page)

    def kernel_write(self, op: KernelWrite) -> None:
        zeros = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for page in op.span.pages():
                checked(lib.native_read_into(zeros, self.address(page), 1), str(op))
        finally:
            os.close(zeros)

    def file_write(self, op: FileWrite) -> None:
        for page in op.span.pages():
            checked(lib.native_pwrite(self.files[op.file], b"w", 1, page * self.sizes.page), str(op))

    def punch_hole(self, op: PunchHole) -> None:
        checked(
            lib.native_punch_hole(self.files[op.file], op.span.start * self.sizes.page, self.length(op.span)),
            str(op),
        )

    def truncate(self, op: Truncate) -> None:
        for length in op.span:
            os.ftruncate(self.files[op.file], length * self.sizes.page)

    # --- Processes --------------------------------------------------------------------------------------

    def clear_refs(self, op: ClearRefs) -> None:
        Path("/proc/self/clear_refs").write_text("4")

    def fork(self, op: Fork) -> None:
        self.child = checked(lib.native_fork_idle(), str(op))
        self.pagemaps["child"] = os.open(f"/proc/{self.child}/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def kill_child(self, op: KillChild) -> None:
        if self.child is None:
            raise SuiteError(f"{op}: there is no child")
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        self.child = None

    # --- Other witnesses --------------------------------------------------------------------------------

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

    # --- The scan ---------------------------------------------------------------------------------------

    def scan(self, op: Scan) -> ScanResult:
        buffers = scan_buffers()
        arg = buffers.arg
        arg.size = ffi.sizeof("struct pm_scan_arg")
        arg.flags = op.flags
        arg.start = self.address(op.span.start)
        arg.end = self.address(op.span.end)
        arg.walk_end = UNTOUCHED
        arg.vec = 0 if op.vec_len is None else buffers.address
        arg.vec_len = op.vec_len or 0
        arg.max_pages = op.max_pages
        arg.category_inverted = op.inverted
        arg.category_mask = op.mask
        arg.category_anyof_mask = op.anyof
        arg.return_mask = op.returned
        if op.raw:
            return self.scan_raw(op)
        result = int(lib.native_ioctl(self.pagemaps[op.process], MACHINE["PAGEMAP_SCAN"], arg))
        return ScanResult(result, buffers.take(self.base, self.sizes.page), self.page_of(arg.walk_end))

    def page_of(self, address: int) -> float | None:
        """An address as page number; not whole for an address inside a page."""
        if address == UNTOUCHED:
            return None
        page, offset = divmod(address - self.base, self.sizes.page)
        return page + offset / self.sizes.page if offset else page

    def scan_raw(self, op: Scan) -> ScanResult:
        """A scan some of whose fields were replaced; vec and the argument may lie in the arena."""
        buffers = scan_buffers()
        arg, vec, place = buffers.arg, None, None
        request = MACHINE["PAGEMAP_SCAN"]
        for name, value in op.raw:
            match name:
                case "request":
                    request = self.resolve(value)
                case "arg":
                    place = self.resolve(value)
                case _ if name in PM_SCAN_ARG_FIELDS:
                    setattr(arg, name, self.resolve(value))
                case _:
                    raise SuiteError(f"{op}: there is no field {name}")
            if name == "vec" and isinstance(value, At):
                vec = ffi.cast("struct page_region *", self.resolve(value))
        pointer = arg
        if place is not None:
            pointer = ffi.cast("struct pm_scan_arg *", place)
            self.store_argument(place)
        result = int(lib.native_ioctl(self.pagemaps[op.process], request, pointer))
        regions = buffers.take(self.base, self.sizes.page)
        if vec is not None and result > 0:
            regions = tuple(self.region_of(vec[index]) for index in range(result))
        return ScanResult(result, regions, self.page_of(arg.walk_end))

    def region_of(self, entry: object) -> Region:
        start, end, categories = (getattr(entry, name) for name in ("start", "end", "categories"))
        size = self.sizes.page
        return Region((start - self.base) // size, (end - self.base) // size, category(categories))

    def store_argument(self, place: int) -> None:
        """Puts the argument where the kernel shall look for it; nothing is put where nothing is mapped.

        Memory that may only be read is made writable for the moment: the other way, writing to /proc/self/mem, is
        closed on kernels with CONFIG_PROC_MEM_NO_FORCE.
        """
        size = ffi.sizeof("struct pm_scan_arg")
        page = place // self.sizes.page * self.sizes.page
        if page < 1 << 63 and lib.native_mprotect(page, self.sizes.page, _PROT[Prot.WRITE]) == 0:
            ffi.memmove(ffi.cast("void *", place), scan_buffers().arg, size)
            lib.native_mprotect(page, self.sizes.page, _PROT[Prot.READ])
