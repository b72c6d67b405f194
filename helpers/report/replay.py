"""A session of pytest that runs nothing: what others reported is reported again, for the reports that a session makes.

pytest-html, JUnit, KTAP, the log and the verdict are made here of a log as they were made of the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from _pytest.junitxml import xml_key  # As record_testsuite_property has it, which only tests can have.

from helpers.plugins.machine import CHECKOUT
from helpers.plugins.stash import TROUBLES
from helpers.plugins.verdict import SUBJECT, TALLY
from helpers.report.log import Log
from helpers.report.outcomes import CRASHED, ending
from helpers.subject import Subject

#: Of the suite's own, what such a session needs: nothing that asks a kernel.
PLUGINS = ("helpers.plugins.verdict", "helpers.plugins.report", "helpers.plugins.logs", "suites.plugin")
#: What a user's own sessions of pytest are told isn't for this one.
ENVIRONMENT = dict.fromkeys(("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"), "")


@dataclass(frozen=True)
class Times:
    """When the run was that is reported again, as JUnit's report asks its session. Both in seconds, the first of the
    epoch."""

    start: float
    seconds: float

    def elapsed(self) -> Times:
        return self

    def as_utc(self) -> datetime:
        return datetime.fromtimestamp(self.start, UTC)


class Replay:
    """Stands in for collecting and running. ``planned``: how many tests there would have been."""

    def __init__(self, config: pytest.Config, subject: Mapping[str, Any], planned: int) -> None:
        self.config = config
        self.planned = planned
        self.start: float | None = None
        config.stash[SUBJECT] = Subject(**subject)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool:
        session.items = []
        session.testscollected = self.planned
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        reports = self.reports()
        ended = {report.nodeid for report in reports if report.when == "teardown"}
        unended = {report.nodeid: report.user_properties for report in reports if report.nodeid not in ended}
        reports += [ending(test, properties) for test, properties in unended.items()]
        self.start = min((report.start for report in reports), default=None)
        hook = self.config.hook
        for report in reports:
            if report.when == "setup":
                hook.pytest_runtest_logstart(nodeid=report.nodeid, location=report.location)
            hook.pytest_runtest_logreport(report=report)
            if report.when == "teardown":
                hook.pytest_runtest_logfinish(nodeid=report.nodeid, location=report.location)
        self.conclude(session)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Before JUnit's report is written: it is of the run, not of this session."""
        xml: Any = self.config.stash.get(xml_key, None)
        if xml and self.start is not None:
            xml.suite_start = Times(self.start, self.config.stash[TALLY].seconds)

    def reports(self) -> list[pytest.TestReport]:
        """All that is to be reported."""
        raise NotImplementedError

    def conclude(self, session: pytest.Session) -> None:
        """Says what else the verdict is about."""

    def restored(self, entry: Mapping[str, Any]) -> pytest.TestReport:
        """A report that pytest-reportlog wrote."""
        data = dict(entry)
        data.pop("node", None)  # A worker's name, where pytest expects the worker.
        if isinstance(data["longrepr"], list):
            data["longrepr"] = tuple(data["longrepr"])  # A reason to skip, that JSON made a list.
        if data["when"] == CRASHED:
            data["when"] = "setup"  # Where a failure is an error; no report knows another phase.
        report: pytest.TestReport = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        return report


class OfLog(Replay):
    """Reports what a log says."""

    def __init__(self, config: pytest.Config, log: Log) -> None:
        known = Subject.__dataclass_fields__
        subject = {name: value for name, value in log.subject.items() if name in known}
        super().__init__(config, subject, len(log.outcomes))
        self.log = log

    def reports(self) -> list[pytest.TestReport]:
        return [self.restored(entry) for entry in self.log.reports]

    def conclude(self, session: pytest.Session) -> None:
        tally = self.config.stash[TALLY]
        verdict = self.log.verdict or {"interrupted": "", "troubles": [self.log.partial], "seconds": self.log.seconds}
        tally.seconds = verdict["seconds"]
        tally.interrupted = verdict["interrupted"]
        for trouble in verdict["troubles"]:
            tally.trouble(trouble)


class Rendering:
    """A plugin that has the session be one about a log, and knows afterwards what it couldn't write."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.troubles: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(OfLog(config, self.log), "replay")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Without the dots of a run."""
        session.config.pluginmanager.unregister(name="terminalreporter")

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        self.troubles = config.stash.get(TROUBLES, [])


def render(log: Log, html: Path | None = None, junit: Path | None = None, ktap: str | None = None) -> Sequence[str]:
    """Makes reports of a log, and says the verdict again; returns what couldn't be written, in sentences.

    ``ktap``: a file; ``-`` is standard output.
    """
    named = {"--html": html, "--junit-xml": junit, "--ktap": ktap}
    command = ["-qq", "--no-header", "--no-summary", "--noconftest", "-n0", f"--rootdir={CHECKOUT}"]
    command += ["-c", str(CHECKOUT / "pyproject.toml")]
    command += [f"{option}={path}" for option, path in named.items() if path]
    command += [word for plugin in (*PLUGINS, "helpers.plugins.output") for word in ("-p", plugin)]
    rendering = Rendering(log)
    with mock.patch.dict(os.environ, ENVIRONMENT):
        pytest.main(command, plugins=[rendering])
    return rendering.troubles
