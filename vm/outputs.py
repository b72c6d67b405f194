"""What this program says: to a script on stdout, to a person on stderr."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

from vm import CannotRun


def say(words: str, end: str = "\n") -> None:
    """Tells a person. Nobody can be told that this fails."""
    if sys.stderr:
        with suppress(OSError):
            sys.stderr.write(words + end)
            sys.stderr.flush()


def tell(words: str) -> None:
    """Prints what was asked for. Raises CannotRun when nobody gets it."""
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        sys.stdout.write(words)
        sys.stdout.flush()
    except OSError as error:
        _discard()
        raise CannotRun(f"stdout can't be written: {error.strerror}") from None


def _discard() -> None:
    """Python would say once more, as it exits, that it couldn't write what is left."""
    if sys.__stdout__ and sys.stdout is sys.__stdout__:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.__stdout__.fileno())
        os.close(null)


def repair() -> None:
    """Has descriptors 0 to 2 opened, or the next file gets their numbers; what can't be encoded is shown in ASCII."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
