"""The arena: the stretch of addresses in which all mappings of a program lie."""

from __future__ import annotations

import os
from functools import cache

from helpers.interface import procfs
from helpers.kernel.sizes import Sizes
from helpers.operations import At, Span, Target, len_of


@cache
def arena_base(huge_page: int) -> int:
    """The middle of the largest stretch of unused addresses: nobody else's mappings come near it."""
    low, high = procfs.largest_gap()
    return (low + high) // 2 // (1 << 30) * (1 << 30) // huge_page * huge_page


class Arena(Target):
    """Page numbers as addresses, and the pagemap of each process."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.base = arena_base(sizes.huge_page)
        self.pagemaps = {"self": os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)}

    def address(self, page: int) -> int:
        return self.base + page * self.sizes.page

    def length(self, span: Span) -> int:
        return len_of(span) * self.sizes.page

    def resolve(self, value: int | At) -> int:
        if isinstance(value, At):
            return self.address(value.page) + value.offset
        return value
