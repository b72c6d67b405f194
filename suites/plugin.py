"""Hands the known defects over to the plugin that finds out which of them a kernel has."""

import pytest

from helpers.plugins.stash import CATALOGUE
from suites.errata import ERRATA


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[CATALOGUE] = ERRATA
