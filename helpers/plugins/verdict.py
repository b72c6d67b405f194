"""The last line of a run, for a person and a script, and the exit status that goes with it.

It is about the kernel: conforms, doesn't conform, wasn't tested. A run that itself fails says that it can't tell.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TextIO

import pytest

from helpers.exploration.judge import RandomTally
from helpers.exploration.judge import Tally as SearchTally
from helpers.plugins.machine import NOT_TESTED
from helpers.plugins.stash import HOST, MACHINE, TROUBLES, VOICE
from helpers.subject import Subject, describe

COMBINATIONS = "mask combinations proven"
#: The property of a report that names an erratum which made a difference.
ERRATUM = "erratum"
#: The properties of a test's reports that name a clause, and a kind of memory.
CLAUSE = "clause"
KIND = "kind"
#: The property of a report of a test that failed by no fault of the kernel's: why.
UNTOLD = "not told"
#: The property of a report of a test, whatever came of it: what else went wrong with the run.
TROUBLE = "trouble"
#: Exit status of a run in which not everything could be told that was asked.
NOT_TOLD = int(pytest.ExitCode.INTERNAL_ERROR)
#: So many reasons are told one by one.
REASONS = 5


@dataclass
class Tally:
    """Outcomes of the conformance tests of a run."""

    begun: float = field(default_factory=time.monotonic)
    #: The one that counts.
    process: int = field(default_factory=os.getpid)
    passed: int = 0
    failed: int = 0
    xfailed: int = 0
    skipped: int = 0
    combinations: int = 0
    #: What became of the programs that nobody wrote, by what they are called.
    programs: dict[str, SearchTally] = field(
        default_factory=lambda: {kind.name: kind() for kind in (SearchTally, RandomTally)}
    )
    #: What is known of why tests fail, and how many of them.
    known: Counter[str] = field(default_factory=Counter)
    #: Why tests couldn't be told, and how many of them.
    untold: Counter[str] = field(default_factory=Counter)
    #: What else went wrong with the run, in sentences.
    troubles: dict[str, None] = field(default_factory=dict)
    #: By whom the run was ended early, when it was.
    interrupted: str = ""
    reported: set[str] = field(default_factory=set)

    def count(self, report: pytest.TestReport) -> None:
        self.reported.add(report.nodeid)
        told = [(name, str(value)) for name, value in report.user_properties]
        self.troubles.update(dict.fromkeys(value for name, value in told if name == TROUBLE))
        if report.failed:
            if reasons := [value for name, value in told if name == UNTOLD]:
                self.untold.update(reasons[:1])
            else:
                self.failed += 1
        elif report.skipped:
            if hasattr(report, "wasxfail"):
                self.xfailed += 1
                self.known.update(value for name, value in told if name == ERRATUM)
            else:
                self.skipped += 1
        elif report.when == "call":
            self.passed += 1
        self.combinations += sum(
            value
            for name, value in report.user_properties
            if name == COMBINATIONS and report.when == "call" and isinstance(value, int)
        )

        for name, value in report.user_properties if report.when == "call" else ():
            which, _, what = name.partition(": ")
            if what and which in self.programs:
                setattr(self.programs[which], what, getattr(self.programs[which], what) + value)

    def trouble(self, sentence: str) -> None:
        """Something went wrong that is no fault of the kernel's."""
        self.troubles[sentence] = None

    @property
    def has_failed_itself(self) -> bool:
        return bool(self.untold or self.troubles or self.interrupted)

    @property
    def verdict(self) -> str:
        if self.failed:
            return "does not conform"
        if self.has_failed_itself:
            return "not told"
        if not self.passed + self.xfailed:
            return "not tested"
        return "conforms with known defects" if self.xfailed else "conforms"

    @property
    def status(self) -> int:
        """The exit status that goes with the verdict."""
        if self.failed:
            return int(pytest.ExitCode.TESTS_FAILED)
        if self.interrupted:
            return int(pytest.ExitCode.INTERRUPTED)
        if self.has_failed_itself:
            return NOT_TOLD
        return 0 if self.passed + self.xfailed else NOT_TESTED

    def sentences(self) -> list[str]:
        """What couldn't be told and why, and what else went wrong: for before the line."""
        told = [f"{count} test{'s' * (count > 1)}: {reason}" for reason, count in self.untold.most_common(REASONS)]
        rest = len(self.untold) - REASONS
        told += [f"other tests, for {rest} other reasons"] * (rest > 0)
        told += [f"interrupted by {self.interrupted}"] * bool(self.interrupted)
        return [*told, *self.troubles]

    @cached_property
    def seconds(self) -> float:
        """How long the run took when it was first asked: wherever it is told, it is the same."""
        return time.monotonic() - self.begun

    def line(self, kernel: str) -> str:
        untold = f", {self.untold.total()} not told" if self.untold else ""
        return (
            f"pagemap-scan: {self.verdict}; kernel {kernel}; {self.passed} passed, {self.failed} failed, "
            f"{self.xfailed} xfailed, {self.skipped} skipped{untold}; {self.combinations} {COMBINATIONS}; "
            f"{self.seconds:.1f} s"
        )

    def tell(self, kernel: str, voice: TextIO) -> None:
        """Prints the sentences, and the line: to stderr when stdout doesn't take them, which is a trouble as well."""
        print(self.words(kernel), file=voice, flush=True)
        if lost := getattr(voice, "lost", ""):
            self.trouble(f"standard output can't be written: {lost}")
            with suppress(OSError, AttributeError):
                print(self.words(kernel), file=sys.stderr, flush=True)

    def words(self, kernel: str) -> str:
        searched = [str(tally) for tally in self.programs.values() if tally.programs]
        sentences = [f"pagemap-scan: {sentence}" for sentence in [*self.sentences(), *searched]]
        return "\n".join([*sentences, self.line(kernel)])


