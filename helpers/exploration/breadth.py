"""How wide the arguments of random programs are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from helpers.kinds import BY_NAME, Kind


@dataclass(frozen=True)
class Breadth:
    """How wide the arguments are drawn. ``many``: pages of a mapping now and then. ``limits``: max_pages and vec_len at
    which something may end; up to ``any_limit`` they are any number beside these.

    Those three are counted in pages, or regions, for a kernel whose huge pages have so many pages.
    """

    kinds: tuple[Kind, ...]
    many: Callable[[int], int]
    limits: Callable[[int], tuple[int, ...]]
    any_limit: Callable[[int], int]
    is_small: bool = False


#: For the small world: memory of all kinds, and limits that end among the first pages.
ALL_KINDS = Breadth(
    tuple(kind for kind in BY_NAME.values() if kind.name not in ("anon-merged", "thp-several")),
    lambda huge: 3 * huge + 3,
    lambda huge: (1, 2, 3, 4),
    lambda huge: huge - 1,
    is_small=True,
)
#: For a world of the kernel's size: so many pages that a page table doesn't hold them, and so many regions that the
#: kernel has no room for them at a time.
MANY_PAGES = Breadth(
    tuple(kind for kind in ALL_KINDS.kinds if not kind.is_huge),
    lambda huge: 2 * huge + huge // 8,
    lambda huge: (1, 2, 3, huge - 1, huge, huge + 1, 2 * huge),
    lambda huge: 4 * huge,
)
