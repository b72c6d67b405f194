"""Bytecode for the guest is made once, and anew when something has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vm import CHECKOUT
from vm.inside import bytecode
from vm.inside.bytecode import compiled_for_guest
from vm.inside.invocation import ENVIRONMENT, pytest_command

pytestmark = pytest.mark.long


def test_a_run_compiles_nothing_that_was_compiled_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python, told to be verbose, says of each module's code where it is from."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = compiled_for_guest()
    python, *run = pytest_command("-n2", "--stub=faithful", "suites/test_witness.py", "-k", "thp-zero")
    done = subprocess.run(
        [python, "-v", *run],
        cwd=CHECKOUT,
        env={**os.environ, **ENVIRONMENT, "PYTHONPYCACHEPREFIX": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    codes = [line for line in done.stderr.splitlines() if line.startswith("# code object from")]
    assert len(codes) > 200
    stubs_own = str(CHECKOUT / "helpers/tests")  # Planted faults are for no guest.
    assert [line for line in codes if ".pyc" not in line and stubs_own not in line] == []


def test_nothing_is_collected_when_nothing_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collected = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(bytecode, "collect", lambda environment: collected.append(environment))
    compiled_for_guest()
    compiled_for_guest()
    assert len(collected) == 1
    monkeypatch.setattr(sys, "version", "another")
    compiled_for_guest()
    assert len(collected) == 2
