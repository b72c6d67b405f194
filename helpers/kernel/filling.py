"""Filling: the ioctls of userfaultfd that make pages, and the one that moves them."""

from __future__ import annotations

import errno
from typing import Any

from helpers.interface.native import MACHINE, checked, ffi, lib
from helpers.interface.uapi import CONSTANTS
from helpers.kernel.tracking import TrackingOfWrites
from helpers.operations import Answer, Fill, Filler, MoveIn, Refusal

#: UFFDIO_MOVE(2const): EAGAIN, where not all was moved. What is left is asked for again, so many times.
MOST_TRIES = 1000


class Filling(TrackingOfWrites):
    """What the owner of a userfaultfd gives to pages that have no content."""

    def fill(self, op: Fill) -> None:
        content = ffi.new("char[]", b"\1" * self.length(op.span))
        request, arg = self.request_of(op, int(ffi.cast("uintptr_t", content)))
        checked(lib.native_ioctl(self.userfaultfd_of(op.span), MACHINE[request], arg), op)

    def request_of(self, op: Fill, content: int) -> tuple[str, Any]:
        """The name of the ioctl and its argument. ``content``: where that is which UFFDIO_COPY copies."""
        place = self.range_of(op.span)
        match op.by:
            case Filler.ZEROPAGE:
                return "UFFDIO_ZEROPAGE", ffi.new("struct uffdio_zeropage *", {"range": place})
            case Filler.CONTINUE | Filler.CONTINUE_PROTECTED:
                mode = CONSTANTS["UFFDIO_CONTINUE_MODE_WP"] * op.by.protects
                return "UFFDIO_CONTINUE", ffi.new("struct uffdio_continue *", {"range": place, "mode": mode})
            case Filler.POISON:
                return "UFFDIO_POISON", ffi.new("struct uffdio_poison *", {"range": place})
            case Filler.COPY | Filler.COPY_PROTECTED:
                mode = CONSTANTS["UFFDIO_COPY_MODE_WP"] * op.by.protects
                copy = {"dst": place["start"], "src": content, "len": place["len"], "mode": mode}
                return "UFFDIO_COPY", ffi.new("struct uffdio_copy *", copy)

    def move_in(self, op: MoveIn) -> Answer:
        place, source = self.address(op.span.start), self.address(op.source)
        arg = ffi.new("struct uffdio_move *", {"dst": place, "src": source, "len": self.length(op.span)})
        fd, result, tries = self.userfaultfd_of(op.span), -errno.EAGAIN, 0
        while result == -errno.EAGAIN and tries < MOST_TRIES:
            result, tries = lib.native_ioctl(fd, MACHINE["UFFDIO_MOVE"], arg), tries + 1
            moved = arg.move if result and arg.move <= arg.len else 0  # What is more is a negative errno.
            arg.dst, arg.src, arg.len = arg.dst + moved, arg.src + moved, arg.len - moved
        if -result in (errno.EEXIST, errno.ENOENT, errno.EBUSY):
            return Refusal(-result)
        checked(result, op)
        return None
