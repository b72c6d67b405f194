"""The HTML report: pytest-html says where and when it is written, and this what is on it."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_html.basereport import BaseReport

from helpers.plugins.stash import CATALOGUE
from helpers.plugins.verdict import SUBJECT, TALLY
from helpers.report import page
from helpers.report.outcomes import OUTCOMES, Outcome, worst


class Page:
    """Stands where pytest-html has its template."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_html_results_table_row(self, cells: list[str]) -> None:
        """Has pytest-html keep nothing of a test."""
        cells.clear()

    def render(self, **told_by_pytest_html: Any) -> str:
        tally, subject = self.config.stash[TALLY], self.config.stash[SUBJECT]
        partial = tally.sentences() if tally.has_failed_itself else []
        errata = self.config.stash.get(CATALOGUE, ())
        told: list[Outcome] = self.config.stash[OUTCOMES]
        run = page.Run(subject, tally.verdict, tally.line(subject.kernel), partial, worst(told), errata)
        return page.render(run)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.option.self_contained_html = True  # A file beside it would be one more that can't be written.


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    plugins = session.config.pluginmanager
    for report in plugins.get_plugins():
        if isinstance(report, BaseReport) and SUBJECT in session.config.stash:
            plugins.register(own := Page(session.config), "page")
            report._template = own
