"""A child, to be scanned: it stores where it is told to, and does nothing else."""

from __future__ import annotations

import os
import signal

from helpers.interface.native import SuiteError, checked, ffi, lib
from helpers.kernel.access import answer_of
from helpers.kernel.sizes import Sizes
from helpers.kernel.tracking import TrackingOfWrites
from helpers.operations import Answer, ChildWrite, Fork, KillChild, Tracking, len_of


class Processes(TrackingOfWrites):
    """fork(2), what the child does, and its end."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.child: int | None = None
        #: What the child is told by; and its userfaultfd, where it has one of its own.
        self.of_child: list[int] = []

    def fork(self, op: Fork) -> None:
        fds = ffi.new("int[2]", (-1, -1))
        self.child = checked(lib.native_fork(self.userfaultfds.get(Tracking.FOLLOWING, -1), fds), op)
        self.of_child = [fd for fd in fds if fd >= 0]
        self.pagemaps["child"] = os.open(f"/proc/{self.child}/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def child_write(self, op: ChildWrite) -> Answer:
        if self.child is None:
            raise SuiteError(f"{op}: there is no child")
        place, count = self.address(op.span.start), len_of(op.span)
        return answer_of(lib.native_child_writes(self.of_child[0], place, count, self.sizes.page), op)

    def kill_child(self, op: KillChild) -> None:
        if self.child is None:
            raise SuiteError(f"{op}: there is no child")
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        self.child = None
        for fd in self.of_child:
            os.close(fd)
        self.of_child.clear()
