"""What Python reads in the guest is mounted with a cache; what the guest writes is not hidden by it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vm import CHECKOUT
from vm.guest.mounts import directories


def test_no_directory_is_in_another_and_all_exist() -> None:
    found = directories()
    assert all(path.is_dir() for path in found)
    assert not [(one, other) for one in found for other in found if one in other.parents]


def test_all_that_a_run_imports_is_in_one_of_them() -> None:
    """But for what a site customizes, as Debian does in /etc: Python does without."""
    modules = {
        Path(module.__file__).resolve()
        for name, module in list(sys.modules.items())
        if getattr(module, "__file__", None) and name not in ("sitecustomize", "usercustomize")
    }
    outside = {path for path in modules if not any(where in path.parents for where in directories())}
    assert outside <= {CHECKOUT / "conftest.py"}


def test_the_results_are_not_hidden() -> None:
    for results in (CHECKOUT / "results" / "6.12", Path("/tmp/results")):
        assert not [path for path in directories() if path == results or path in results.parents]


def test_a_python_of_the_system_is_not_mounted_with_all_of_usr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert Path("/usr") not in directories()
