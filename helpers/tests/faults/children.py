"""A child, or its parent, isn't tracked as it should be."""

from __future__ import annotations

from helpers.deviations import Deviation
from helpers.model import Page, Space
from helpers.operations import ChildWrite, Fork, KillChild, Tracking


class ForkKeepsRegistration(Deviation):
    """A child's memory is registered as its parent's is."""

    def copied(self, page: Page) -> Page:
        child = super().copied(page)
        child.tracking = page.tracking
        return child


class ForkUnprotectsTheParent(Deviation):
    """What is copied for a child is WRITTEN in its parent."""

    def fork(self, op: Fork) -> None:
        super().fork(op)
        for page in self.memory.values():
            page.protected = page.protected and not page.of_child_too


class TheEndOfAChildUnprotects(Deviation):
    """When a child ends, its parent's memory isn't protected any more."""

    def kill_child(self, op: KillChild) -> None:
        super().kill_child(op)
        for page in self.memory.values():
            page.protected = False


class WritesToWhatAChildHasAreLost(Deviation):
    """The copy that a write makes of a page which a child has too is protected as that was."""

    def populate(self, page: Page, write: bool) -> None:
        was = page.protected and page.of_child_too
        super().populate(page, write)
        page.protected = page.protected or was


class FollowedChildIsNotRegistered(Deviation):
    """A child's memory isn't registered, though UFFD_FEATURE_EVENT_FORK was asked for."""

    def copied(self, page: Page) -> Page:
        child = super().copied(page)
        child.tracking, child.protected = Tracking.NONE, False
        return child


class FollowedChildIsNotProtected(Deviation):
    """A child that is followed is registered anew: nothing of it is protected."""

    def copied(self, page: Page) -> Page:
        child = super().copied(page)
        child.protected = False
        return child


class FollowedChildIsProtected(Deviation):
    """All memory of a child that is followed is protected: what its parent wrote before is reported to nobody."""

    def copied(self, page: Page) -> Page:
        child = super().copied(page)
        child.protected = child.tracking is Tracking.FOLLOWING
        return child


class ProtectingAChildProtectsItsParent(Deviation):
    """What a scan protects in a child is protected in its parent as well."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        super().protect(space, numbers)
        if space is self.child:
            super().protect(self.memory, [number for number in numbers if number in self.memory])


class WritesOfAChildAreLost(Deviation):
    """What a child stores stays protected."""

    def child_write(self, op: ChildWrite) -> None:
        was = [page for page in (self.child or Space()).values() if page.protected]
        super().child_write(op)
        for page in was:
            page.protected = True


class WritesOfAChildAreItsParents(Deviation):
    """What a child stores is recorded of its parent, too."""

    def child_write(self, op: ChildWrite) -> None:
        super().child_write(op)
        for number in op.span.pages():
            if number in self.memory:
                self.memory[number].protected = False
