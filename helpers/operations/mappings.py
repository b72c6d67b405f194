"""Mappings: made, removed, moved, and their access rights."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation
from helpers.operations.places import Span


class Backing(enum.Enum):
    """What a mapping maps."""

    ANON = "anonymous memory"
    MEMFD = "a memfd"
    TMPFS = "a file on tmpfs"
    FILE = "a file on a real file system"
    HUGETLB = "hugetlb"
    HUGETLB_MEMFD = "a hugetlb memfd"

    @property
    def is_hugetlb(self) -> bool:
        return self in (Backing.HUGETLB, Backing.HUGETLB_MEMFD)

    @property
    def has_file(self) -> bool:
        return self not in (Backing.ANON, Backing.HUGETLB)


class Prot(enum.Enum):
    """Access rights of a mapping."""

    NONE = "PROT_NONE"
    READ = "PROT_READ"
    WRITE = "PROT_READ|PROT_WRITE"


@dataclass(frozen=True, slots=True)
class Map(Operation):
    """mmap(2) at a fixed place, instead of what is mapped there. Mappings that name the same ``file`` map the same one,
    from ``file_page`` on."""

    verb: ClassVar[str] = "map"
    span: Span
    backing: Backing = Backing.ANON
    shared: bool = False
    prot: Prot = Prot.WRITE
    file: str = ""
    file_page: int = 0


@dataclass(frozen=True, slots=True)
class Unmap(Operation):
    """munmap(2)."""

    verb: ClassVar[str] = "unmap"
    span: Span


@dataclass(frozen=True, slots=True)
class Move(Operation):
    """mremap(2) to another place of the same size, instead of what is mapped there. ``keeps_mapping``: the pages go,
    the mapping stays (MREMAP_DONTUNMAP)."""

    verb: ClassVar[str] = "move"
    span: Span
    to: int
    keeps_mapping: bool = False


@dataclass(frozen=True, slots=True)
class Resize(Operation):
    """mremap(2) without a flag: a mapping, or what is left of one behind the span's start, ends elsewhere.

    It answers a Refusal where there is no room for it to grow.
    """

    verb: ClassVar[str] = "resize"
    span: Span
    end: int


@dataclass(frozen=True, slots=True)
class Protection(Operation):
    """mprotect(2)."""

    verb: ClassVar[str] = "mprotect"
    span: Span
    prot: Prot
