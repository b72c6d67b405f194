"""A pytest plugin that makes a session of what a guest's wrote, for the reports that only a session's end makes.

pytest-html, JUnit, the summary and the verdict are made here as they would be in the guest, had it lived: a test
that ran when the guest was lost is an error with the console's last lines, one that wasn't reached is "not run",
and one during which the kernel complained fails.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from pytest_html.basereport import BaseReport

from helpers.host import Subject
from helpers.plugins.verdict import SUBJECT, TALLY, UNTOLD
from helpers.report import outcomes
from helpers.report.outcomes import outcome_of
from vm.guest.console import Trouble
from vm.guest.shared_directory import CRASHED, Shared
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
    config.stash[SUBJECT] = Subject(**fields)
    config.pluginmanager.register(Replay(config, results), "replay")


class Replay:
    """Stands in for collecting and running."""

    def __init__(self, config: pytest.Config, results: Results) -> None:
        self.config = config
        self.results = results
        self.trouble = config.getoption("--trouble")
        self.is_excused = config.getoption("--excused")
        self.splats = results.splats

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        session.items = []
        session.testscollected = len(self.results.plan)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if begun := self.config.getoption("--begun"):
            self.config.stash[TALLY].begun = begun
            [html] = [plugin for plugin in self.config.pluginmanager.get_plugins() if isinstance(plugin, BaseReport)]
            html._suite_start_time = time.time() - (time.monotonic() - begun)  # Nobody is asked for it.
        reports = self.reports()
        found = (outcome_of(report, self.results.clauses) for report in reports)
        outcomes.keep(self.results.shared.outcomes, [outcome for outcome in found if outcome])
        for report in reports:
            hook = self.config.hook
            if report.when == "setup":
                hook.pytest_runtest_logstart(nodeid=report.nodeid, location=report.location)
            hook.pytest_runtest_logreport(report=report)
            if report.when == "teardown":
                hook.pytest_runtest_logfinish(nodeid=report.nodeid, location=report.location)
        if self.is_excused:
            raise session.Interrupted(self.trouble)
        return True

    def reports(self) -> list[pytest.TestReport]:
        """All reports: the guest's own, and those that it couldn't make any more."""
        excused = set(self.results.crashed) if self.is_excused and self.results.out_of_memory else set()
        found = [self.restored(data) for data in self.results.reports if data["nodeid"] not in excused]
        running = [test for test in self.results.running_at_the_end if test not in self.results.crashed]
        to_blame = self.to_blame(running)
        found += [self.lost(test) for test in to_blame]
        unfinished = [*(test for test in running if test not in to_blame), *excused]
        found += [not_run(test, self.trouble) for test in dict.fromkeys([*unfinished, *self.results.not_reached])]
        found += self.complaints(found)
        return [*found, *endings(found)]

    def to_blame(self, running: list[str]) -> list[str]:
        """Of the tests that ran when the guest was lost, those that are an error."""
        if not self.trouble or self.is_excused:
            return []
        if oopsed := {test for splat in self.splats if splat.is_oops for test in splat.tests}:
            return [test for test in running if test in oopsed]  # What ran after them can't help it.
        return running or ["the guest"]

    def restored(self, data: dict[str, Any]) -> pytest.TestReport:
        data = dict(data)
        if isinstance(data["longrepr"], list):
            data["longrepr"] = tuple(data["longrepr"])  # A reason to skip, that JSON made a list.
        if data["when"] == CRASHED:
            data["when"] = "setup"  # Where a failure is an error; pytest-html shows no test of another phase.
        report: pytest.TestReport = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        return report

    def lost(self, test: str) -> pytest.TestReport:
        said = f"{self.trouble}, while this ran\n\nthe console's last lines:\n{self.results.last_words}"
        return new_report(test, "failed", said)

    def complaints(self, reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
        """Has each test fail during which the kernel complained; reports of those that have none to be failed in."""
        further = []
        by_test = {report.nodeid: report for report in reports if report.when == "call" or report.failed}
        for splat in self.splats:
            for test in splat.tests or ("kernel log",):
                if test in by_test:
                    fail(by_test[test], splat)
                else:
                    further.append(fail(new_report(test, "failed", None), splat))
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


def endings(reports: list[pytest.TestReport]) -> list[pytest.TestReport]:
    """The last phase of each test that didn't come to it: without, pytest-html leaves a test out."""
    ended = {report.nodeid for report in reports if report.when == "teardown"}
    unended = dict.fromkeys(report.nodeid for report in reports if report.nodeid not in ended)
    return [new_report(test, "passed", None, "teardown") for test in unended]


def new_report(nodeid: str, outcome: Any, longrepr: Any, when: Any = "setup") -> pytest.TestReport:
    """A report that no test made itself. Setup is the phase in which a failure is an error, in every report."""
    location = (nodeid.split("::")[0], None, nodeid.partition("::")[2])
    return pytest.TestReport(nodeid, location, {}, outcome, longrepr, when, start=time.time(), stop=time.time())


def not_run(test: str, trouble: str) -> pytest.TestReport:
    reason = f"Skipped: not run: {trouble or 'the run ended before'}"
    return new_report(test, "skipped", (test.split("::")[0], 0, reason))


#: What a user's own sessions of pytest are told isn't for this one.
ENVIRONMENT = dict.fromkeys(("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"), "")


def command_line(shared: Shared, kernel: str, trouble: Trouble | None, begun: float) -> list[str]:
    """The arguments of the pytest that makes the reports."""
    plugins = ["helpers.plugins.verdict", "helpers.plugins.report", "helpers.plugins.logs", "vm.results.replay"]
    command = ["--noconftest", "-qq", "-n", "0", "--no-header", f"--replay={shared.directory}"]
    command += [word for plugin in plugins for word in ("-p", plugin)]
    command += [f"--html={shared.html}", "--self-contained-html", f"--junit-xml={shared.junit}"]
    command += [f"--report-log={shared.report_log}", f"--ktap={shared.ktap}"]
    if trouble:
        command += [f"--trouble={trouble.says}"] + ["--excused"] * (not trouble.by_kernel)
    return [*command, f"--begun={begun}", f"--kernel={kernel}"]
