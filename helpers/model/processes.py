"""Processes: a child's memory."""

from __future__ import annotations

import errno
from dataclasses import replace

from helpers.model.facts import Refused, Unspecified
from helpers.model.memory import Memory
from helpers.model.pages import Content, Page, Space
from helpers.operations import Fork, KillChild, Scan, Tracking


class Processes(Memory):
    """fork(2), and whose memory is scanned."""

    def fork(self, op: Fork) -> None:
        """userfaultfd(2): without UFFD_FEATURE_EVENT_FORK the child's memory isn't registered."""
        if self.child is not None:
            raise Unspecified("there is a child already")
        self.has_child = True
        self.child = Space({number: self.copied(page) for number, page in self.memory.items()})
        for page in self.memory.values():
            page.of_child_too = page.anonymous and page.content is Content.PRESENT

    def copied(self, page: Page) -> Page:
        """A page of the child. What a fault brings back in any case, fork(2) may leave out."""
        child = replace(page, tracking=Tracking.NONE, protected=False)
        if page.content is Content.ZERO or (page.content is Content.PRESENT and not page.anonymous):
            child.alternative = Content.NONE
        child.may_be_small = page.huge and not page.backing.is_hugetlb
        return child

    def kill_child(self, op: KillChild) -> None:
        if self.child is None:
            raise Unspecified("there is no child")
        self.child = None
        for page in self.memory.values():
            page.of_child_too = False

    def space_of(self, op: Scan) -> Space:
        if op.process == "self":
            return self.memory
        if not self.has_child:
            raise Unspecified("there is no child")
        if self.child is None:
            raise Refused(errno.ESRCH)
        return self.child
