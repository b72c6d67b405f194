"""The last line of a run, for a person and a script, and the exit status that goes with it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from helpers.host import Subject, describe
from helpers.plugins.machine import NOT_TESTED
from helpers.plugins.stash import HOST

COMBINATIONS = "mask combinations proven"
#: The property of a report that names an erratum which made a difference.
ERRATUM = "erratum"


@dataclass
class Tally:
    """Outcomes of the conformance tests of a run."""

    begun: float = field(default_factory=time.monotonic)
    passed: int = 0
    failed: int = 0
    xfailed: int = 0
    skipped: int = 0
    combinations: int = 0
    #: What is known of why tests fail, and how many of them.
    known: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False

    def count(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed += 1
        elif report.skipped:
            if hasattr(report, "wasxfail"):
                self.xfailed += 1
                self.known.update(str(value) for name, value in report.user_properties if name == ERRATUM)
            else:
                self.skipped += 1
        elif report.when == "call":
            self.passed += 1
        self.combinations += sum(
            value
            for name, value in report.user_properties
            if name == COMBINATIONS and report.when == "call" and isinstance(value, int)
        )

    @property
    def verdict(self) -> str:
        if self.failed:
            return "does not conform"
        if self.interrupted or not self.passed + self.xfailed:
            return "not tested"
        return "conforms with known defects" if self.xfailed else "conforms"

    def line(self, kernel: str) -> str:
        return (
            f"pagemap-scan: {self.verdict}; kernel {kernel}; {self.passed} passed, {self.failed} failed, "
            f"{self.xfailed} xfailed, {self.skipped} skipped; {self.combinations} {COMBINATIONS}; "
            f"{time.monotonic() - self.begun:.1f} s"
        )


TALLY = pytest.StashKey[Tally]()
#: Whoever knows what the run is about puts it here; without, there is no verdict.
SUBJECT = pytest.StashKey[Subject]()


class Verdict:
    """Counts in the controlling process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tally = Tally()
        config.stash[TALLY] = self.tally

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.tally.count(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Any:
        self.tally.interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if exitstatus == pytest.ExitCode.OK and self.tally.verdict == "not tested":
            session.exitstatus = NOT_TESTED
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        print(self.tally.line(config.stash[SUBJECT].kernel), flush=True)


def pytest_configure(config: pytest.Config) -> None:
    if HOST in config.stash:
        config.stash[SUBJECT] = describe(config.stash[HOST], config.getoption("stub"))
    if not hasattr(config, "workerinput") and SUBJECT in config.stash:
        config.pluginmanager.register(Verdict(config), "verdict")
