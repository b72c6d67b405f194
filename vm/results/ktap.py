"""What the suite's C program says in KTAP, turned into the reports that pytest would have written.

Everything behind then works in the same way.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from helpers.plugins.verdict import COMBINATIONS, ERRATUM
from vm.architectures import Architecture
from vm.guest.shared_directory import Shared
from vm.inside.invocation import collect
from vm.kernels.kernel import Kernel
from vm.results.left_behind import Results

_RESULT = re.compile(r"^ {2,4}(ok|not ok) \d+ (?:- )?(\S+)(?: # (XFAIL|SKIP))?")
#: With which the program begins a line that tells of an erratum that made a difference.
_MET = "# erratum "
_PROVEN = re.compile(r"# (\d+) mask combinations proven")


def plan(shared: Shared) -> None:
    """Has pytest write the plan, of all tests. Raises CannotRun."""
    collect(f"--tell={shared.directory}")


def report(kernel: Kernel, machine: Architecture, shared: Shared) -> None:
    """Writes what the console says as pytest would have: the subject, a report for each test, the plan of those."""
    results = Results(shared)
    pages = f"{kernel.page_size} bytes, huge pages {kernel.page_size * kernel.pages_per_huge_page} bytes"
    subject = {"kernel": f"{kernel.release} {machine.name}", "build": "", "pages": pages, "categories": ""}
    left_out = "by a program without Python: see the report of another kernel"
    shared.subject.write_text(json.dumps({**subject, "missing": {"some tests": left_out}}))
    in_program = {test.rsplit("/", 1)[-1].partition("::")[2]: test for test in results.plan}
    ran = set()
    with shared.log.open("w") as log:
        for name, outcome, told, proven in outcomes(results.console):
            if test := in_program.get(name):
                ran.add(test)
                log.write(json.dumps(as_report(test, results.clauses[test], outcome, told, proven)) + "\n")
        if "# Totals:" in "\n".join(results.console):
            log.write(json.dumps({"$report_type": "SessionFinish", "exitstatus": 0}) + "\n")
            shared.status.write_text("0\n")
    asked = [{"nodeid": test, "clauses": results.clauses[test]} for test in results.plan if test in ran]
    shared.plan.write_text("".join(json.dumps(entry) + "\n" for entry in asked))


def outcomes(console: Sequence[str]) -> Iterator[tuple[str, str, str, int]]:
    """Each result: the test's name, its outcome, what was said of it, how many mask combinations it proved."""
    said: list[str] = []
    proven = 0
    for line in console:
        if match := _RESULT.match(line):
            kept, name, directive = match.groups()
            outcome = {"XFAIL": "xfailed", "SKIP": "skipped"}.get(directive, "passed" if kept == "ok" else "failed")
            yield name, outcome, "\n".join(said), proven
            said, proven = [], 0
        elif line.lstrip().startswith("# "):
            said.append(line.strip())
            proven += sum(map(int, _PROVEN.findall(line)))


def as_report(test: str, clauses: Sequence[str], outcome: str, told: str, proven: int) -> dict[str, Any]:
    """A test's report as pytest-reportlog writes it."""
    properties: list[tuple[str, object]] = [("clause", clause) for clause in clauses]
    properties += [(COMBINATIONS, proven)] if proven else []
    found: dict[str, Any] = {
        "$report_type": "TestReport",
        **{"nodeid": test, "location": [test.split("::")[0], None, test.partition("::")[2]], "keywords": {}},
        **{"outcome": "skipped" if outcome == "xfailed" else outcome, "longrepr": told or None, "when": "call"},
        **{"user_properties": properties, "sections": [], "duration": 0.0, "start": time.time(), "stop": time.time()},
    }
    if outcome == "skipped":
        found["longrepr"] = [test.split("::")[0], 0, f"Skipped: {told or 'could not be asked in this guest'}"]
    if outcome == "xfailed":
        met = [line.removeprefix(_MET) for line in told.splitlines() if line.startswith(_MET)]
        found["wasxfail"] = "; ".join(met)
        properties += [(ERRATUM, erratum) for erratum in met]
    return found
