"""The masks select otherwise than they should, or what must be refused isn't."""

from __future__ import annotations

import errno
from dataclasses import replace

from helpers.deviations import Deviation
from helpers.model import Argument, Refused
from helpers.model.bits import CHECK_WPASYNC
from helpers.model.walk import Walk
from helpers.operations import Scan, ScanResult


class IgnoresInverted(Deviation):
    """category_inverted does nothing."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.inverted = 0
        return argument


class AnyofMeansAll(Deviation):
    """Every category of category_anyof_mask is demanded."""

    def is_selected(self, categories: int, argument: Argument) -> bool:
        told = categories ^ argument.inverted
        return super().is_selected(categories, argument) and told & argument.anyof == argument.anyof


class IgnoresCheckWpasync(Deviation):
    """CHECK_WPASYNC does nothing."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.flags &= ~CHECK_WPASYNC
        return argument


class MarksGaps(Deviation):
    """CHECK_WPASYNC finds fault with unmapped addresses."""

    def walk(self, walk: Walk) -> int:
        if walk.argument.flags & CHECK_WPASYNC:
            for number in range(walk.argument.start, walk.argument.end):
                if number not in walk.space:
                    raise Refused(errno.EPERM, walk_end=number)
        return super().walk(walk)


class EinvalIsEfault(Deviation):
    """A wrong errno."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        return found._replace(result=-errno.EFAULT) if found.result == -errno.EINVAL else found


class EfaultIsEinval(Deviation):
    """A wrong errno."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        return found._replace(result=-errno.EINVAL) if found.result == -errno.EFAULT else found


class EpermIsEinval(Deviation):
    """A wrong errno."""

    def scan(self, op: Scan) -> ScanResult:
        found = super().scan(op)
        return found._replace(result=-errno.EINVAL) if found.result == -errno.EPERM else found


class AcceptsUnknownFlags(Deviation):
    """Flags that the kernel doesn't know are ignored."""

    def checked(self, op: Scan) -> Argument:
        return super().checked(replace(op, raw=tuple(field for field in op.raw if field[0] != "flags")))


class AcceptsAnySize(Deviation):
    """size isn't looked at."""

    def checked(self, op: Scan) -> Argument:
        return super().checked(replace(op, raw=tuple(field for field in op.raw if field[0] != "size")))
