"""Tracking: what is recorded of memory, and from when on."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation
from helpers.operations.places import Span


class Tracking(enum.Enum):
    """How a range is registered with userfaultfd: for write protection, or for read-write protection."""

    NONE = "not registered"
    ASYNC = "registered with WP_ASYNC"
    EXPLICIT = "registered with WP_ASYNC, and WP_UNPOPULATED that it implies"
    SYNC = "registered without WP_ASYNC"
    FOLLOWING = "registered with WP_ASYNC and EVENT_FORK: a child's memory is, too"
    ACCESS = "registered for read-write protection, with RWP_ASYNC"

    @property
    def is_asynchronous(self) -> bool:
        """Whether writes are recorded, and nobody has to answer for them."""
        return self in (Tracking.ASYNC, Tracking.EXPLICIT, Tracking.FOLLOWING)

    @property
    def records_writes(self) -> bool:
        return self.is_asynchronous or self is Tracking.SYNC


class Faults(enum.IntFlag):
    """Modes of UFFDIO_REGISTER in which an access waits for the owner of the userfaultfd."""

    MISSING = 1
    MINOR = 4


@dataclass(frozen=True, slots=True)
class Register(Operation):
    """UFFDIO_REGISTER in mode WP, or RWP. ``tracking``: the features that the userfaultfd was asked for. ``faults``:
    its other modes.

    It answers a Refusal where the memory is registered with other features, which is another userfaultfd's.
    """

    verb: ClassVar[str] = "register"
    span: Span
    tracking: Tracking = Tracking.ASYNC
    faults: Faults = Faults(0)


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


@dataclass(frozen=True, slots=True)
class ClearRefs(Operation):
    """Writes 4 to /proc/self/clear_refs: no page of the process is soft-dirty from now on, until it is written."""

    verb: ClassVar[str] = "clear_refs"
