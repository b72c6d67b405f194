"""What came of each test, as the reports tell it: also of one that was lost with its guest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from helpers.plugins.verdict import UNTOLD


@dataclass(frozen=True)
class Outcome:
    """Of one test: ``passed``, ``failed``, ``xfailed``, ``untold`` or ``skipped``, why, the clauses that it proves."""

    nodeid: str
    outcome: str
    reason: str
    clauses: Sequence[str]


def outcome_of(report: pytest.TestReport, clauses: Mapping[str, Sequence[str]]) -> Outcome | None:
    """What a report says came of its test; None when it's about a phase before or after it that went well."""
    if report.when != "call" and report.passed:
        return None
    known = getattr(report, "wasxfail", None)
    outcome: str = "xfailed" if known is not None and report.skipped else report.outcome
    if report.failed and any(name == UNTOLD for name, _ in report.user_properties):
        outcome = "untold"
    reason = known or (report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
    return Outcome(report.nodeid, outcome, reason, clauses.get(report.nodeid, ()))


def keep(path: Path, outcomes: Iterable[Outcome]) -> None:
    path.write_text("".join(f"{json.dumps(asdict(outcome))}\n" for outcome in outcomes))


def kept(path: Path) -> list[Outcome]:
    """None of a kernel for which no reports were made."""
    try:
        return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()]
    except (OSError, ValueError, TypeError):
        return []
