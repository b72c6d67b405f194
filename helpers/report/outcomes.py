"""What came of each test, as the reports tell it: also of one that was lost with its worker or its guest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from helpers.plugins.verdict import CLAUSE, ERRATUM, KIND, UNTOLD

#: The worst of what is said of a test in its phases is what came of it.
WORST_FIRST = ("failed", "untold", "xfailed", "skipped", "passed")

#: The phase of the report of a test in which its worker died, as pytest-xdist has it.
CRASHED = "???"
#: What is read of a report.
_FIELDS = ("nodeid", "when", "outcome", "longrepr", "wasxfail", "user_properties", "duration")


@dataclass(frozen=True)
class Details:
    """All that a test says that failed. ``picture``: what a page draws (helpers.explain.picture). ``program``: name and
    text of the C that shows it."""

    text: str
    picture: Mapping[str, Any] | None
    program: Mapping[str, str] | None


@dataclass(frozen=True)
class Outcome:
    """Of one test: ``passed``, ``failed``, ``xfailed``, ``untold`` or ``skipped``, why, the clauses that it proves.

    ``errata``: what is known of the kernel that made a difference, in words, the name first. ``seconds``: of the phase
    that decided. ``kinds``: of memory, that it is about.
    """

    nodeid: str
    outcome: str
    reason: str
    clauses: Sequence[str]
    errata: Sequence[str] = ()
    seconds: float = 0.0
    kinds: Sequence[str] = ()
    details: Details | None = None


def outcome_of(report: pytest.TestReport) -> Outcome | None:
    """What a report says came of its test; None when it's about a phase before or after it that went well."""
    found = outcome_in({name: getattr(report, name, None) for name in _FIELDS})
    if found is None or found.outcome not in ("failed", "untold"):
        return found
    sections = [f"--- {title} ---\n{text}" for title, text in report.sections]
    text = "\n\n".join([report.longreprtext, *sections]).strip()
    details = Details(text, getattr(report, "picture", None), getattr(report, "c_program", None))
    return replace(found, details=details)


def outcome_in(report: Mapping[str, Any]) -> Outcome | None:
    """The same, of a report as pytest-reportlog writes it; without its details."""
    if report["when"] != "call" and report["outcome"] == "passed":
        return None
    told = [(name, str(value)) for name, value in report.get("user_properties") or ()]
    known = report.get("wasxfail")
    outcome = "xfailed" if known is not None and report["outcome"] == "skipped" else report["outcome"]
    untold = [value for name, value in told if name == UNTOLD]
    if outcome == "failed" and untold:
        outcome = "untold"
    return Outcome(
        report["nodeid"],
        outcome,
        known or (untold[0] if outcome == "untold" else _reason(report["longrepr"])),
        tuple(dict.fromkeys(value for name, value in told if name == CLAUSE)),
        tuple(value for name, value in told if name == ERRATUM),
        report.get("duration") or 0.0,
        tuple(dict.fromkeys(value for name, value in told if name == KIND)),
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


#: Of a run: what came of its tests so far, in their phases.
OUTCOMES = pytest.StashKey[list[Outcome]]()


def new_report(
    nodeid: str, outcome: Any, longrepr: Any, when: Any = "setup", clauses: Iterable[str] = ()
) -> pytest.TestReport:
    """A report that no test made itself. Setup is the phase in which a failure is an error, in every report."""
    location = (nodeid.split("::")[0], None, nodeid.partition("::")[2])
    report = pytest.TestReport(nodeid, location, {}, outcome, longrepr, when, start=time.time(), stop=time.time())
    report.user_properties = [(CLAUSE, clause) for clause in clauses]
    return report


def ending(nodeid: str, properties: Iterable[tuple[str, object]] = ()) -> pytest.TestReport:
    """The last phase of a test that didn't come to it: without, reports leave the test out, or its properties."""
    report = new_report(nodeid, "passed", None, "teardown")
    report.user_properties = list(properties)
    return report
