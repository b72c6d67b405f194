"""The kinds of memory, as named values to parametrize over.

A kind says how memory of it comes about: the mapping, and what is done before it is tracked. Whoever uses it
(:meth:`helpers.lab.Lab.prepare`) has the result verified by other witnesses than the scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from helpers.operations import (
    Advice,
    Advise,
    Backing,
    Map,
    Operation,
    Prot,
    Protection,
    Read,
    Span,
    Write,
)

#: Pages of a kind that isn't made of huge pages.
SMALL = 8


@dataclass(frozen=True)
class Kind:
    """Memory of one kind. ``needs`` are keys of :func:`helpers.host.missing`; ``units`` counts huge pages."""

    name: str
    description: str
    backing: Backing = Backing.ANON
    shared: bool = False
    populate: tuple[str, ...] = ("write",)
    needs: tuple[str, ...] = ()
    units: int = 0

    def __str__(self) -> str:
        return self.name

    def span(self, pages_per_huge_page: int, start: int = 0) -> Span:
        """Where memory of this kind lies when it begins at a page, which must be aligned for huge pages."""
        return Span(start, start + (self.units * pages_per_huge_page or SMALL))

    @property
    def is_huge(self) -> bool:
        return self.units > 0

    @property
    def guards_need(self) -> str:
        """What a guard region in it needs: a key of :func:`helpers.host.missing`."""
        is_private_anonymous = self.backing is Backing.ANON and not self.shared
        return "guard regions" if is_private_anonymous else "guard regions in files"

    @property
    def is_split(self) -> bool:
        """Whether it is made of huge pages that can be split."""
        return self.is_huge and not self.backing.is_hugetlb

    @property
    def is_accessible(self) -> bool:
        """Whether a process may load from and store to it."""
        return not {"mprotect none", "guard"} & set(self.populate)

    @property
    def is_populated(self) -> bool:
        """Whether there is anything in its page tables. (Reclaimed file pages leave nothing behind.)"""
        return "unpopulated" not in self.name and self.name != "shmem-swapped"

    def operations(self, span: Span, file: str = "file") -> Iterator[Operation]:
        """What brings memory of this kind about."""
        yield Map(span, self.backing, self.shared, file=file if self.backing.has_file else "")
        yield from (self.step(name, span) for name in self.populate)

    @staticmethod
    def step(name: str, span: Span) -> Operation:
        match name:
            case "read":
                return Read(span)
            case "write":
                return Write(span)
            case "write one":
                return Write(Span(span.start, span.start + 1))
            case "mprotect none":
                return Protection(span, Prot.NONE)
            case "guard":
                return Advise(span, Advice.GUARD_INSTALL)
            case _:
                return Advise(span, Advice[name.upper()])


_FILES = {
    Backing.MEMFD: ("memfd", ()),
    Backing.TMPFS: ("tmpfs", ("tmpfs",)),
    Backing.FILE: ("file", ("disk",)),
}


def _of_files() -> Iterator[Kind]:
    for backing, (name, needs) in _FILES.items():
        base = Kind(name, "", backing, needs=needs)
        yield replace(base, name=f"{name}-shared", description=f"shared mapping of {backing.value}", shared=True)
        yield replace(
            base,
            name=f"{name}-private",
            description=f"private mapping of {backing.value}, as long as it is only read",
            populate=("read",),
        )
        yield replace(
            base,
            name=f"{name}-private-copied",
            description=f"private mapping of {backing.value} after copy-on-write",
        )


#: No huge pages by accident where they are enabled for all.
_SMALL_WRITE = ("nohugepage", "write")
_THP = ("hugepage", "write", "nohugepage")

KINDS: tuple[Kind, ...] = (
    Kind("anon", "anonymous private memory", populate=_SMALL_WRITE),
    Kind("anon-unpopulated", "anonymous private memory that nobody has touched", populate=("nohugepage",)),
    Kind(
        "anon-zero",
        "anonymous private memory, read only so far: the zero page",
        populate=("nohugepage", "read"),
    ),
    Kind(
        "anon-swapped",
        "anonymous private memory in swap",
        populate=(*_SMALL_WRITE, "pageout"),
        needs=("swap",),
    ),
    Kind(
        "anon-prot-none",
        "populated anonymous memory under PROT_NONE",
        populate=(*_SMALL_WRITE, "mprotect none"),
    ),
    Kind("anon-guard", "a guard region", populate=(*_SMALL_WRITE, "guard"), needs=("guard regions",)),
    Kind("shmem", "anonymous shared memory", shared=True, populate=_SMALL_WRITE),
    Kind(
        "shmem-unpopulated",
        "anonymous shared memory that nobody has touched",
        shared=True,
        populate=("nohugepage",),
    ),
    Kind(
        "shmem-swapped",
        "anonymous shared memory in swap",
        shared=True,
        populate=(*_SMALL_WRITE, "pageout"),
        needs=("swap",),
    ),
    *_of_files(),
    Kind(
        "file-unpopulated",
        "shared mapping of a file on a real file system, not touched",
        Backing.FILE,
        shared=True,
        populate=(),
        needs=("disk",),
    ),
    Kind("thp", "a transparent huge page", populate=_THP, needs=("thp",), units=1),
    Kind("thp-several", "transparent huge pages side by side", populate=_THP, needs=("thp",), units=3),
    Kind(
        "thp-zero",
        "the huge zero page",
        populate=("hugepage", "read", "nohugepage"),
        needs=("thp", "huge zero page"),
        units=1,
    ),
    Kind(
        "shmem-thp",
        "a transparent huge page of shared memory",
        shared=True,
        populate=("write", "collapse", "read"),
        needs=("thp",),
        units=1,
    ),
    Kind("hugetlb-private", "private hugetlb memory", Backing.HUGETLB, needs=("hugetlb",), units=2),
    Kind("hugetlb-shared", "shared hugetlb memory", Backing.HUGETLB, shared=True, needs=("hugetlb",), units=2),
    Kind(
        "hugetlb-memfd",
        "shared mapping of a hugetlb memfd",
        Backing.HUGETLB_MEMFD,
        shared=True,
        needs=("hugetlb",),
        units=2,
    ),
    Kind(
        "hugetlb-memfd-private",
        "private mapping of a hugetlb memfd, only read",
        Backing.HUGETLB_MEMFD,
        populate=("read",),
        needs=("hugetlb",),
        units=2,
    ),
)

#: Not one of KINDS: merging takes a while, and says little that anonymous memory doesn't.
MERGED = Kind(
    "anon-merged",
    "anonymous private memory that KSM has merged",
    populate=(*_SMALL_WRITE, "mergeable"),
    needs=("ksm",),
)

#: Of which most holds zeros, and may become the zero page when it is split. Tests that are about that ask for it.
SPARSE = replace(
    next(kind for kind in KINDS if kind.name == "thp"),
    name="thp-sparse",
    description="a transparent huge page of which one page was written",
    populate=("hugepage", "write one", "nohugepage"),
)
BY_NAME = {kind.name: kind for kind in (*KINDS, MERGED)}
