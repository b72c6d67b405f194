"""The HTML report: what was tested, the clauses, and no column that says nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import pytest
from pytest_metadata.plugin import metadata_key

from helpers.interface.uapi import Category
from helpers.plugins.machine import HOST
from helpers.plugins.verdict import TALLY, kernel_name

STYLE = Path(__file__).with_name("report.css")


def pytest_html_report_title(report: Any) -> None:
    report.title = "PAGEMAP_SCAN conformance"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.option.css = [*config.option.css, str(STYLE)]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """The environment of a conformance run is the kernel, not the packages that ask it."""
    config = session.config
    if HOST not in config.stash:
        return
    host = config.stash[HOST]
    environment = config.stash[metadata_key]
    environment.clear()
    environment["Kernel"] = kernel_name(config)
    if not config.getoption("stub"):
        environment["Build"] = os.uname().version
    environment["Pages"] = f"{host.sizes.page} bytes, huge pages {host.sizes.huge_page} bytes"
    environment["Categories"] = ", ".join(category.name or "" for category in Category if category in host.facts.known)


def pytest_html_results_summary(prefix: list[str], session: pytest.Session) -> None:
    config = session.config
    if TALLY not in config.stash:
        return
    tally = config.stash[TALLY]
    prefix.append(f"<p><strong>{escape(tally.line(kernel_name(config)))}</strong></p>")
    known = [f"{reason}: {count} test{'s' * (count > 1)}" for reason, count in sorted(tally.known.items())]
    prefix.append(_listed("Known defects of this kernel", known))
    prefix.append(_listed("Not asked", [f"{need}: {why}" for need, why in config.stash[HOST].missing.items()]))


def _listed(title: str, entries: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(entry)}</li>" for entry in entries)
    return f"<p>{title}:</p><ul>{items}</ul>" if items else ""


def pytest_html_results_table_header(cells: list[str]) -> None:
    cells.insert(2, "<th>Clauses</th>")


def pytest_html_results_table_row(report: pytest.TestReport, cells: list[str]) -> None:
    told = sorted({str(value) for name, value in report.user_properties if name == "clause"})
    cells.insert(2, f"<td>{', '.join(told)}</td>")
