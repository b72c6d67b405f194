"""Filling: what the owner of a userfaultfd gives to pages that have no content."""

from __future__ import annotations

import errno

from helpers.model.access import Access
from helpers.model.facts import Unspecified
from helpers.model.pages import Content, Page
from helpers.operations import Answer, Backing, Faults, Fill, Filler, MoveIn, Prot, Refusal, Span, len_of


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
            self.make_entry(self.memory, number)

    def move_in(self, op: MoveIn) -> Answer:
        """UFFDIO_MOVE(2const): what is moved is where there was nothing, and nothing is where it was.

        Neither was protected in its place by anybody: the one is WRITTEN, and so is the other, which was emptied.
        """
        source = Span(op.source, op.source + len_of(op.span))
        if op.span.start < source.end and source.start < op.span.end:
            raise Unspecified("what is moved onto itself")
        if any(len(self.mappings_of(span)) > 1 for span in (op.span, source)):
            raise Unspecified("whether more than one mapping is filled at a time")
        places, pages = [*self.pages(op.span)], [*self.pages(source)]
        for page in (*places, *pages):
            if why := self.is_not_to_be_moved(page):
                raise Unspecified(f"whether UFFDIO_MOVE moves {why}")
        if not all(page.tracking.records_writes for page in places) or any(page.protected for page in places):
            raise Unspecified("whether UFFDIO_MOVE fills memory that isn't registered, or is protected")
        for place in places:
            place.was_anonymous = True  # (code) move_pages() calls anon_vma_prepare(), whatever comes of the rest.
        if refusals := [refusal for pair in zip(places, pages, strict=True) if (refusal := self.refuses_move(*pair))]:
            if len(refusals) < len(pages):
                raise Unspecified("how far UFFDIO_MOVE comes where not all can be moved")
            return refusals[0]
        for number, place, page in zip(op.span.pages(), places, pages, strict=True):
            self.move_page(place, page)
            self.make_entry(self.memory, number)
        return None

    @staticmethod
    def is_not_to_be_moved(page: Page) -> str:
        """What the page is, of which no document says whether it can be moved, or be moved to."""
        if not page.is_private_anonymous or page.prot is not Prot.WRITE:
            return "memory that isn't private anonymous, or can't be written to"
        if page.huge or page.of_huge_frame:
            return "huge pages, or parts of them"
        if page.alternative or page.may_be_dropped or page.is_forbidden or page.content is Content.LOST:
            return "what can't be accessed, or may be gone"
        return ""

    def refuses_move(self, place: Page, page: Page) -> Refusal | None:
        """UFFDIO_MOVE(2const), of its errors."""
        if page.content is Content.NONE and page.protected:
            raise Unspecified("whether there is a page where only its protection is")
        if self.has_child and page.content is not Content.NONE and not page.of_child_too:
            raise Unspecified("whether a page that a child had is known not to be shared any more")
        reasons = {
            errno.EEXIST: place.content is not Content.NONE,
            errno.ENOENT: page.content is Content.NONE,
            errno.EBUSY: page.of_child_too,
        }
        found = [reason for reason, holds in reasons.items() if holds]
        if len(found) > 1:
            raise Unspecified("for which of two reasons UFFDIO_MOVE is refused")
        return Refusal(found[0]) if found else None

    def move_page(self, place: Page, page: Page) -> None:
        place.hold(page.content)
        place.anonymous, place.stored = page.anonymous, page.stored
        place.dirtied = page.content is not Content.ZERO  # (code) move_present_ptes() and move_swap_pte() alone say so.
        place.protected = place.discarded = False
        page.drop(keep_protection=False)
        page.discarded = True

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
        if by is Filler.POISON:
            return "what is protected, with poison" if page.protected else ""
        if by is Filler.ZEROPAGE and (page.protected or not page.is_private_anonymous or page.backing.is_hugetlb):
            return "what is protected, or isn't private anonymous memory, with zeros"
        if by.maps_what_the_file_has and (not page.backing.has_file or Faults.MINOR not in page.faults):
            return "memory that isn't a file's, or not registered for minor faults"
        if page.shared and ((page.file, page.file_page) in self.filled) is not by.maps_what_the_file_has:
            return "memory of a file that has the page" if not by.maps_what_the_file_has else "what the file hasn't"
        return ""

    def fill_page(self, by: Filler, page: Page) -> None:
        page.was_anonymous = page.was_anonymous or not page.shared  # (code) mfill_atomic() calls anon_vma_prepare().
        if by is Filler.POISON:
            page.hold(Content.POISONED)  # UFFDIO_POISON(2const): an entry in this address space alone.
            return
        self.populate(page, write=by is not Filler.ZEROPAGE)
        page.stored = by is not Filler.ZEROPAGE
        page.protected = by.protects
