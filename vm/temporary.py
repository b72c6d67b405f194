"""Temporary directories: removed when they aren't needed any more, however the run ends that made them.

A run that was killed can't; its keepers do (vm/keeper.py), and what they had no time for, the next run removes. The
lock on a directory tells whether its run is alive.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vm import locks

PREFIX = "pagemap-scan-vm-"
#: Those of this run.
directories: set[Path] = set()


@contextmanager
def directory(where: Path | None = None, prefix: str = PREFIX) -> Iterator[Path]:
    """An empty directory, by default where temporary files belong."""
    base = where or Path(tempfile.gettempdir())
    sweep(base, prefix)
    found, descriptor = _new(base, prefix)
    locks.held.add(descriptor)
    directories.add(found)
    try:
        yield found
    finally:
        shutil.rmtree(found, ignore_errors=True)
        directories.discard(found)
        locks.held.discard(descriptor)
        os.close(descriptor)


def sweep(base: Path, prefix: str) -> None:
    """Removes the directories whose runs are gone."""
    for path in base.glob(f"{prefix}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # It's somebody else's, or gone.
        try:
            if os.fstat(descriptor).st_uid == os.geteuid() and locks.is_taken(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # A file system without locks.
        finally:
            os.close(descriptor)


def _new(base: Path, prefix: str) -> tuple[Path, int]:
    """A directory and its lock. Before it is locked, another run may take it for a dead one's and remove it."""
    while True:
        found = Path(tempfile.mkdtemp(dir=base, prefix=prefix))
        try:
            descriptor = os.open(found, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if found.exists():
                return found, descriptor
        except OSError:
            os.close(descriptor)
            shutil.rmtree(found, ignore_errors=True)
            raise
        os.close(descriptor)
