"""What tests of several files need."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from vm.tests.trees import FakeTree

# Where tests are started in the background of a script, Ctrl-C is ignored, and what they start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    home = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture
def tree(tmp_path: Path, cache_home: Path) -> FakeTree:
    return FakeTree(tmp_path / "linux")
