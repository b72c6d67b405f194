"""Filling: what the owner of a userfaultfd gives to pages that have no content."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation
from helpers.operations.places import Span


class Filler(enum.Enum):
    """How pages that aren't there are filled by the owner of a userfaultfd."""

    COPY = "UFFDIO_COPY"
    COPY_PROTECTED = "UFFDIO_COPY in its mode WP"
    ZEROPAGE = "UFFDIO_ZEROPAGE"
    CONTINUE = "UFFDIO_CONTINUE"
    CONTINUE_PROTECTED = "UFFDIO_CONTINUE in its mode WP"
    POISON = "UFFDIO_POISON"

    @property
    def protects(self) -> bool:
        return self in (Filler.COPY_PROTECTED, Filler.CONTINUE_PROTECTED)

    @property
    def maps_what_the_file_has(self) -> bool:
        return self in (Filler.CONTINUE, Filler.CONTINUE_PROTECTED)

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of :func:`helpers.host.missing`."""
        if self is Filler.POISON:
            return ("UFFDIO_POISON",)
        return ("minor faults",) if self.maps_what_the_file_has else ()


@dataclass(frozen=True, slots=True)
class Fill(Operation):
    """An ioctl of the userfaultfd that gives content to pages that have none, or says that it is lost."""

    verb: ClassVar[str] = "fill"
    span: Span
    by: Filler = Filler.COPY


@dataclass(frozen=True, slots=True)
class MoveIn(Operation):
    """UFFDIO_MOVE: pages from ``source`` on come to where there are none, and are gone where they were.

    It answers a Refusal where there is a page already, none to be moved, or one that another process has as well.
    """

    verb: ClassVar[str] = "move_in"
    span: Span
    source: int
