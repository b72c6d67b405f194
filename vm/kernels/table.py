"""The kernels of vm/matrix.toml: which, where each is from, and what is expected of it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vm import CHECKOUT, CannotRun

TABLE = CHECKOUT / "vm" / "matrix.toml"


@dataclass(frozen=True)
class Row:
    """A kernel of the matrix: its name there, how it is found, why it is there, and what is expected of it.

    ``tested`` is false for a kernel that can't be asked; that it is said so is then the right outcome. ``program``
    is true for one on which the suite's C program runs: without modules, or for another processor. ``arch`` is what the
    program is compiled for, where that isn't the kernel's own, and what sources are built for, with the fragments
    ``config``. ``memory`` is what the guest needs, where it is more than others have.
    """

    name: str
    kernel: str
    why: str
    tested: bool = True
    program: bool = False
    arch: str = ""
    config: tuple[str, ...] = ()
    memory: str = ""


def _row(config: Sequence[str] = (), **entry: Any) -> Row:
    return Row(config=tuple(config), **entry)


@cache
def rows(table: Path = TABLE) -> tuple[Row, ...]:
    """The table, oldest kernel first. Raises CannotRun."""
    try:
        return tuple(_row(**entry) for entry in tomllib.loads(table.read_text(encoding="utf-8"))["kernel"])
    except OSError as error:
        raise CannotRun(f"{table} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CannotRun(f"{table} isn't a table of kernels: {error}") from None


def named(name: str) -> Row | None:
    """The row of that name. Raises CannotRun when the table can't be read."""
    return next((row for row in rows() if row.name == name), None)


def chosen(names: Sequence[str]) -> list[Row]:
    """The rows of these names, all for none. Raises CannotRun."""
    known = {row.name: row for row in rows()}
    if unknown := [name for name in names if name not in known]:
        raise CannotRun(f"{TABLE.name} has no {', '.join(unknown)}; it has {', '.join(known)}")
    return [known[name] for name in names] or list(known.values())
