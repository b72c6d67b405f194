"""Whose fault it is that a test failed: the kernel's, or that of the machine or of the suite.

The kernel's is what a test asserts of it. Everything else, such as a system call that isn't under test, a full disk or
a limit of time, says nothing of the kernel: the test couldn't be told, which every report calls an error, no failure.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.lab import KernelDiffers
from helpers.plugins.machine import SUITES
from helpers.plugins.verdict import SUBJECT, UNTOLD


def is_the_kernels(item: pytest.Item, failure: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether a failure tells of the kernel: a difference, or an assertion of the tests, not one of their helpers."""
    if failure.errisinstance(KernelDiffers):
        return True
    asserted = Path(failure.traceback[-1].path).resolve() if failure.traceback else Path()
    return failure.errisinstance((AssertionError, pytest.fail.Exception)) and (
        asserted == item.path.resolve() or SUITES in asserted.parents
    )


def in_words(failure: pytest.ExceptionInfo[BaseException]) -> str:
    """The kind of an exception, and the first line of what it says."""
    first = (str(failure.value).splitlines() or [""])[0]
    return f"{failure.typename}: {first}" if first else failure.typename


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    has_verdict = SUBJECT in item.config.stash
    if has_verdict and report.failed and call.excinfo and not is_the_kernels(item, call.excinfo):
        report.user_properties.append((UNTOLD, in_words(call.excinfo)))
        report.when = "setup" if report.when == "call" else report.when  # Where a failure is an error, in every report.
    return report
