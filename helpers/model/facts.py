"""What the model has to know of a kernel, and how it says that it can't say."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from helpers.interface.uapi import Category


class Unspecified(Exception):
    """A program asks for something of which neither the documents nor this model say what comes out."""


class Refused(Exception):
    """The scan ends with an error; ``walk_end`` is a page, None when the error came before the walk."""

    def __init__(self, number: int, walk_end: int | None = None) -> None:
        super().__init__(errno.errorcode[number])
        self.errno = number
        self.walk_end = walk_end


@dataclass(frozen=True)
class Facts:
    """What has to be known of the kernel and the machine to say what is expected. All of it is probed.

    ``known``: the categories the kernel accepts. ``written_needs_registration``: WRITTEN is reported only in
    memory registered for write protection (documented since ACCESSED came: subject "userfaultfd: RWP");
    before, never having been protected was enough.
    """

    page_size: int = 4096
    pages_per_huge_page: int = 512
    known: Category = Category(0x3FF)
    written_needs_registration: bool = False
    soft_dirty: bool = False

    @property
    def has_gigantic_pages(self) -> bool:
        """Whether the huge pages are hugetlb pages of 1 GiB, which one PUD entry maps."""
        return self.page_size * self.pages_per_huge_page >= 1 << 30
