"""What one run has to itself: locks that end with the run, and with all that it has started."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: The descriptors of the locks that are held: keepers have them too (vm/keeper.py), so that the lock of a run that was
#: killed lasts until its guest is gone.
held: set[int] = set()
#: Seconds for the guest of a run that was killed to be gone.
PATIENCE = 2.0


def is_taken(descriptor: int) -> bool:
    """Takes the lock on an open file, unless somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def lock(path: Path, otherwise: Callable[[], None], flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[None]:
    """Holds the lock on a file as long as the context lasts.

    ``otherwise`` is called when somebody else has it. Where that returns, it is waited for.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_taken(descriptor):
            if time.monotonic() > deadline:
                otherwise()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                break
            time.sleep(0.05)
        held.add(descriptor)
        yield
    finally:
        held.discard(descriptor)
        os.close(descriptor)
