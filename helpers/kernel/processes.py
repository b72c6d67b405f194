"""A child, which does nothing, to be scanned."""

from __future__ import annotations

import os
import signal

from helpers.interface.native import SuiteError, checked, lib
from helpers.kernel.arena import Arena
from helpers.kernel.sizes import Sizes
from helpers.operations import Fork, KillChild


class Processes(Arena):
    """fork(2), and the child's end."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.child: int | None = None

    def fork(self, op: Fork) -> None:
        self.child = checked(lib.native_fork_idle(), str(op))
        self.pagemaps["child"] = os.open(f"/proc/{self.child}/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def kill_child(self, op: KillChild) -> None:
        if self.child is None:
            raise SuiteError(f"{op}: there is no child")
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        self.child = None
