"""What tests of several files need."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.machine import JOURNAL
from helpers.tests.children import pytest_configure, pytest_unconfigure  # noqa: F401  (hooks)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No other test changes the machine meanwhile, and no run that this test is a part of has changed it.

    Temporary files go to a directory that tests in other workers don't share.
    """
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with (ROOT / "pyproject.toml").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if JOURNAL.exists():
            pytest.skip(f"a run has changed the machine, or left it changed: {JOURNAL}")
        yield
