"""Regions, the return value and walk_end are wrong."""

from __future__ import annotations

from helpers.deviations import Deviation
from helpers.interface.uapi import Category
from helpers.model import Argument
from helpers.model.walk import Walk
from helpers.operations import Scan, ScanResult


class LosesLastRegion(Deviation):
    """The last of several regions isn't reported."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        if found.result < 2:
            return found
        return ScanResult(found.result - 1, found.regions[:-1], found.walk_end)


class CountsWrongly(Deviation):
    """The return value is one too large when vec is full."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        return found._replace(result=found.result + 1) if found.result == op.vec_len else found


class WalkEndIsAlwaysEnd(Deviation):
    """A truncated walk says that it has come to the end."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        return found._replace(walk_end=op.span.end) if found.result >= 0 else found


class WalkEndIsOneTooFar(Deviation):
    """A truncated walk skips a page."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        if found.result < 0 or found.walk_end is None or found.walk_end >= op.span.end:
            return found
        return found._replace(walk_end=found.walk_end + 1)


class WalkEndIsOneTooShort(Deviation):
    """A truncated walk reports a page twice."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        if found.result >= 0 and (found.walk_end is None or op.span.end > found.walk_end > op.span.start):
            return found._replace(walk_end=(found.walk_end or 1) - 1)
        return found


class WalkEndIsNotWritten(Deviation):
    """walk_end is left alone."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        return found._replace(walk_end=None) if found.result >= 0 else found


class RegionsOverlap(Deviation):
    """A region reaches a page into the next."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        if found.result < 2:
            return found
        first = found.regions[0]
        return found._replace(regions=(first._replace(end=first.end + 1), *found.regions[1:]))


class DoesNotMerge(Deviation):
    """Neighbours with equal categories are regions of their own."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        if found.result != 1 or found.regions[0].end - found.regions[0].start < 2:
            return found
        only = found.regions[0]
        halves = (only._replace(end=only.start + 1), only._replace(start=only.start + 1))
        return ScanResult(2, halves, found.walk_end)


class IgnoresMaxPages(Deviation):
    """max_pages doesn't limit."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.max_pages = 0
        return argument


class MaxPagesIsOneTooMany(Deviation):
    """max_pages lets a page more through."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.max_pages += argument.max_pages > 0
        return argument


class IgnoresVecLen(Deviation):
    """More regions are written than vec has room for."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.vec_len = argument.vec_len and argument.vec_len + 1
        return argument


class IgnoresReturnMask(Deviation):
    """Categories are reported that nobody asked for."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.returned = self.known
        return argument


class ReportsInverted(Deviation):
    """Categories are reported as they match, not as they are."""

    def walk(self, walk: Walk) -> int:
        walk_end = super().walk(walk)
        inverted = walk.argument.inverted & walk.argument.returned
        walk.output.regions = [
            region._replace(categories=Category(region.categories ^ inverted)) for region in walk.output.regions
        ]
        return walk_end