TALLY = pytest.StashKey[Tally]()
#: Whoever knows what the run is about puts it here; without, there is no verdict.
SUBJECT = pytest.StashKey[Subject]()


class Verdict:
    """Counts in the controlling process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tally = Tally()
        self.session: pytest.Session | None = None
        config.stash[TALLY] = self.tally

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            said = report.longreprtext.splitlines()
            because = next((line.removeprefix("E").strip() for line in reversed(said) if line.startswith("E ")), "")
            self.tally.trouble(f"{report.nodeid or 'the tests'} can't be collected: {because or said[-1:] or ''}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.tally.count(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if excinfo.errisinstance((OSError, MemoryError)) and not self.config.option.fulltrace:
            # Where the machine is short of something, it doesn't help to know which line wanted it.
            excrepr.reprtraceback.reprentries = []
        self.tally.trouble(f"the suite itself failed: {excinfo.exconly(tryshort=True).splitlines()[0]}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if type(excinfo.value) is KeyboardInterrupt:
            self.tally.interrupted = str(excinfo.value) or "Ctrl-C"
        elif isinstance(excinfo.value, KeyboardInterrupt):  # pytest's own ways of ending a run are told by that.
            self.tally.trouble(f"the run ended early: {excinfo.value}")
        else:
            self.tally.trouble(str(excinfo.value).removeprefix("pagemap-scan: "))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Any:
        missed = session.testscollected - len(self.tally.reported)
        refused = exitstatus == pytest.ExitCode.USAGE_ERROR
        if missed > 0 and not refused and not self.tally.has_failed_itself:
            self.tally.trouble(f"{missed} of {session.testscollected} tests weren't reached")
        session.exitstatus = self.tally.status
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        for trouble in config.stash.get(TROUBLES, []):
            self.tally.trouble(trouble)
        self.tally.tell(config.stash[SUBJECT].kernel, config.stash.get(VOICE, sys.stdout))
        if self.session:  # What goes wrong after the session's end counts, too.
            self.session.exitstatus = self.tally.status


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Any:
    """What couldn't be collected isn't there for pytest, which then blames the command line."""
    try:
        return (yield)
    except pytest.UsageError:
        if TALLY in config.stash and config.stash[TALLY].troubles:
            return NOT_TOLD
        raise


def pytest_configure(config: pytest.Config) -> None:
    if HOST in config.stash:
        machine = config.stash.get(MACHINE, None)
        set_up = machine.changes() if machine else []
        config.stash[SUBJECT] = describe(config.stash[HOST], config.getoption("stub"), set_up)
    if not hasattr(config, "workerinput") and SUBJECT in config.stash:
        config.pluginmanager.register(Verdict(config), "verdict")
