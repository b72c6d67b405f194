"""Where kernels, the archive's lists and what was found out about this machine are kept between runs."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vm import CannotRun, locks
from vm.outputs import say

_ANOTHER = "name another directory in XDG_CACHE_HOME"


def directory() -> Path:
    """``$XDG_CACHE_HOME/pagemap-scan``, made on first use. Raises CannotRun where it can't be."""
    found = _base() / "pagemap-scan"
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRun(f"the cache {found} can't be made: {error.strerror}: {_ANOTHER}") from None
    if not os.access(found, os.R_OK | os.W_OK | os.X_OK):
        raise CannotRun(f"the cache {found} can't be written: {_ANOTHER}")
    return found


def _base() -> Path:
    """Where caches are. An empty variable is as good as none."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given)
    try:
        home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise CannotRun(f"there is no home directory for a cache: {_ANOTHER}") from None
    return Path(home) / ".cache"


def bytecode() -> Path:
    """Where a guest's bytecode is, made on first use."""
    found = directory() / "bytecode"
    found.mkdir(exist_ok=True)
    return found


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Nobody else who asks for the same lock works on the place meanwhile."""
    place.parent.mkdir(parents=True, exist_ok=True)
    file = place.with_name(place.name + ".lock")
    with locks.lock(file, lambda: say(f"waiting for another run, which is at work in {place}")):
        yield
