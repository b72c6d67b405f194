"""A plugin for the project's own tests: what all the processes have in common that they start."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest

# Where tests are started in the background of a script, Ctrl-C is ignored, and what they start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
_made = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Tests start Python some hundred times: what one process compiles, the others find, outside of the checkout."""
    if not hasattr(config, "workerinput") and "PYTHONPYCACHEPREFIX" not in os.environ:
        config.stash[_made] = os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="bytecode-")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    if made := config.stash.get(_made, None):
        shutil.rmtree(made, ignore_errors=True)
