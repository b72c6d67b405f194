"""Bytecode for the guest, made on the host, where it doesn't take half a minute."""

from __future__ import annotations

import hashlib
import sys
from itertools import chain
from pathlib import Path

from vm import CHECKOUT, cache
from vm.inside.invocation import collect


def compiled_for_guest() -> Path:
    """The directory with bytecode of all that a run imports, the tests as pytest rewrites them: pytest makes it.

    That takes seconds, and is left out when nothing has changed since it was done. Python itself looks whether a
    file is newer than its bytecode, so that a change which isn't noticed here costs time and nothing else. Raises
    CannotRun when the suites can't be collected.
    """
    directory = cache.bytecode()
    stamp = directory / f"{hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:16]}.made"
    state = _state()
    if not stamp.exists() or stamp.read_text() != state:
        collect(environment={"PYTHONPYCACHEPREFIX": str(directory), "PYTHONDONTWRITEBYTECODE": ""})
        stamp.write_text(state)
    return directory


def _state() -> str:
    """What the bytecode is made by and from: Python, its packages, and the checkout's sources."""
    files = (CHECKOUT / name for name in ("conftest.py", "pyproject.toml", "requirements.txt"))
    sources = chain(files, *(CHECKOUT.glob(f"{name}/**/*.py") for name in ("helpers", "suites", "vm")))
    packages = Path(sys.prefix).glob("lib/python*/site-packages")
    times = sorted(f"{path} {path.stat().st_mtime_ns}" for path in chain(sources, packages))
    return hashlib.sha256("\n".join([sys.version, sys.executable, *times]).encode()).hexdigest()
