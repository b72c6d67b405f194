"""PAGEMAP_SCAN, with the argument as the operation says."""

from __future__ import annotations

from functools import cache

from helpers.interface.native import MACHINE, SuiteError, ffi, lib
from helpers.interface.uapi import PM_SCAN_ARG_FIELDS, category
from helpers.kernel.arena import Arena
from helpers.kernel.mappings import PROT
from helpers.operations import At, Prot, Region, Scan, ScanResult

#: Stands in every field that only the kernel writes: what still reads so wasn't written.
UNTOUCHED = 0x5E5E5E5E5E5E5E5E


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


class Scanning(Arena):
    """The ioctl."""

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
        if page < 1 << 63 and lib.native_mprotect(page, self.sizes.page, PROT[Prot.WRITE]) == 0:
            ffi.memmove(ffi.cast("void *", place), scan_buffers().arg, size)
            lib.native_mprotect(page, self.sizes.page, PROT[Prot.READ])
