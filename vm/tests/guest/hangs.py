"""A test whose process can neither go on nor be killed: it writes to a file system that is frozen."""

import fcntl
import os
from pathlib import Path

FIFREEZE = 0xC0045877
SCRATCH = Path("/run/scratch")


def test_before() -> None:
    pass


def test_hang() -> None:
    directory = os.open(SCRATCH, os.O_RDONLY)
    fcntl.ioctl(directory, FIFREEZE, 0)
    (SCRATCH / "file").touch()


def test_after() -> None:
    pass
