"""Hands the probes over to the plugin that asks which known defects a kernel has."""

import pytest

from helpers.plugins.known_issues import PROBES
from suites import probes


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PROBES] = vars(probes)
