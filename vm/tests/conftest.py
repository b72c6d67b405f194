"""What tests of several files need."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.tests.children import pytest_configure, pytest_unconfigure  # noqa: F401  (hooks)
from vm.tests.trees import FakeTree


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    home = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


@pytest.fixture
def tree(tmp_path: Path, cache_home: Path) -> FakeTree:
    return FakeTree(tmp_path / "linux")
