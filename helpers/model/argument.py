"""The argument of a scan: what is refused, and where it may lie."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from helpers.interface.uapi import PM_SCAN_ARG_FIELDS
from helpers.model.bits import CHECK_WPASYNC, WP_MATCHING
from helpers.model.facts import Refused, Unspecified
from helpers.model.memory import Memory
from helpers.operations import At, Prot, Scan, Span

SCAN_ARG_SIZE = 8 * len(PM_SCAN_ARG_FIELDS)
REGION_SIZE = 24
#: Where the model's arena begins: any address that a process may use.
BASE = 1 << 36
#: No processor on which pages can be write-protected (HAVE_ARCH_USERFAULTFD_WP) gives a process addresses from here on;
#: s390 would, and has no such protection.
USER_END = 1 << 63
ADDRESSES = 1 << 64


@dataclass(slots=True)
class Argument:
    """A valid ``pm_scan_arg``: the range in pages, the rest as in the operation."""

    start: int
    end: int
    flags: int
    mask: int
    anyof: int
    inverted: int
    returned: int
    max_pages: int
    vec_len: int | None
    vec: At | None


class Arguments(Memory):
    """The argument of a scan, looked at in the order of the kernel's checks."""

    def checked(self, op: Scan) -> Argument:
        """The argument, refused in the order of the checks *(code)* when something is wrong with it."""
        raw = dict(op.raw)
        if "request" in raw:
            raise Refused(errno.EINVAL)
        if "arg" in raw and not self.is_mapped(raw["arg"], SCAN_ARG_SIZE):
            raise Refused(errno.EFAULT)
        if raw.get("size", SCAN_ARG_SIZE) != SCAN_ARG_SIZE:
            raise Refused(errno.EINVAL)
        flags = self.number(raw.get("flags", op.flags))
        if flags & ~(WP_MATCHING | CHECK_WPASYNC):
            raise Refused(errno.EINVAL)
        inverted = self.number(raw.get("category_inverted", op.inverted))
        mask = self.number(raw.get("category_mask", op.mask))
        anyof = self.number(raw.get("category_anyof_mask", op.anyof))
        returned = self.number(raw.get("return_mask", op.returned))
        if (inverted | mask | anyof | returned) & ~self.known:
            raise Refused(errno.EINVAL)
        start, end = self.checked_range(raw.get("start"), raw.get("end"), op.span)
        vec_len = self.number(raw.get("vec_len", op.vec_len or 0))
        vec = self.checked_vec(raw.get("vec"), vec_len, has_vec=op.vec_len is not None)
        max_pages = self.number(raw.get("max_pages", op.max_pages))
        return Argument(start, end, flags, mask, anyof, inverted, returned, max_pages, vec_len or None, vec)

    @staticmethod
    def number(value: int | At) -> int:
        if isinstance(value, At):
            raise Unspecified("an address where a number belongs")
        return int(value)

    def address(self, value: int | At) -> int:
        if isinstance(value, At):
            return (BASE + value.page * self.facts.page_size + value.offset) % ADDRESSES
        return value

    def checked_range(self, start: int | At | None, end: int | At | None, span: Span) -> tuple[int, int]:
        """The range in pages; end is rounded up *(code)*."""
        if start is None and end is None:
            return span
        size = self.facts.page_size
        first = self.address(At(span.start) if start is None else start)
        last = self.address(At(span.end) if end is None else end)
        if first % size:
            raise Refused(errno.EINVAL)
        if last < first or last > USER_END:
            raise Refused(errno.EFAULT)
        return (first - BASE) // size, -((BASE - last) // size)

    def checked_vec(self, vec: int | At | None, vec_len: int, has_vec: bool) -> At | None:
        is_null = vec == 0 if vec is not None else not has_vec
        if is_null and vec_len:
            raise Refused(errno.EINVAL)
        end = vec_len * REGION_SIZE + (self.address(vec) if vec is not None else 0)
        if not is_null and end > USER_END:
            raise Refused(errno.EFAULT)
        return vec if isinstance(vec, At) else None

    def is_mapped(self, place: int | At, length: int, for_writing: bool = False) -> bool:
        """Whether a process may load from, or store to, a place in the arena."""
        if not isinstance(place, At):
            return False
        last = place.page + (place.offset + length - 1) // self.facts.page_size
        for number in range(place.page + place.offset // self.facts.page_size, last + 1):
            page = self.memory.get(number)
            if page is None or page.is_unusable:
                return False
            if for_writing and page.prot is not Prot.WRITE:
                return False
        return True
