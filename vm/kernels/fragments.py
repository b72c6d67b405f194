"""Fragments of a kernel's configuration: what is asked of it and why, and what became of that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vm import CHECKOUT, CannotRun

DIRECTORY = CHECKOUT / "vm" / "configs"
#: The fragment that every kernel is built with; behind it, with its name, those of one architecture.
BASE = "base"
#: The value of a symbol that is off, or of which a configuration says nothing.
OFF = "n"
#: How many lost symbols a message tells.
TOLD = 5
_LINE = re.compile(r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$", re.MULTILINE)


def symbols(text: str) -> dict[str, str]:
    """The symbols of a configuration with their values; of several lines for one symbol, the last holds."""
    return {found[1] or found[3]: found[2] if found[1] else OFF for found in _LINE.finditer(text)}


@dataclass(frozen=True)
class Fragment:
    """A named file of kconfig lines. What stands at its top is the reason why it is there."""

    name: str
    path: Path
    text: str

    @property
    def reason(self) -> str:
        """The comment at the top, in one line."""
        top = self.text.split("\n\n", 1)[0]
        return " ".join(line.removeprefix("#").strip() for line in top.splitlines() if line.startswith("#"))


def names() -> list[str]:
    """The fragments that can be asked for; the base is always there."""
    return sorted(path.stem for path in DIRECTORY.glob("*.config") if not path.stem.startswith(BASE))


def fragment(name: str) -> Fragment:
    """A fragment by its name. Raises CannotRun when there is none of that name."""
    if name not in names():
        raise CannotRun(f"there is no configuration fragment {name}: there are {', '.join(names())}")
    return _read(name)


def base(architecture: str) -> list[Fragment]:
    """What every kernel of an architecture, by its name in vm.architectures, is built with."""
    return [_read(BASE), _read(f"{BASE}-{architecture}")]


def _read(name: str) -> Fragment:
    path = DIRECTORY / f"{name}.config"
    return Fragment(name, path, path.read_text())


def lost(config: str, fragments: Iterable[Fragment]) -> str:
    """What of the fragments isn't so in a configuration, in words; empty when all of it is.

    Where two fragments differ, the later one is asked.
    """
    got = symbols(config)
    wanted = {
        symbol: (value, fragment.name) for fragment in fragments for symbol, value in symbols(fragment.text).items()
    }
    differing = [
        f"{symbol} of {name} (wanted {value}, got {got.get(symbol, OFF)})"
        for symbol, (value, name) in wanted.items()
        if got.get(symbol, OFF) != value
    ]
    more = f" and {len(differing) - TOLD} more" if len(differing) > TOLD else ""
    return ", ".join(differing[:TOLD]) + more
