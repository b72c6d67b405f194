"""userfaultfd, and clearing soft-dirty bits."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from helpers.interface.native import MACHINE, checked, ffi, lib
from helpers.interface.uapi import CONSTANTS
from helpers.kernel.arena import Arena
from helpers.kernel.sizes import Sizes
from helpers.operations import (
    Answer,
    ClearRefs,
    CloseUserfaultfd,
    Refusal,
    Register,
    RwProtect,
    Span,
    Tracking,
    Unregister,
    WriteProtect,
)


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


def has_features(*names: str) -> bool:
    """Whether there is a userfaultfd that has all of some features, by their names without UFFD_FEATURE."""
    if (fd := open_userfaultfd(_features(*names))) >= 0:
        os.close(fd)
    return fd >= 0


def _features(*names: str) -> int:
    return sum(CONSTANTS[f"UFFD_FEATURE_{name}"] for name in names)


#: The features that a userfaultfd is asked for. Asynchronous tracking asks for WP_ASYNC alone: all that is asked of it
#: stands on what linux/userfaultfd.h says that this implies.
FEATURES = {
    Tracking.SYNC: _features("PAGEFAULT_FLAG_WP", "WP_HUGETLBFS_SHMEM", "WP_UNPOPULATED"),
    Tracking.ASYNC: _features("WP_ASYNC"),
    Tracking.EXPLICIT: _features("WP_ASYNC", "WP_UNPOPULATED"),
    Tracking.FOLLOWING: _features("WP_ASYNC", "EVENT_FORK"),
    Tracking.ACCESS: _features("RWP", "RWP_ASYNC"),
}


class TrackingOfWrites(Arena):
    """Registration, protection, and clearing."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.userfaultfds: dict[Tracking, int] = {}
        #: What was registered, and how, the last first.
        self.registered: list[tuple[Span, Tracking]] = []

    def userfaultfd_of(self, span: Span) -> int:
        """That with which a part of the span was registered last; one of its own where nothing was."""
        found = (how for one, how in self.registered if one.start < span.end and span.start < one.end)
        return self.userfaultfd(next(found, Tracking.ASYNC))

    def userfaultfd(self, tracking: Tracking) -> int:
        if tracking not in self.userfaultfds:
            fd = open_userfaultfd(FEATURES[tracking])
            self.userfaultfds[tracking] = checked(fd, "userfaultfd")
        return self.userfaultfds[tracking]

    def range_of(self, span: Span) -> dict[str, int]:
        return {"start": self.address(span.start), "len": self.length(span)}

    def register(self, op: Register) -> Answer:
        modes = ["RWP" if op.tracking is Tracking.ACCESS else "WP", *(fault.name for fault in op.faults)]
        mode = sum(CONSTANTS[f"UFFDIO_REGISTER_MODE_{name}"] for name in modes)
        arg = ffi.new("struct uffdio_register *", {"range": self.range_of(op.span), "mode": mode})
        result = lib.native_ioctl(self.userfaultfd(op.tracking), MACHINE["UFFDIO_REGISTER"], arg)
        if result == -errno.EBUSY:
            return Refusal(errno.EBUSY)
        checked(result, op)
        self.registered.insert(0, (op.span, op.tracking))
        return None

    def unregister(self, op: Unregister) -> None:
        arg = ffi.new("struct uffdio_range *", self.range_of(op.span))
        checked(lib.native_ioctl(self.userfaultfd_of(op.span), MACHINE["UFFDIO_UNREGISTER"], arg), op)

    def close_userfaultfd(self, op: CloseUserfaultfd) -> None:
        for fd in self.userfaultfds.values():
            os.close(fd)
        self.userfaultfds.clear()

    def write_protect(self, op: WriteProtect) -> Answer:
        mode = CONSTANTS["UFFDIO_WRITEPROTECT_MODE_WP"] if op.protect else 0
        arg = ffi.new("struct uffdio_writeprotect *", {"range": self.range_of(op.span), "mode": mode})
        result = lib.native_ioctl(self.userfaultfd_of(op.span), MACHINE["UFFDIO_WRITEPROTECT"], arg)
        if result == -errno.ENOENT:
            return Refusal(errno.ENOENT)
        checked(result, op)
        return None

    def rw_protect(self, op: RwProtect) -> None:
        mode = CONSTANTS["UFFDIO_RWPROTECT_MODE_RWP"]
        arg = ffi.new("struct uffdio_writeprotect *", {"range": self.range_of(op.span), "mode": mode})
        checked(lib.native_ioctl(self.userfaultfd(Tracking.ACCESS), MACHINE["UFFDIO_RWPROTECT"], arg), op)

    def clear_refs(self, op: ClearRefs) -> None:
        Path("/proc/self/clear_refs").write_text("4")
