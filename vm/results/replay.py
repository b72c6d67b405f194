"""A pytest plugin that makes a session of what a guest's wrote, for the reports that only a session's end makes.

pytest-html, JUnit, the summary and the verdict are made here as they would be in the guest, had it lived: a test
that ran when the guest was lost is an error with the console's last lines, one that wasn't reached is "not run",
and one during which the kernel complained fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from helpers.plugins.verdict import TALLY, UNTOLD
from helpers.report.outcomes import new_report
from helpers.report.replay import PLUGINS, Replay
from vm.guest.console import Trouble
from vm.guest.shared_directory import Shared
from vm.guest.splats import Splat
from vm.results.left_behind import Results


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--replay", metavar="DIR", help="the results directory")
    parser.addoption("--trouble", default="", help="how the guest was lost, in a sentence")
    parser.addoption("--excused", action="store_true", help="the trouble is no fault of the kernel's")
    parser.addoption("--begun", type=float, default=0.0, help="when the run began (time.monotonic)")
    parser.addoption("--kernel", default="", help="the kernel's name, for when it couldn't say itself")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    results = Results(Shared(Path(config.getoption("--replay"))))
    fields = results.subject or {
        "kernel": config.getoption("--kernel"),
        "build": "",
        "pages": "",
        "categories": "",
        "missing": {"everything": config.getoption("--trouble")},
    }
    config.pluginmanager.register(OfGuest(config, fields, results), "replay")


class OfGuest(Replay):
    """Reports what a guest left behind."""

    def __init__(self, config: pytest.Config, subject: dict[str, Any], results: Results) -> None:
        super().__init__(config, subject, len(results.plan))
        self.results = results
        self.trouble = config.getoption("--trouble")
        self.is_excused = config.getoption("--excused")
        self.splats = results.splats

    def conclude(self, session: pytest.Session) -> None:
        if begun := self.config.getoption("--begun"):
            self.config.stash[TALLY].begun = begun
        if self.is_excused:
            raise session.Interrupted(self.trouble)

    def reports(self) -> list[pytest.TestReport]:
        """All reports: the guest's own, and those that it couldn't make any more."""
        excused = set(self.results.crashed) if self.is_excused and self.results.out_of_memory else set()
        found = [self.restored(data) for data in self.results.reports if data["nodeid"] not in excused]
        running = [test for test in self.results.running_at_the_end if test not in self.results.crashed]
        to_blame = self.to_blame(running)
        found += [self.lost(test) for test in to_blame]
        unfinished = [*(test for test in running if test not in to_blame), *excused]
        found += [self.not_run(test) for test in dict.fromkeys([*unfinished, *self.results.not_reached])]
        return [*found, *self.complaints(found)]

    def to_blame(self, running: list[str]) -> list[str]:
        """Of the tests that ran when the guest was lost, those that are an error."""
        if not self.trouble or self.is_excused:
            return []
        if oopsed := {test for splat in self.splats if splat.is_oops for test in splat.tests}:
            return [test for test in running if test in oopsed]  # What ran after them can't help it.
        return running or ["the guest"]

    def lost(self, test: str) -> pytest.TestReport:
        said = f"{self.trouble}, while this ran\n\nthe console's last lines:\n{self.results.last_words}"
        return self.new_report(test, "failed", said)

    def not_run(self, test: str) -> pytest.TestReport:
        reason = f"Skipped: not run: {self.trouble or 'the run ended before'}"
        return self.new_report(test, "skipped", (test.split("::")[0], 0, reason))

    def new_report(self, test: str, outcome: str, longrepr: Any) -> pytest.TestReport:
        """A report that the guest couldn't make any more."""
        return new_report(test, outcome, longrepr, clauses=self.results.clauses.get(test, ()))

    def complaints(self, reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
        """Has each test fail during which the kernel complained; reports of those that have none to be failed in."""
        further = []
        by_test = {report.nodeid: report for report in reports if report.when == "call" or report.failed}
        for splat in self.splats:
            for test in splat.tests or ("kernel log",):
                if test in by_test:
                    fail(by_test[test], splat)
                else:
                    further.append(fail(self.new_report(test, "failed", None), splat))
        return further


def fail(report: pytest.TestReport, splat: Splat) -> pytest.TestReport:
    """Has a report fail, whatever it was, and show the kernel's complaint."""
    said = f"the kernel complained: {splat.title}"
    if not report.failed:
        report.outcome, report.longrepr = "failed", said
        vars(report).pop("wasxfail", None)
    elif report.longrepr is None:
        report.longrepr = said
    elif isinstance(report.longrepr, str) and splat.title not in report.longrepr:
        report.longrepr = f"{said}\n\n{report.longrepr}"
    report.user_properties = [(name, value) for name, value in report.user_properties if name != UNTOLD]
    report.sections.append(("kernel log", "\n".join(splat.lines)))
    return report


def command_line(shared: Shared, kernel: str, trouble: Trouble | None, begun: float) -> list[str]:
    """The arguments of the pytest that makes the reports."""
    command = ["--noconftest", "-qq", "-n", "0", "--no-header", f"--replay={shared.directory}"]
    command += [word for plugin in (*PLUGINS, __name__) for word in ("-p", plugin)]
    command += [f"--html={shared.html}", "--self-contained-html", f"--junit-xml={shared.junit}"]
    command += [f"--report-log={shared.report_log}", f"--ktap={shared.ktap}"]
    if trouble:
        command += [f"--trouble={trouble.says}"] + ["--excused"] * (not trouble.by_kernel)
    return [*command, f"--begun={begun}", f"--kernel={kernel}"]
