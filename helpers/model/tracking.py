"""What is recorded of memory, and from when on: userfaultfd, and soft-dirty bits."""

from __future__ import annotations

from helpers.model.memory import Memory
from helpers.operations import ClearRefs, CloseUserfaultfd, Register, RwProtect, Tracking, Unregister, WriteProtect


class TrackingOfWrites(Memory):
    """Registration, protection, and clearing."""

    def register(self, op: Register) -> None:
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.tracking = self.tracking_by(op)

    def tracking_by(self, op: Register) -> Tracking:
        """linux/userfaultfd.h: WP_ASYNC implies WP_UNPOPULATED. To ask for both is the same."""
        return Tracking.ASYNC if op.tracking is Tracking.EXPLICIT else op.tracking

    def unregister(self, op: Unregister) -> None:
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.tracking, page.protected = Tracking.NONE, False

    def close_userfaultfd(self, op: CloseUserfaultfd) -> None:
        for page in self.memory.values():
            page.tracking, page.protected = Tracking.NONE, False

    def write_protect(self, op: WriteProtect) -> None:
        self.split_at_borders(op.span)
        for number in op.span.pages():
            if op.protect and number in self.memory and self.memory[number].is_huge_of_file:
                self.split(self.memory, self.unit(number))  # (code) So that each page can have a marker.
        for number, page in zip(op.span.pages(), self.pages(op.span), strict=True):
            page.protected = op.protect
            if op.protect:
                self.make_entry(number)

    def rw_protect(self, op: RwProtect) -> None:
        """userfaultfd.rst: only what is populated can be protected from reading and writing."""
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.protected = page.is_populated

    def clear_refs(self, op: ClearRefs) -> None:
        """soft-dirty.rst: clears the soft-dirty bits of all the memory of the process."""
        self.was_cleared = True
        for page in self.memory.values():
            page.is_new = page.may_be_new = page.dirtied = False
