"""What a report says of a test for pages: the kinds of memory that it is about, what can be drawn of a difference."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.explain import picture
from helpers.kinds import Kind
from helpers.lab import KernelDiffers
from helpers.plugins.stash import LAB
from helpers.plugins.verdict import KIND


def kinds_of(item: pytest.Item) -> list[str]:
    """The names of the kinds that the test is about: its parameters, and what it has made."""
    parameters = getattr(item, "callspec", None)
    lab = item.stash.get(LAB, None)
    values = [*(parameters.params.values() if parameters else ()), *(one.kind for one in (lab.prepared if lab else ()))]
    return list(dict.fromkeys(value.name for value in values if isinstance(value, Kind)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when == "call" or not report.passed:
        told = [(KIND, kind) for kind in kinds_of(item)]
        item.user_properties.extend(told)  # For the reports that follow.
        report.user_properties.extend(told)
    lab = item.stash.get(LAB, None)
    if lab and lab.steps and call.excinfo and call.excinfo.errisinstance(KernelDiffers):
        report.picture = picture(lab.memory, lab.steps)
    return report
