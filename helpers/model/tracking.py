"""What is recorded of memory, and from when on: userfaultfd, and soft-dirty bits."""

from __future__ import annotations

import errno

from helpers.model.facts import Unspecified
from helpers.model.memory import Memory
from helpers.operations import (
    Answer,
    Backing,
    ClearRefs,
    CloseUserfaultfd,
    Faults,
    Prot,
    Refusal,
    Register,
    RwProtect,
    Tracking,
    Unregister,
    WriteProtect,
)


class TrackingOfWrites(Memory):
    """Registration, protection, and clearing."""

    def register(self, op: Register) -> Answer:
        tracking = self.tracking_by(op)
        if any(page.tracking not in (Tracking.NONE, tracking) for page in self.pages(op.span)):
            return Refusal(errno.EBUSY)  # UFFDIO_REGISTER(2const): registered with another userfaultfd object.
        if tracking is Tracking.ACCESS and any(page.prot is Prot.NONE for page in self.pages(op.span)):
            raise Unspecified("whether memory that can't be accessed is registered for read-write protection")
        if any(page.tracking is not Tracking.NONE and page.faults & ~op.faults for page in self.pages(op.span)):
            raise Unspecified("whether memory that is registered in a mode more than is asked for goes on being so")
        if op.faults and any(page.backing is Backing.FILE for page in self.pages(op.span)):
            raise Unspecified("whether memory of a file of a file system's own is registered for faults")
        if Faults.MINOR in op.faults and any(not page.shared for page in self.pages(op.span)):
            raise Unspecified("whether memory that isn't shared is registered for minor faults")
        self.split_where(op.span, lambda page: page.tracking is not tracking or page.faults != op.faults)
        for page in self.pages(op.span):
            page.tracking, page.faults = tracking, op.faults
        return None

    def tracking_by(self, op: Register) -> Tracking:
        """linux/userfaultfd.h: WP_ASYNC implies WP_UNPOPULATED. To ask for both is the same."""
        return Tracking.ASYNC if op.tracking is Tracking.EXPLICIT else op.tracking

    def unregister(self, op: Unregister) -> None:
        if any(page.tracking is Tracking.NONE and page.backing is Backing.FILE for page in self.pages(op.span)):
            raise Unspecified("whether UFFDIO_UNREGISTER takes a file's memory that isn't registered")
        self.split_where(op.span, lambda page: page.tracking is not Tracking.NONE)
        for page in self.pages(op.span):
            page.unregister()

    def close_userfaultfd(self, op: CloseUserfaultfd) -> None:
        if self.child is not None:
            raise Unspecified("a descriptor that a child has, too, isn't closed by one of them")
        for page in self.memory.values():
            page.unregister()

    def write_protect(self, op: WriteProtect) -> Answer:
        tracked = {page.tracking.records_writes for page in self.pages(op.span)}
        if tracked == {False}:
            return Refusal(errno.ENOENT)  # UFFDIO_WRITEPROTECT(2const): not registered in write-protect mode.
        if len(tracked) > 1:
            raise Unspecified("how far UFFDIO_WRITEPROTECT comes where not all is registered")
        self.split_at_borders(op.span)
        for number in op.span.pages():
            if op.protect and number in self.memory and self.memory[number].is_huge_of_file:
                self.split(self.memory, self.unit(number))  # (code) So that each page can have a marker.
        for number, page in zip(op.span.pages(), self.pages(op.span), strict=True):
            page.protected = op.protect
            if op.protect:
                self.make_entry(self.memory, number)
        return None

    def rw_protect(self, op: RwProtect) -> None:
        """userfaultfd.rst: only what is populated can be protected from reading and writing."""
        if any(page.tracking is not Tracking.ACCESS for page in self.pages(op.span)):
            raise Unspecified("how far UFFDIO_RWPROTECT comes where not all is registered for it")
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.protected = page.is_populated

    def clear_refs(self, op: ClearRefs) -> None:
        """soft-dirty.rst: clears the soft-dirty bits of all the memory of the process."""
        self.was_cleared = True
        for page in self.memory.values():
            page.is_new = page.may_be_new = page.dirtied = False
