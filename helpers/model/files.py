"""Files: what becomes of their mappings when they are written to, punched and cut."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.model.facts import Unspecified
from helpers.model.memory import Memory
from helpers.model.pages import Content, Page
from helpers.operations import FileWrite, PunchHole, Span, Truncate


class Files(Memory):
    """System calls on files that are mapped."""

    def file_write(self, op: FileWrite) -> None:
        """write(2) on a file goes past the mappings: none of them records it."""
        self.filled |= {(op.file, page) for page in op.span.pages()}

    def content_of_file(self, file: str, span: Span) -> Iterator[Page]:
        """(code) zap_nonpresent_ptes(): guard regions are of the mapping, whatever becomes of the file."""
        pages = [*self.pages_of_file(file, span)]
        if any(page.content is Content.POISONED for page in pages):
            raise Unspecified("whether pages are poisoned still that the file has lost")
        return (page for page in pages if page.content is not Content.GUARD)

    def punch_hole(self, op: PunchHole) -> None:
        """userfaultfd.rst: MADV_REMOVE, which is the same, drops the protection.

        Private copies stay, (code) but not those of hugetlb memory: hugetlb_vmdelete_list() unmaps all that map the
        file.
        """
        for page in self.content_of_file(op.file, op.span):
            if not page.anonymous or page.backing.is_hugetlb:
                page.drop(keep_protection=False)
                page.discarded = True
        self.empty(op.file, op.span)

    def truncate(self, op: Truncate) -> None:
        """(code) Private copies go too. Protection stays, but that of hugetlb memory."""
        for page in self.content_of_file(op.file, op.span):
            page.drop(keep_protection=not page.backing.is_hugetlb)
            page.discarded = False
        self.empty(op.file, op.span)

    def empty(self, file: str, span: Span) -> None:
        self.filled -= {(file, page) for page in span.pages()}
