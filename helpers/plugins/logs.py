"""What a run says for machines: the lines of the log that pytest-reportlog doesn't have, KTAP, JUnit's kernel."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import xml_key  # As record_testsuite_property has it, which only tests can have.

from helpers.plugins.output import not_written
from helpers.plugins.stash import TROUBLES, VOICE
from helpers.plugins.verdict import SUBJECT, TALLY
from helpers.report.ktap import ktap
from helpers.report.log import SCHEMA
from helpers.report.outcomes import OUTCOMES, Outcome, outcome_of, worst

#: As the name of a file: standard output.
STDOUT = "-"


class Logs:
    """In the controlling process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.outcomes: list[Outcome] = []
        config.stash[OUTCOMES] = self.outcomes

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        if SUBJECT not in self.config.stash:
            return
        subject = self.config.stash[SUBJECT]
        if log := self.log:
            log._write_json_data({"$report_type": "Subject", "schema": SCHEMA, **asdict(subject)})
        if xml := self.config.stash.get(xml_key, None):
            xml.add_global_property("kernel", subject.kernel)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Before JUnit's report is written."""
        tally, xml = self.config.stash.get(TALLY, None), self.config.stash.get(xml_key, None)
        if tally and xml and tally.has_failed_itself:
            xml.add_global_property("partial", "; ".join(tally.sentences()))

    @property
    def log(self) -> Any:
        """pytest-reportlog's own; None where no log is written."""
        return getattr(self.config, "_report_log_plugin", None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if outcome := outcome_of(report):
            self.outcomes.append(outcome)

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Before the verdict is told: what can't be written is a part of it."""
        if TALLY not in config.stash or SUBJECT not in config.stash:
            return
        tally = config.stash[TALLY]
        troubles = config.stash.setdefault(TROUBLES, [])
        for trouble in troubles:  # As the verdict does when it is told: both have to be the same.
            tally.trouble(trouble)
        said = {"verdict": tally.verdict, "status": tally.status, "line": tally.line(config.stash[SUBJECT].kernel)}
        said |= {"sentences": tally.sentences(), "troubles": list(tally.troubles), "interrupted": tally.interrupted}
        verdict = {"$report_type": "Verdict", "schema": SCHEMA, **said, "seconds": tally.seconds}
        try:
            if log := self.log:
                log._write_json_data(verdict)
            if name := config.getoption("ktap"):
                partial = "; ".join(tally.sentences()) if tally.has_failed_itself else ""
                write_ktap(name, ktap(worst(self.outcomes), partial))
        except OSError as error:
            troubles.append(not_written(error.filename or "a report", error))


def write_ktap(name: str, text: str) -> None:
    """Raises OSError."""
    if name == STDOUT:
        print(text, end="", flush=True)
    else:
        Path(os.path.expandvars(name)).expanduser().write_text(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here, since the session that makes the reports of a virtual machine has no conftest."""
    group = parser.getgroup("conformance")
    group.addoption("--ktap", metavar="FILE", help="write the outcomes as KTAP; - is standard output")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(Logs(config), "logs")
    if config.getoption("ktap") == STDOUT:  # What is for people goes elsewhere then.
        config.stash[VOICE] = sys.stderr
        if reporter := config.pluginmanager.getplugin("terminalreporter"):
            reporter._tw._file = sys.stderr
