"""pytest as it is started in the guest, and on the host to know what it will find there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from vm import CHECKOUT, CannotRun

#: Plugins that nobody has asked for take a second to import in the guest.
ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
#: In place of the options of pyproject.toml, some of which are those of plugins that aren't there.
_OPTIONS = ("-q", "-o", "addopts=--strict-markers", "-p", "no:cacheprovider", "-p", "no:helpers.plugins.report")
_PLUGINS = ("pytest_timeout", "pytest_reportlog.plugin", "vm.inside.workers", "vm.inside.teller")


def pytest_command(*arguments: str) -> list[str]:
    """The command, to be run in the checkout with ENVIRONMENT."""
    return [sys.executable, "-m", "pytest", *_OPTIONS, *(f"-p{plugin}" for plugin in _PLUGINS), *arguments]


def collect(*arguments: str, environment: Mapping[str, str] = os.environ) -> None:
    """Has pytest collect the suites, with further arguments. Raises CannotRun when it can't."""
    done = subprocess.run(
        pytest_command("--collect-only", *arguments, "suites"),
        cwd=CHECKOUT,
        env={**environment, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise CannotRun(f"the suites can't be collected: {(done.stdout + done.stderr).strip()[-300:]}")
