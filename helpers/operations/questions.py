"""Questions: operations that ask what memory is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from helpers.interface.uapi import Category, ScanFlag
from helpers.operations.operation import Operation
from helpers.operations.places import At, Span


@dataclass(frozen=True, slots=True)
class ReadPagemap(Operation):
    """read(2) of /proc/self/pagemap. It answers a PagemapBit for each page, without the bits that tell of frames."""

    verb: ClassVar[str] = "read_pagemap"
    span: Span


@dataclass(frozen=True, slots=True)
class ReadUsage(Operation):
    """How many pages of whole mappings are PMD-mapped or hugetlb, how many in swap, by /proc/self/smaps."""

    verb: ClassVar[str] = "read_usage"
    span: Span


ROOM = 4096
"""A vec_len that is larger than the number of regions of any test that doesn't ask for truncation."""


@dataclass(frozen=True, slots=True)
class Scan(Operation):
    """``ioctl(PAGEMAP_SCAN)``.

    ``vec_len`` None: vec is NULL and its length 0. ``raw`` replaces fields of the ``pm_scan_arg`` by values
    that the other attributes can't express; ``arg`` in it is the place of the structure itself, ``request``
    the number of the ioctl. ``process`` is ``self`` or ``child``.
    """

    verb: ClassVar[str] = "scan"
    span: Span
    flags: ScanFlag = ScanFlag(0)
    mask: Category = Category(0)
    anyof: Category = Category(0)
    inverted: Category = Category(0)
    returned: Category = Category(0)
    max_pages: int = 0
    vec_len: int | None = ROOM
    raw: tuple[tuple[str, int | At], ...] = ()
    process: str = "self"
