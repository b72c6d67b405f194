"""Settings: the memory that a program begins with, one mapping or two side by side."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from helpers.kinds import BY_NAME, SPARSE, Kind
from helpers.operations import (
    Advice,
    Advise,
    ClearRefs,
    Faults,
    Operation,
    Register,
    Span,
    Tracking,
    WriteProtect,
)

#: Pages of a mapping that isn't made of huge pages: as few as have a first, a last, and two between.
FEW = 4


_IN_WORDS = {
    Tracking.ASYNC: "",
    Tracking.EXPLICIT: "-explicit",
    Tracking.NONE: "-not-registered",
    Tracking.FOLLOWING: "-followed",
    Tracking.ACCESS: "-for-rwp",
}


class Begun(enum.Enum):
    """What else was done to a mapping before a program begins: a step ahead of what a short program comes to."""

    AS_IT_IS = ""
    PROTECTED = "-protected"
    WANTING = "-wanting-huge-pages"
    CLEARED = "-cleared"
    MISSING = "-for-missing-pages"
    MINOR = "-for-minor-faults"
    DROPPED = "-dropped"

    def operations(self, span: Span) -> Iterator[Operation]:
        match self:
            case Begun.PROTECTED:
                yield WriteProtect(span)
            case Begun.WANTING:
                yield Advise(span, Advice.HUGEPAGE)
            case Begun.CLEARED:
                yield ClearRefs()
            case Begun.MISSING:
                yield Register(span, faults=Faults.MISSING)
            case Begun.MINOR:
                yield Register(span, faults=Faults.MINOR)
                yield Advise(span, Advice.DONTNEED)
            case Begun.DROPPED:
                yield Advise(span, Advice.DONTNEED)


@dataclass(frozen=True)
class Part:
    """A mapping of a setting: its kind, how it is registered, and how many pages lie between it and the one before."""

    kind: Kind
    tracking: Tracking = Tracking.ASYNC
    gap: int = 0
    begun: Begun = Begun.AS_IT_IS

    def __str__(self) -> str:
        return self.kind.name + _IN_WORDS[self.tracking] + self.begun.value

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of :func:`helpers.host.missing`."""
        own = {
            "rwp": self.tracking is Tracking.ACCESS,
            "fork events": self.tracking is Tracking.FOLLOWING,
            "minor faults": self.begun is Begun.MINOR,
            "soft-dirty": self.begun is Begun.CLEARED,
        }
        return (*self.kind.needs, *(need for need, is_needed in own.items() if is_needed))


class Also(enum.Enum):
    """Letters that take long, or are about what has little to do with the kind of memory: some settings have them."""

    FORK = "a child comes and goes"
    WRITERS = "the kernel writes, in each way that it has"
    FILLERS = "the owner of the userfaultfd fills pages"
    ERRORS = "arguments that are refused"


