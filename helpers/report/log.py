"""The log of a run, written as it goes: ``--report-log=FILE``, an object in JSON on each line.

pytest-reportlog writes what pytest says, and this adds, with the version of what they hold as ``schema``:

- first ``{"$report_type": "Subject", "schema": 1, …}`` with the fields of :class:`helpers.subject.Subject`: what was
  asked;
- last ``{"$report_type": "Verdict", "schema": 1, "verdict", "status", "line", "sentences", "troubles", "interrupted",
  "seconds"}``: in the words of the last lines of a run. A log without it is that of a run that was ended.

Between them a ``TestReport`` for each phase of each test; its ``user_properties`` name the clauses that the test proves
(``clause``), kinds of memory (``kind``) and the errata that made a difference (``erratum``). Where the kernel differs,
``picture`` is what a page draws (:func:`helpers.explain.picture`), and ``c_program`` has the ``name`` and ``text`` of
the C.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.report.outcomes import Outcome, outcome_in, worst

SCHEMA = 1


class NotALog(Exception):
    """A file isn't the log of a run of the suite, or one of a version that isn't known here: why, in a sentence."""


@dataclass(frozen=True)
class Log:
    """``verdict``: None of a run that was ended before it had one."""

    path: Path
    subject: dict[str, Any] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()
    verdict: dict[str, Any] | None = None
    reports: tuple[dict[str, Any], ...] = ()

    @property
    def kernel(self) -> str:
        return str(self.subject.get("kernel") or "a kernel that isn't named")

    @property
    def partial(self) -> str:
        """Why it isn't all of a run; nothing if it is."""
        if self.verdict is None:
            return "the run was ended before it had a verdict"
        return "; ".join(self.verdict["sentences"])

    @property
    def seconds(self) -> float:
        """From the first report to the last."""
        times = [report[which] for report in self.reports for which in ("start", "stop")]
        return max(times, default=0.0) - min(times, default=0.0)


def read(path: Path) -> Log:
    """Reads a log. A line that was cut off is left out. Raises NotALog."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise NotALog(f"{path}: {error.strerror}") from error
    subject: dict[str, Any] = {}
    verdict: dict[str, Any] | None = None
    reports = []
    for line in lines:
        try:
            entry = json.loads(line)
            kind = entry.get("$report_type")
        except (ValueError, AttributeError):
            continue
        if kind in ("Subject", "Verdict") and entry.get("schema") != SCHEMA:
            raise NotALog(f"{path}: it has version {entry.get('schema')}, and {SCHEMA} is the one that is known here")
        if kind == "Subject":
            subject = entry
        elif kind == "Verdict":
            verdict = entry
        elif kind == "TestReport":
            reports.append(entry)
    if not subject:
        raise NotALog(f"{path}: it isn't the log of a run of this suite (--report-log=FILE)")
    outcomes = worst(outcome for entry in reports if (outcome := outcome_in(entry)))
    return Log(path, subject, tuple(outcomes), verdict, tuple(reports))
