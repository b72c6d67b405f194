"""Operations on memory, as values: a test is a program of them.

The same operation is carried out by each :class:`Target`: the kernel (:mod:`helpers.kernel`), the model
(:mod:`helpers.model`), a broken model that plays the kernel (:mod:`helpers.stubs`). Adding an operation is a
class here and an abstract method of Target; a target that lacks it can't be created.

Memory is addressed by page number, counted from the start of an arena in which all mappings of a program
lie. Pages of the arena that nothing was mapped to are gaps.
"""

from __future__ import annotations

import enum
import errno
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

from helpers.interface.uapi import Category, PagemapBit, ScanFlag


class Span(NamedTuple):
    """Pages from ``start`` up to, not including, ``end``."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"page {self.start}" if len_of(self) == 1 else f"pages {self.start}-{self.end - 1}"

    def pages(self) -> range:
        return range(self.start, self.end)


def len_of(span: Span) -> int:
    """How many pages the span has."""
    return span.end - span.start


def as_span(pages: int | tuple[int, int]) -> Span:
    """A page number, or a pair of start and end, as a Span."""
    return Span(pages, pages + 1) if isinstance(pages, int) else Span(*pages)


class At(NamedTuple):
    """An address in the arena: ``offset`` bytes behind the start of a page."""

    page: int
    offset: int = 0

    def __str__(self) -> str:
        return f"page {self.page}" + (f"{self.offset:+#x}" if self.offset else "")


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


class Tracking(enum.Enum):
    """How a range is registered with userfaultfd: for write protection, or for read-write protection."""

    NONE = "not registered"
    ASYNC = "registered with WP_ASYNC"
    EXPLICIT = "registered with WP_ASYNC, and WP_UNPOPULATED that it implies"
    SYNC = "registered without WP_ASYNC"
    ACCESS = "registered for read-write protection, with RWP_ASYNC"


class Advice(enum.Enum):
    """``MADV_*``; the names are the kernel's."""

    DONTNEED = "the pages are dropped"
    FREE = "the pages may be dropped"
    PAGEOUT = "the pages are reclaimed"
    COLD = "the pages are aged"
    HUGEPAGE = "huge pages from now on"
    NOHUGEPAGE = "no huge pages from now on"
    COLLAPSE = "huge pages now"
    GUARD_INSTALL = "a guard region begins"
    GUARD_REMOVE = "a guard region ends"
    MERGEABLE = "equal pages become one"
    HWPOISON = "the pages' frames fail"


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a program."""

    verb: ClassVar[str]

    def run(self, target: Target) -> Any:
        """Carries the operation out and returns what it answers: None, except for the asking ones."""
        return getattr(target, self.verb)(self)

    def __str__(self) -> str:
        values = ((field.name, getattr(self, field.name), field.default) for field in fields(self))
        shown = (f"{name}={_shown(value)}" for name, value, default in values if value != default)
        return f"{self.verb}({', '.join(shown)})"


def _shown(value: object) -> str:
    if isinstance(value, Span):
        return f"{value.start}..{value.end}"
    if isinstance(value, enum.Flag):
        return names_of(value)
    if isinstance(value, enum.Enum):
        return value.name
    return str(value)


def names_of(flags: enum.Flag | int) -> str:
    """The names of the bits that are set, ``0`` when none is."""
    if not isinstance(flags, enum.Flag):
        return hex(flags)
    names = [flag.name or hex(flag.value) for flag in type(flags) if flag in flags]
    unknown = flags.value & ~sum(flag.value for flag in type(flags))
    return "|".join([*names, *([hex(unknown)] if unknown else [])]) or "0"


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
class Protection(Operation):
    """mprotect(2)."""

    verb: ClassVar[str] = "mprotect"
    span: Span
    prot: Prot


@dataclass(frozen=True, slots=True)
class Advise(Operation):
    """madvise(2). PAGEOUT is repeated until the pages are gone, MERGEABLE waited for until all are one.

    It answers a Refusal where the kernel takes the advice for wrong, DOES_NOT_RETURN where it had to be ended.
    """

    verb: ClassVar[str] = "advise"
    span: Span
    advice: Advice


@dataclass(frozen=True, slots=True)
class Register(Operation):
    """UFFDIO_REGISTER in mode WP, or RWP. ``tracking``: the features that the userfaultfd was asked for.

    It answers a Refusal where the memory is registered with other features, which is another userfaultfd's.
    """

    verb: ClassVar[str] = "register"
    span: Span
    tracking: Tracking = Tracking.ASYNC


@dataclass(frozen=True, slots=True)
class Unregister(Operation):
    """UFFDIO_UNREGISTER."""

    verb: ClassVar[str] = "unregister"
    span: Span


@dataclass(frozen=True, slots=True)
class CloseUserfaultfd(Operation):
    """close(2) of the userfaultfd, with all that is registered."""

    verb: ClassVar[str] = "close_userfaultfd"


@dataclass(frozen=True, slots=True)
class WriteProtect(Operation):
    """UFFDIO_WRITEPROTECT. In mode WP, or when ``protect`` is false without it.

    It answers a Refusal where the memory isn't registered.
    """

    verb: ClassVar[str] = "write_protect"
    span: Span
    protect: bool = True


@dataclass(frozen=True, slots=True)
class RwProtect(Operation):
    """UFFDIO_RWPROTECT in mode RWP: the pages that are there can't be accessed without that being recorded."""

    verb: ClassVar[str] = "rw_protect"
    span: Span


