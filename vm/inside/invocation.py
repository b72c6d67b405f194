"""pytest as it is started in the guest, and on the host to know what it will find there."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from vm import CHECKOUT, CannotRun
from vm.processes import carried_out

#: Plugins that nobody has asked for take a second to import in the guest.
ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
#: In place of the options of pyproject.toml, some of which are those of plugins that aren't there.
_OPTIONS = ("-q", "-o", "addopts=--strict-markers", "-p", "no:cacheprovider", "-p", "no:helpers.plugins.report")
_PLUGINS = ("pytest_timeout", "pytest_reportlog.plugin", "vm.inside.workers", "vm.inside.teller")


def pytest_command(*arguments: str) -> list[str]:
    """The command, to be run in the checkout with ENVIRONMENT."""
    return [sys.executable, "-m", "pytest", *_OPTIONS, *(f"-p{plugin}" for plugin in _PLUGINS), *arguments]


def collect(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Has pytest collect the suites, with further arguments and environment. Raises CannotRun when it can't."""
    command = pytest_command("--collect-only", *arguments, "suites")
    done = carried_out(
        command, limit=300, cwd=CHECKOUT, environment={**(environment or {}), **ENVIRONMENT, "PYTEST_ADDOPTS": ""}
    )
    if done.returncode:
        raise CannotRun(f"the suites can't be collected: {(done.stdout + done.stderr).strip()[-300:]}")
