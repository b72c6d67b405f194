"""ACCESSED is said of what nobody accessed, or not of what somebody did."""

from __future__ import annotations

from helpers.deviations import Deviation
from helpers.model import Page
from helpers.model.bits import ACCESSED, WRITTEN
from helpers.operations import Read, Tracking


class ProtectedIsAccessed(Deviation):
    """ACCESSED is said of protected pages."""

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        return told | ACCESSED if page.tracking is Tracking.ACCESS else told


class OnlyWritesAreAccesses(Deviation):
    """A read isn't recorded."""

    def read(self, op: Read) -> None:
        was = [page.protected for page in self.pages(op.span)]
        super().read(op)
        for page, protected in zip(self.pages(op.span), was, strict=True):
            page.protected = page.protected or (protected and page.tracking is Tracking.ACCESS)


class AccessedIsWritten(Deviation):
    """WRITTEN is said of memory that is registered for read-write protection."""

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        return told | WRITTEN if told & ACCESSED else told


class HolesAreAccessed(Deviation):
    """ACCESSED is said of what isn't there."""

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        return told | ACCESSED if page.tracking is Tracking.ACCESS and not page.protected else told


class SwapLosesReadWriteProtection(Deviation):
    """A page that went to swap is ACCESSED."""

    def reclaim(self, number: int, page: Page) -> None:
        super().reclaim(number, page)
        if page.tracking is Tracking.ACCESS:
            page.protected = False
