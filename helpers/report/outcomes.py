"""What came of each test, as the reports tell it: also of one that was lost with its guest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers.plugins.verdict import ERRATUM, UNTOLD

#: The worst of what is said of a test in its phases is what came of it.
WORST_FIRST = ("failed", "untold", "xfailed", "skipped", "passed")

#: What is read of a report.
_FIELDS = ("nodeid", "when", "outcome", "longrepr", "wasxfail", "user_properties", "duration")


@dataclass(frozen=True)
class Outcome:
    """Of one test: ``passed``, ``failed``, ``xfailed``, ``untold`` or ``skipped``, why, the clauses that it proves.

    ``errata``: what is known of the kernel that made a difference, in words, the name first. ``seconds``: of the phase
    that decided.
    """

    nodeid: str
    outcome: str
    reason: str
    clauses: Sequence[str]
    errata: Sequence[str] = ()
    seconds: float = 0.0


def outcome_of(report: pytest.TestReport, clauses: Mapping[str, Sequence[str]] | None = None) -> Outcome | None:
    """What a report says came of its test; None when it's about a phase before or after it that went well.

    ``clauses``: those of each test, for one that couldn't say itself which it proves.
    """
    return outcome_in({name: getattr(report, name, None) for name in _FIELDS}, clauses)


def outcome_in(report: Mapping[str, Any], clauses: Mapping[str, Sequence[str]] | None = None) -> Outcome | None:
    """The same, of a report as pytest-reportlog writes it."""
    if report["when"] != "call" and report["outcome"] == "passed":
        return None
    told = [(name, str(value)) for name, value in report.get("user_properties") or ()]
    known = report.get("wasxfail")
    outcome = "xfailed" if known is not None and report["outcome"] == "skipped" else report["outcome"]
    untold = [value for name, value in told if name == UNTOLD]
    if outcome == "failed" and untold:
        outcome = "untold"
    own = [value for name, value in told if name == "clause"]
    return Outcome(
        report["nodeid"],
        outcome,
        known or (untold[0] if outcome == "untold" else _reason(report["longrepr"])),
        tuple((clauses or {}).get(report["nodeid"], own)),
        tuple(value for name, value in told if name == ERRATUM),
        report.get("duration") or 0.0,
    )


def _reason(told: Any) -> str:
    """Why a test was skipped, or failed, in a line."""
    if told is None:
        return ""
    if isinstance(told, list | tuple):
        return str(told[2]).removeprefix("Skipped: ")
    if isinstance(told, Mapping):
        told = (told.get("reprcrash") or {}).get("message", "")
    crash = getattr(getattr(told, "reprcrash", None), "message", told)
    return next(iter(str(crash).splitlines()), "")


def worst(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """One for each test, in the order in which they are first told of."""
    found: dict[str, Outcome] = {}
    for one in outcomes:
        other = found.setdefault(one.nodeid, one)
        if WORST_FIRST.index(one.outcome) < WORST_FIRST.index(other.outcome):
            found[one.nodeid] = one
    return list(found.values())


def keep(path: Path, outcomes: Iterable[Outcome]) -> None:
    path.write_text("".join(f"{json.dumps(asdict(outcome))}\n" for outcome in outcomes))


def kept(path: Path) -> list[Outcome]:
    """None of a kernel for which no reports were made."""
    try:
        return [Outcome(**json.loads(line)) for line in path.read_text().splitlines()]
    except (OSError, ValueError, TypeError):
        return []
