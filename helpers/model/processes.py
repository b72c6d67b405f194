"""Processes: a child's memory."""

from __future__ import annotations

import errno
from dataclasses import replace

from helpers.model.access import Access
from helpers.model.facts import Refused, Unspecified
from helpers.model.pages import Content, Page, Space
from helpers.operations import ChildWrite, Fork, KillChild, Scan, Span, Tracking


class Processes(Access):
    """fork(2), and whose memory is scanned."""

    def fork(self, op: Fork) -> None:
        """userfaultfd(2): the child's memory isn't registered, unless UFFD_FEATURE_EVENT_FORK was asked for."""
        if self.child is not None:
            raise Unspecified("there is a child already")
        if any(page.content is Content.POISONED for page in self.memory.values()):
            raise Unspecified("whether what is poisoned is so for a child")
        self.has_child = True
        self.child = Space({number: self.copied(page) for number, page in self.memory.items()})
        for mapping in self.mappings():
            self.copy_tables(self.child, mapping)
        for page in self.memory.values():
            page.of_child_too = page.anonymous and page.content is Content.PRESENT

    def copy_tables(self, child: Space, mapping: Span) -> None:
        """(code) copy_page_range(), for what vma_needs_copy()."""
        if any(page.was_anonymous or page.tracking is Tracking.FOLLOWING for page in self.pages(mapping)):
            found = {unit.start // self.facts.pages_per_huge_page for unit in self.units(mapping)}
            child.tables |= found & self.memory.tables
            child.doubtful_tables |= found & self.memory.doubtful_tables
            child.has_upper_table = child.has_upper_table or self.memory.has_upper_table

    def copied(self, page: Page) -> Page:
        """A page of the child."""
        child = replace(page)
        if page.tracking is not Tracking.FOLLOWING:
            child.unregister()
        if self.may_be_left_out(page):
            child.alternative = Content.NONE
        child.may_be_small = page.huge and not page.backing.is_hugetlb
        return child

    @staticmethod
    def may_be_left_out(page: Page) -> bool:
        """Whether it may be a fault that brings the page back: (code) where the child's memory isn't registered,
        vma_needs_copy(), and what maps a file's huge page anywhere, copy_huge_pmd()."""
        if page.tracking is Tracking.FOLLOWING and not page.is_huge_of_file:
            return False
        return page.content is Content.ZERO or (page.content is Content.PRESENT and not page.anonymous)

    def child_write(self, op: ChildWrite) -> None:
        """What a child stores is recorded as what its parent does, where the child's memory is registered."""
        if self.child is None:
            raise Unspecified("there is no child")
        for number in op.span.pages():
            page = self.child[number]
            self.require_access(number, page, write=True)
            if page.huge or page.wants_huge or page.is_of_huge_page or page.was_huge_of_file:
                raise Unspecified("how much of a huge page a child gets a copy of")
            self.populate(page, write=True)
            self.make_entry(self.child, number)
            if (own := self.memory.get(number)) is not None and not page.shared:
                own.of_child_too = False
            if page.shared:
                self.fault_around(page, self.child)

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
