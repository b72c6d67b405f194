"""Soft-dirty bits are set, kept and cleared as they shouldn't."""

from __future__ import annotations

from helpers.deviations import Deviation
from helpers.interface.uapi import PagemapBit
from helpers.model import Content, Page, Space
from helpers.operations import ClearRefs, Map


class ClearingDoesNothing(Deviation):
    """Pages stay soft-dirty."""

    def clear_refs(self, op: ClearRefs) -> None:
        return


class ClearingForgetsNewMappings(Deviation):
    """Only what was written is clean afterwards: a new mapping stays soft-dirty."""

    def clear_refs(self, op: ClearRefs) -> None:
        self.was_cleared = True
        for page in self.memory.values():
            page.dirtied = False


class ClearingUnprotects(Deviation):
    """Clearing soft-dirty bits makes pages WRITTEN."""

    def clear_refs(self, op: ClearRefs) -> None:
        super().clear_refs(op)
        for page in self.memory.values():
            page.protected = False


class ClearingProtects(Deviation):
    """Clearing soft-dirty bits makes pages that were WRITTEN unwritten."""

    def clear_refs(self, op: ClearRefs) -> None:
        super().clear_refs(op)
        for page in self.memory.values():
            page.protected = page.content is not Content.NONE


class ReadingIsSoftDirty(Deviation):
    """A page that was read is soft-dirty."""

    def populate(self, page: Page, write: bool) -> None:
        super().populate(page, write)
        page.dirtied = True


class WritingIsNotSoftDirty(Deviation):
    """A write isn't recorded."""

    def populate(self, page: Page, write: bool) -> None:
        was = page.dirtied
        super().populate(page, write)
        page.dirtied = was


class ProtectingClearsSoftDirty(Deviation):
    """WP_MATCHING makes pages clean."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        super().protect(space, numbers)
        for number in numbers:
            space[number].dirtied = False


class NewMappingsAreClean(Deviation):
    """What was mapped since soft-dirty bits were cleared isn't soft-dirty."""

    def map(self, op: Map) -> None:
        super().map(op)
        for page in self.pages(op.span):
            page.is_new = not self.was_cleared


class ExpansionLosesSoftDirty(Deviation):
    """A new mapping that becomes one with an old one isn't soft-dirty."""

    def expand(self) -> None:
        before = {number: page.is_new for number, page in self.memory.items()}
        super().expand()
        for number, page in self.memory.items():
            page.is_new = page.is_new and before[number] and number - 1 not in self.memory


class SwapLosesSoftDirty(Deviation):
    """A page that went to swap isn't soft-dirty any more."""

    def reclaim(self, number: int, page: Page) -> None:
        super().reclaim(number, page)
        page.dirtied = False


class PagemapDoesNotSaySoftDirty(Deviation):
    """read(2) of pagemap says of no page that it is soft-dirty."""

    def pagemap_bits(self, page: Page | None) -> int:
        return super().pagemap_bits(page) & ~PagemapBit.SOFT_DIRTY.value
