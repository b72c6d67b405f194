"""Files that are mapped: made on first use, without a name."""

from __future__ import annotations

import os
import tempfile

from helpers.interface.native import MACHINE, SuiteError, checked, lib
from helpers.kernel.arena import Arena
from helpers.kernel.sizes import Sizes
from helpers.operations import Backing, FileWrite, Map, PunchHole, Truncate, len_of


class Files(Arena):
    """System calls on files that are mapped."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.files: dict[str, int] = {}

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

    def file_write(self, op: FileWrite) -> None:
        for page in op.span.pages():
            checked(lib.native_pwrite(self.files[op.file], b"w", 1, page * self.sizes.page), op)

    def punch_hole(self, op: PunchHole) -> None:
        checked(
            lib.native_punch_hole(self.files[op.file], op.span.start * self.sizes.page, self.length(op.span)),
            op,
        )

    def truncate(self, op: Truncate) -> None:
        for length in op.span:
            os.ftruncate(self.files[op.file], length * self.sizes.page)
