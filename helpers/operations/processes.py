"""Processes: a child that comes and goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation


@dataclass(frozen=True, slots=True)
class Fork(Operation):
    """fork(2): from now on there is a ``child`` to scan."""

    verb: ClassVar[str] = "fork"


@dataclass(frozen=True, slots=True)
class KillChild(Operation):
    """Ends the child and reaps it, while its pagemap stays open."""

    verb: ClassVar[str] = "kill_child"
