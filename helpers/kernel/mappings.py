"""Mappings: each operation is the system call it is named after."""

from __future__ import annotations

import errno

from helpers.interface.native import MACHINE, checked, lib
from helpers.kernel.files import Files
from helpers.kernel.sizes import Sizes
from helpers.operations import Answer, Backing, Map, Move, Prot, Protection, Refusal, Resize, Span, Unmap, len_of

PROT = {Prot.NONE: 0, Prot.READ: 1, Prot.WRITE: 3}


class Mappings(Files):
    """mmap(2) and its kin."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.mapped: set[Span] = set()

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
                PROT[op.prot],
                flags | MACHINE["MAP_FIXED"],
                fd,
                op.file_page * self.sizes.page,
            ),
            op,
        )
        self.mapped.add(op.span)

    def unmap(self, op: Unmap) -> None:
        checked(lib.native_munmap(self.address(op.span.start), self.length(op.span)), op)

    def move(self, op: Move) -> None:
        to = Span(op.to, op.to + len_of(op.span))
        flags = MACHINE["MREMAP_MAYMOVE"] | MACHINE["MREMAP_FIXED"]
        if op.keeps_mapping:
            flags |= MACHINE["MREMAP_DONTUNMAP"]
        place, new_place = self.address(op.span.start), self.address(op.to)
        length = self.length(op.span)
        checked(lib.native_mremap(place, length, length, flags, new_place), op)
        self.mapped.add(to)

    def resize(self, op: Resize) -> Answer:
        new = Span(op.span.start, op.end)
        place, lengths = self.address(op.span.start), (self.length(op.span), self.length(new))
        result = lib.native_mremap(place, *lengths, 0, 0)
        if result == -errno.ENOMEM:
            self.require_memory(Span(op.span.end, op.end), op)
            return Refusal(errno.ENOMEM)
        checked(result, op)
        self.mapped.add(new)
        return None

    def require_memory(self, span: Span, doing: object) -> None:
        """ENOMEM is what mremap(2) says of room that is taken, and of limits of the process and of the machine as well.

        Raises SuiteError where such a limit refuses a mapping of its own, too.
        """
        place, length = self.address(span.start), self.length(span)
        flags = MACHINE["MAP_PRIVATE"] | MACHINE["MAP_ANONYMOUS"] | MACHINE["MAP_FIXED_NOREPLACE"]
        result = lib.native_mmap(place, length, PROT[Prot.WRITE], flags, -1, 0)
        if result == -errno.ENOMEM:
            checked(result, doing)
        if result >= 0:
            checked(lib.native_munmap(result, length), f"munmap of what was mapped beside {doing}")

    def mprotect(self, op: Protection) -> None:
        checked(lib.native_mprotect(self.address(op.span.start), self.length(op.span), PROT[op.prot]), op)
