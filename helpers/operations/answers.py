"""What operations answer."""

from __future__ import annotations

import enum
import errno
from typing import NamedTuple

from helpers.interface.uapi import Category


class Region(NamedTuple):
    """A ``page_region`` in page numbers."""

    start: int
    end: int
    categories: Category


class ScanResult(NamedTuple):
    """What a scan answered.

    ``result`` is the number of regions, or ``-errno``. ``regions`` is all that was written to vec, whatever
    the result. ``walk_end`` is a page number, None when the call left the field alone.
    """

    result: int
    regions: tuple[Region, ...]
    walk_end: float | None


class Refusal(NamedTuple):
    """The answer of an operation that the kernel refuses, as a document allows it to: an errno."""

    number: int

    def __str__(self) -> str:
        return f"-1, errno {errno.errorcode.get(self.number, self.number)}"


class Unreturned(enum.Enum):
    """The answer of an operation that was ended, since it didn't come back by itself."""

    DOES_NOT_RETURN = "doesn't return"

    def __str__(self) -> str:
        return self.value


DOES_NOT_RETURN = Unreturned.DOES_NOT_RETURN
#: What an operation answers that asks nothing: None where it was carried out.
Answer = Refusal | Unreturned | None


class Usage(NamedTuple):
    """Pages of a span by what /proc/self/smaps counts."""

    huge: int
    swapped: int