class Filler(enum.Enum):
    """How pages that aren't there are filled by the owner of a userfaultfd."""

    COPY = "UFFDIO_COPY"
    COPY_PROTECTED = "UFFDIO_COPY in its mode WP"
    ZEROPAGE = "UFFDIO_ZEROPAGE"


@dataclass(frozen=True, slots=True)
class Fill(Operation):
    """An ioctl of the userfaultfd that gives content to pages that have none."""

    verb: ClassVar[str] = "fill"
    span: Span
    by: Filler = Filler.COPY


@dataclass(frozen=True, slots=True)
class Read(Operation):
    """Loads a byte of each page."""

    verb: ClassVar[str] = "read"
    span: Span


@dataclass(frozen=True, slots=True)
class Write(Operation):
    """Stores a byte in each page."""

    verb: ClassVar[str] = "write"
    span: Span


class Writer(enum.Enum):
    """How the kernel is had to write to memory."""

    READ = "read(2) from /dev/zero"
    MEM = "pwrite(2) to /proc/self/mem"
    VM_WRITEV = "process_vm_writev(2)"
    DIRECT = "read(2) of a file that is open with O_DIRECT"
    POPULATE = "MADV_POPULATE_WRITE, which leaves what is there"

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of :func:`helpers.host.missing`."""
        return _NEEDS_OF_WRITERS.get(self.name, ())


_NEEDS_OF_WRITERS = {
    "MEM": ("/proc/self/mem",),
    "VM_WRITEV": ("process_vm_writev",),
    "DIRECT": ("disk", "direct I/O"),
}


@dataclass(frozen=True, slots=True)
class KernelWrite(Operation):
    """The kernel writes to each page on behalf of the process."""

    verb: ClassVar[str] = "kernel_write"
    span: Span
    by: Writer = Writer.READ


@dataclass(frozen=True, slots=True)
class FileWrite(Operation):
    """pwrite(2) on a mapped file. The span counts pages of the file."""

    verb: ClassVar[str] = "file_write"
    file: str
    span: Span


@dataclass(frozen=True, slots=True)
class PunchHole(Operation):
    """fallocate(2) with FALLOC_FL_PUNCH_HOLE. The span counts pages of the file."""

    verb: ClassVar[str] = "punch_hole"
    file: str
    span: Span


@dataclass(frozen=True, slots=True)
class Truncate(Operation):
    """ftruncate(2) to the start of the span, and to its end again. The span counts pages of the file."""

    verb: ClassVar[str] = "truncate"
    file: str
    span: Span


@dataclass(frozen=True, slots=True)
class ClearRefs(Operation):
    """Writes 4 to /proc/self/clear_refs: no page of the process is soft-dirty from now on, until it is written."""

    verb: ClassVar[str] = "clear_refs"


@dataclass(frozen=True, slots=True)
class Fork(Operation):
    """fork(2): from now on there is a ``child`` to scan."""

    verb: ClassVar[str] = "fork"


@dataclass(frozen=True, slots=True)
class KillChild(Operation):
    """Ends the child and reaps it, while its pagemap stays open."""

    verb: ClassVar[str] = "kill_child"


@dataclass(frozen=True, slots=True)
class ReadPagemap(Operation):
    """read(2) of /proc/self/pagemap. It answers a PagemapBit for each page, without the bits that tell of frames."""

    verb: ClassVar[str] = "read_pagemap"
    span: Span


class Usage(NamedTuple):
    """Pages of a span by what /proc/self/smaps counts."""

    huge: int
    swapped: int


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


class Target(ABC):
    """That on which a program runs. A method for each operation."""

    @abstractmethod
    def map(self, op: Map) -> None: ...

    @abstractmethod
    def unmap(self, op: Unmap) -> None: ...

    @abstractmethod
    def move(self, op: Move) -> None: ...

    @abstractmethod
    def mprotect(self, op: Protection) -> None: ...

    @abstractmethod
    def advise(self, op: Advise) -> Answer: ...

    @abstractmethod
    def register(self, op: Register) -> Answer: ...

    @abstractmethod
    def unregister(self, op: Unregister) -> None: ...

    @abstractmethod
    def close_userfaultfd(self, op: CloseUserfaultfd) -> None: ...

    @abstractmethod
    def write_protect(self, op: WriteProtect) -> Answer: ...

    @abstractmethod
    def rw_protect(self, op: RwProtect) -> None: ...

    @abstractmethod
    def fill(self, op: Fill) -> None: ...

    @abstractmethod
    def read(self, op: Read) -> None: ...

    @abstractmethod
    def write(self, op: Write) -> None: ...

    @abstractmethod
    def kernel_write(self, op: KernelWrite) -> None: ...

    @abstractmethod
    def file_write(self, op: FileWrite) -> None: ...

    @abstractmethod
    def punch_hole(self, op: PunchHole) -> None: ...

    @abstractmethod
    def truncate(self, op: Truncate) -> None: ...

    @abstractmethod
    def clear_refs(self, op: ClearRefs) -> None: ...

    @abstractmethod
    def fork(self, op: Fork) -> None: ...

    @abstractmethod
    def kill_child(self, op: KillChild) -> None: ...

    @abstractmethod
    def read_pagemap(self, op: ReadPagemap) -> tuple[PagemapBit, ...]: ...

    @abstractmethod
    def read_usage(self, op: ReadUsage) -> Usage: ...

    @abstractmethod
    def scan(self, op: Scan) -> ScanResult: ...

    @abstractmethod
    def close(self) -> None:
        """Gives back all that the program holds: mappings, files, the child. May be called twice."""


def verbs() -> Iterator[str]:
    """The verbs of all operations."""
    for operation in Operation.__subclasses__():
        yield operation.verb
