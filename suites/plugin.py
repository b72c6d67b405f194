"""Hands the known defects over to the plugin that finds out which of them a kernel has.

No conftest.py: of a run of the whole directory around the suites, pytest reads that too late.
"""

import pytest

from helpers.plugins.stash import CATALOGUE
from suites.errata import ERRATA


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[CATALOGUE] = ERRATA
