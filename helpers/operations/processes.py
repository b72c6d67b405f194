"""Processes: a child that comes and goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation
from helpers.operations.places import Span


@dataclass(frozen=True, slots=True)
class Fork(Operation):
    """fork(2): from now on there is a ``child`` to scan. If it is to be followed, its userfaultfd is taken from the
    event that tells of it."""

    verb: ClassVar[str] = "fork"


@dataclass(frozen=True, slots=True)
class KillChild(Operation):
    """Ends the child and reaps it, while its pagemap stays open."""

    verb: ClassVar[str] = "kill_child"


@dataclass(frozen=True, slots=True)
class ChildWrite(Operation):
    """The child stores a byte in each page, and answers as Write does."""

    verb: ClassVar[str] = "child_write"
    span: Span
