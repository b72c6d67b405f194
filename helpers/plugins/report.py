"""The HTML report: what was tested, the clauses, and no column that says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.interface.uapi import Category
from helpers.operations import names_of
from helpers.plugins.machine import HOST
from helpers.plugins.verdict import TALLY, kernel_name


def pytest_html_report_title(report: Any) -> None:
    report.title = "PAGEMAP_SCAN conformance"


def pytest_html_results_summary(prefix: list[str], session: pytest.Session) -> None:
    config = session.config
    if TALLY not in config.stash:
        return
    host = config.stash[HOST]
    prefix.append(f"<p><strong>{config.stash[TALLY].line(kernel_name(config))}</strong></p>")
    prefix.append(
        f"<p>Categories the kernel knows: {names_of(Category(host.facts.known))}. "
        f"Pages of {host.sizes.page} bytes, huge pages of {host.sizes.huge_page}.</p>"
    )
    for need, reason in host.missing.items():
        prefix.append(f"<p>Not asked, {need}: {reason}.</p>")


def pytest_html_results_table_header(cells: list[str]) -> None:
    cells.insert(2, "<th>Clauses</th>")
    del cells[-1]


def pytest_html_results_table_row(report: pytest.TestReport, cells: list[str]) -> None:
    told = sorted({str(value) for name, value in report.user_properties if name == "clause"})
    cells.insert(2, f"<td>{', '.join(told)}</td>")
    del cells[-1]
