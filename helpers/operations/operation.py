"""An operation: one step of a program, as a value."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from helpers.operations.places import Span

if TYPE_CHECKING:
    from helpers.operations.target import Target


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
