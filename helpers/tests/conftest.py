"""What tests of several files need."""

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.machine import JOURNAL

ROOT = Path(__file__).parents[2]


@pytest.fixture
def alone() -> Iterator[None]:
    """No other test changes the machine meanwhile, and no run that this test is a part of has changed it."""
    with (ROOT / "pyproject.toml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if JOURNAL.exists():
            pytest.skip(f"a run has changed the machine, or left it changed: {JOURNAL}")
        yield
