"""Files: system calls on what is mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation
from helpers.operations.places import Span


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
