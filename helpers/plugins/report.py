"""The HTML report: what was tested, the clauses, and no column that says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import pytest
from pytest_metadata.plugin import metadata_key

from helpers.plugins.verdict import SUBJECT, TALLY

STYLE = Path(__file__).with_name("report.css")


def pytest_html_report_title(report: Any) -> None:
    report.title = "PAGEMAP_SCAN conformance"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.option.self_contained_html = True  # A file beside it would be one more that can't be written.
    config.option.css = [*getattr(config.option, "css", []), str(STYLE)]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """The environment of a conformance run is the kernel, not the packages that ask it."""
    config = session.config
    if SUBJECT not in config.stash:
        return
    subject = config.stash[SUBJECT]
    told = {"Kernel": subject.kernel, "Build": subject.build, "Pages": subject.pages, "Categories": subject.categories}
    environment = config.stash[metadata_key]
    environment.clear()
    environment.update({name: value for name, value in told.items() if value})


def pytest_html_results_summary(prefix: list[str], session: pytest.Session) -> None:
    config = session.config
    if TALLY not in config.stash:
        return
    tally = config.stash[TALLY]
    prefix.append(f"<p><strong>{escape(tally.line(config.stash[SUBJECT].kernel))}</strong></p>")
    known = [f"{reason}: {count} test{'s' * (count > 1)}" for reason, count in sorted(tally.known.items())]
    prefix.append(_listed("Not told", tally.sentences()))
    prefix.append(_listed("Known defects of this kernel", known))
    prefix.append(_listed("Not asked", [f"{need}: {why}" for need, why in config.stash[SUBJECT].missing.items()]))


def _listed(title: str, entries: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries)
    return f"<p>{title}:</p><ul>{items}</ul>" if items else ""


def pytest_html_results_table_header(cells: list[str]) -> None:
    cells.insert(2, "<th>Clauses</th>")


def pytest_html_results_table_row(report: pytest.TestReport | pytest.CollectReport, cells: list[str]) -> None:
    properties = getattr(report, "user_properties", [])  # A file that can't be collected has none.
    told = sorted({str(value) for name, value in properties if name == "clause"})
    cells.insert(2, f"<td>{', '.join(told)}</td>")
