"""Where kernels, the archive's lists and what was found out about this machine are kept between runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def directory() -> Path:
    """``$XDG_CACHE_HOME/pagemap-scan``, made on first use."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = base / "pagemap-scan"
    found.mkdir(parents=True, exist_ok=True)
    return found


def bytecode() -> Path:
    """Where a guest's bytecode is, made on first use."""
    found = directory() / "bytecode"
    found.mkdir(exist_ok=True)
    return found


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Nobody else who asks for the same lock works on the place meanwhile; a lock ends with its process."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(place.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
