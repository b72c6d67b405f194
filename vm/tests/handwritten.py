"""Results as a guest leaves them, written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vm.guest.marks import MARK
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel

KERNEL = Kernel("6.99.1-test", "6.99.1-test", Path("/nonexistent/vmlinuz"), None, "written by hand")
SUBJECT = {
    "kernel": "6.99.1-test x86_64",
    "build": "#1 SMP",
    "pages": "4 KiB",
    "categories": "all",
    "missing": {"hugetlb": "no pool"},
}
FILE = "suites/test_a.py"


def reports_of(test: str, outcome: str = "passed", phases: Sequence[str] = ("setup", "call", "teardown")) -> list[Any]:
    """The reports of a test, as pytest-reportlog writes them; the outcome is that of the call."""
    found = []
    for when in phases:
        has = outcome if when == "call" else "passed"
        report: dict[str, Any] = {
            "$report_type": "TestReport",
            "nodeid": f"{FILE}::{test}",
            "location": [FILE, 1, test],
            "keywords": {},
            "outcome": "skipped" if has == "xfailed" else has,
            "longrepr": {"failed": "assert 0", "skipped": [FILE, 1, "Skipped: no pool"]}.get(has),
            "when": when,
            "user_properties": [["clause", "a-clause"]] if when == "call" else [],
            "sections": [],
            "duration": 0.5,
            "start": 1.0,
            "stop": 1.5,
        }
        if has == "xfailed":
            report |= {"wasxfail": "an-issue: known (not fixed)", "longrepr": "assert 0"}
        found.append(report)
    return found


def crash_of(test: str) -> list[Any]:
    """What pytest-xdist reports of a test in which its worker died."""
    [report] = reports_of(test, phases=("setup",))
    return [{**report, "outcome": "failed", "when": "???", "longrepr": "worker 'gw0' crashed while running this"}]


def write(
    directory: Path,
    plan: Sequence[str],
    reports: Sequence[Any],
    console: Sequence[str],
    status: int | None = None,
    finished: bool = True,
    cut: int = 0,
) -> Shared:
    """Writes a results directory. ``status`` None: the guest didn't get that far; ``cut``: bytes missing at the end."""
    shared = Shared(directory)
    directory.mkdir(exist_ok=True)
    shared.plan.write_text(
        "".join(json.dumps({"nodeid": f"{FILE}::{test}", "clauses": ["a-clause"]}) + "\n" for test in plan)
    )
    shared.subject.write_text(json.dumps(SUBJECT))
    entries = [*reports, {"$report_type": "SessionFinish", "exitstatus": status}] if finished else reports
    log = "".join(json.dumps(entry) + "\n" for entry in entries)
    shared.log.write_text(log[: len(log) - cut])
    said = [line.replace("> ", f"{MARK} ") if line.startswith("> ") else line for line in console]
    shared.console.write_text("".join(f"[{second:5}.000000] {line}\n" for second, line in enumerate(said)))
    if status is not None:
        shared.status.write_text(f"{status}\n")
    return shared
