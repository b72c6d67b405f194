"""The running kernel as a target: each operation is the system call it is named after."""

from __future__ import annotations

import os

from helpers.interface.native import lib
from helpers.kernel.access import Access
from helpers.kernel.advice import AdviceOnPages
from helpers.kernel.filling import Filling
from helpers.kernel.mappings import Mappings
from helpers.kernel.processes import Processes
from helpers.kernel.scan import Scanning, scan_buffers
from helpers.kernel.sizes import Sizes
from helpers.kernel.tracking import FEATURES, has_features, open_userfaultfd
from helpers.kernel.witnesses import huge_zero_frame
from helpers.operations import KillChild

__all__ = ["FEATURES", "Kernel", "Sizes", "has_features", "huge_zero_frame", "open_userfaultfd", "scan_buffers"]


class Kernel(Mappings, Filling, Access, AdviceOnPages, Processes, Scanning):
    """The running kernel. Raises SuiteError when a system call fails that isn't under test."""

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
