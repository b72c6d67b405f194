"""A C program for each test that failed by the kernel's fault, and with --write-c for each that ran."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from helpers.c_source.reproducer import reproducer
from helpers.deviations import Erratum
from helpers.plugins.blame import in_words, is_the_kernels
from helpers.plugins.clauses import catalogue, clauses_of
from helpers.plugins.stash import CATALOGUE, HOST, LAB
from helpers.plugins.verdict import SUBJECT, TROUBLE


def file_name(nodeid: str) -> str:
    """A name for a test's C: that of the test, in characters that every file system takes."""
    return re.sub(r"[^\w.=+-]+", "-", nodeid.rsplit("/", 1)[-1].replace(".py::", "-")).strip("-") + ".c"


def told_apart(config: pytest.Config) -> list[type[Erratum]]:
    """The errata that can be told, which are named where a kernel answers as they predict."""
    return [erratum for erratum in config.stash.get(CATALOGUE, ()) if erratum.has_probe()]


def write_reproducer(item: pytest.Item, directory: Path) -> Path | None:
    """Writes the C of a test that ran; None when it asked more than operations in a lab do."""
    lab = item.stash.get(LAB, None)
    if lab is None or not lab.steps or item.get_closest_marker("kernel_only"):
        return None
    told = [f"{catalogue()[clause]['says']} ({catalogue()[clause]['where']})" for clause in clauses_of(item)]
    name = item.nodeid.rsplit("/", 1)[-1]
    text = reproducer(
        name, lab.steps, item.config.stash[HOST].facts, told, item.config.stash[SUBJECT].kernel, told_apart(item.config)
    )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name(item.nodeid)
    path.write_text(text)
    return path


def written(item: pytest.Item, directory: Path, report: pytest.TestReport) -> Path | None:
    """The same; what keeps it from being written goes into the report, which stays as it is otherwise."""
    try:
        return write_reproducer(item, directory)
    except Exception as error:
        told = (
            isinstance(error, OSError) and error.strerror
        )  # Without the file's name: it is one trouble for all tests.
        why = told or in_words(pytest.ExceptionInfo.from_current())
        report.sections.append(("C program", f"It couldn't be written: {why}"))
        report.user_properties.append((TROUBLE, f"C programs couldn't be written to {directory}: {why}"))
        return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when != "call":
        return report
    failures = item.config.rootpath / item.config.getoption("failures")
    is_finding = report.failed and call.excinfo and is_the_kernels(item, call.excinfo)
    if is_finding and (path := written(item, failures, report)):
        shown = path.relative_to(failures.parent)  # The report lies beside the directory.
        report.sections.append(("C program", f"{shown}\n    cc -O2 -pthread FILE && ./a.out"))
        report.c_program = {"name": str(shown), "text": path.read_text()}
    if (directory := item.config.getoption("write_c")) and (not report.skipped or hasattr(report, "wasxfail")):
        written(item, Path(directory), report)
    return report
