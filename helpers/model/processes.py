"""Processes: a child's memory."""

from __future__ import annotations

import errno
from dataclasses import replace

from helpers.model.facts import Refused, Unspecified
from helpers.model.memory import Memory
from helpers.model.pages import Space
from helpers.operations import Fork, KillChild, Scan, Tracking


class Processes(Memory):
    """fork(2), and whose memory is scanned."""

    def fork(self, op: Fork) -> None:
        """userfaultfd(2): without UFFD_FEATURE_EVENT_FORK the child's memory isn't registered."""
        if not all(page.is_private_anonymous for page in self.memory.values()):
            raise Unspecified("what a fork copies of file mappings")
        self.has_child = True
        self.child = {
            number: replace(page, tracking=Tracking.NONE, protected=False) for number, page in self.memory.items()
        }

    def kill_child(self, op: KillChild) -> None:
        self.child = None

    def space_of(self, op: Scan) -> Space:
        if op.process == "self":
            return self.memory
        if not self.has_child:
            raise Unspecified("there is no child")
        if self.child is None:
            raise Refused(errno.ESRCH)
        return self.child
