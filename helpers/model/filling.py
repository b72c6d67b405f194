"""Filling: what the owner of a userfaultfd gives to pages that have no content."""

from __future__ import annotations

from helpers.model.access import Access
from helpers.model.facts import Unspecified
from helpers.model.pages import Content, Page
from helpers.operations import Backing, Fill, Filler, Prot


class Filling(Access):
    """The ioctls of userfaultfd that make pages."""

    def fill(self, op: Fill) -> None:
        """userfaultfd.rst: a page is put where there is none. UFFDIO_COPY(2const): in mode WP it is protected at once.

        The manual page speaks of memory that is registered for missing pages as well; (code) mfill_atomic() asks for
        any registration.
        """
        if len(self.mappings_of(op.span)) > 1:
            raise Unspecified("whether more than one mapping is filled at a time")
        for page in self.pages(op.span):
            if why := self.is_not_for(op.by, page):
                raise Unspecified(f"whether {op.by.value} fills {why}")
        for number in op.span.pages():
            self.fill_page(op.by, self.memory[number])
            self.make_entry(number)

    def is_not_for(self, by: Filler, page: Page) -> str:
        """What the page is, of which no document says whether it can be filled; nothing if one does."""
        if not page.tracking.records_writes:
            return "memory that isn't registered to record writes"
        if page.content is not Content.NONE or page.alternative or page.huge is not page.backing.is_hugetlb:
            return "a page that is there, or may be"
        if page.prot is not Prot.WRITE:
            return "memory that can't be written to"
        if page.backing is Backing.FILE:
            return "a file of a file system's own"
        if by is Filler.ZEROPAGE and (page.protected or not page.is_private_anonymous or page.backing.is_hugetlb):
            return "what is protected, or isn't private anonymous memory, with zeros"
        if page.shared and (page.file, page.file_page) in self.filled:
            return "memory of a file that has the page"
        return ""

    def fill_page(self, by: Filler, page: Page) -> None:
        self.populate(page, write=by is not Filler.ZEROPAGE)
        page.was_anonymous = page.was_anonymous or not page.shared  # (code) mfill_atomic() calls anon_vma_prepare().
        page.stored = by is not Filler.ZEROPAGE
        page.protected = by is Filler.COPY_PROTECTED