@dataclass(frozen=True)
class Setting:
    """The memory that a program begins with. ``also``: the letters that it has beside those that all have."""

    parts: tuple[Part, ...]
    also: frozenset[Also] = frozenset()

    def __str__(self) -> str:
        return "".join(
            str(part) if not place else f"{'-gap-' if part.gap else '-beside-'}{part}"
            for place, part in enumerate(self.parts)
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of :func:`helpers.host.missing`."""
        return tuple(dict.fromkeys(need for part in self.parts for need in part.needs))

    @property
    def has_huge_pages(self) -> bool:
        return any(part.kind.is_huge for part in self.parts)

    def spans(self, pages_per_huge_page: int) -> list[Span]:
        """Where the mappings lie: small ones end where a huge one begins, or begin where it ends."""
        spans: list[Span] = []
        aligns_next = len(self.parts) > 1 and self.parts[1].kind.is_huge and not self.parts[0].kind.is_huge
        place = pages_per_huge_page - FEW if aligns_next else 0
        for part in self.parts:
            length = (part.kind.units and pages_per_huge_page) or FEW
            place += part.gap
            spans.append(Span(place, place + length))
            place += length
        return spans

    def in_words(self, pages_per_huge_page: int) -> list[str]:
        """What memory there is, a line for each mapping."""
        spans = zip(self.parts, self.spans(pages_per_huge_page), strict=True)
        return [f"{span}: {part.kind.name}, {part.kind.description}" for part, span in spans]

    def operations(self, pages_per_huge_page: int) -> Iterator[Operation]:
        """What brings the memory about, and registers it."""
        spans = self.spans(pages_per_huge_page)
        for place, (part, span) in enumerate(zip(self.parts, spans, strict=True)):
            yield from part.kind.operations(span, file_of(place))
        for part, span in zip(self.parts, spans, strict=True):
            if part.tracking is not Tracking.NONE:
                yield Register(span, part.tracking)
            yield from part.begun.operations(span)


def file_of(place: int) -> str:
    """The name of the file that a mapping of a setting maps."""
    return f"file{place or ''}"


_KINDS = {**BY_NAME, SPARSE.name: SPARSE}


def _alone(name: str, *also: Also, tracking: Tracking = Tracking.ASYNC, begun: Begun = Begun.AS_IT_IS) -> Setting:
    return Setting((Part(_KINDS[name], tracking, begun=begun),), frozenset(also))


def _pair(first: str, second: str, gap: int = 0, tracking: Tracking = Tracking.ASYNC) -> Setting:
    return Setting((Part(BY_NAME[first]), Part(BY_NAME[second], tracking, gap)))


SETTINGS: tuple[Setting, ...] = (
    _alone("anon", *Also),
    _alone("anon", Also.FORK, begun=Begun.PROTECTED),
    _alone("anon", begun=Begun.CLEARED),
    _alone("anon", Also.FILLERS, begun=Begun.MISSING),
    _alone("anon", tracking=Tracking.NONE),
    _alone("anon", tracking=Tracking.ACCESS),
    _alone("anon", Also.FORK, tracking=Tracking.FOLLOWING, begun=Begun.PROTECTED),
    _alone("anon-unpopulated", Also.FILLERS, tracking=Tracking.EXPLICIT),
    _alone("anon-zero", Also.FORK),
    _alone("anon-swapped"),
    _alone("anon-swapped", Also.FILLERS, begun=Begun.PROTECTED),
    _alone("anon-prot-none"),
    _alone("anon-guard"),
    _alone("anon-guard", Also.FORK, tracking=Tracking.FOLLOWING),
    _alone("shmem"),
    _alone("shmem-unpopulated", Also.FILLERS),
    _alone("shmem-swapped", Also.FILLERS),
    _alone("memfd-shared", Also.FORK),
    _alone("memfd-shared", Also.FORK, tracking=Tracking.FOLLOWING),
    _alone("memfd-shared", begun=Begun.PROTECTED),
    _alone("memfd-shared", Also.FILLERS, begun=Begun.MINOR),
    _alone("memfd-shared", tracking=Tracking.NONE),
    _alone("memfd-shared", tracking=Tracking.ACCESS),
    _alone("memfd-private", Also.FILLERS),
    _alone("memfd-private-copied", Also.FORK),
    _alone("file-shared"),
    _alone("file-private", Also.FILLERS),
    _pair("anon", "anon-unpopulated"),
    _pair("anon", "anon", gap=2),
    _pair("anon", "memfd-shared"),
    _pair("anon", "anon", tracking=Tracking.NONE),
    _alone("thp", Also.FORK),
    _alone("thp", begun=Begun.WANTING),
    _alone("thp-sparse"),
    _alone("thp-sparse", begun=Begun.CLEARED),
    _alone("thp-zero"),
    _alone("shmem-thp"),
    _alone("hugetlb-private", Also.FORK),
    _alone("hugetlb-shared", Also.FILLERS, begun=Begun.DROPPED),
    _alone("hugetlb-memfd"),
    _pair("anon", "thp"),
    _pair("hugetlb-shared", "anon"),
)
