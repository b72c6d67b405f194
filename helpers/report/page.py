"""A run as one page of HTML that needs nothing else: what was asked, the contract clause by clause, errata, tests."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from helpers.deviations import Erratum, Harm, name_of
from helpers.explain import picture
from helpers.plugins.clauses import catalogue
from helpers.report.defects import name_in, program, promises, steps_of
from helpers.report.outcomes import WORST_FIRST, Outcome
from helpers.subject import Subject

HERE = Path(__file__).parent
#: What came of a test, and of a clause: a sign that needs no colour, and a word. What counts most of a clause is first.
SIGNS = {"failed": "✗", "untold": "?", "xfailed": "!", "passed": "✓", "skipped": "–"}
OF_TESTS = {name: name for name in SIGNS} | {"untold": "not told"}
OF_CLAUSES = OF_TESTS | {"failed": "broken", "xfailed": "known defect", "skipped": "not asked", "passed": "kept"}
#: So many bytes of what failed tests say, then the reason alone: a kernel may break all.
ROOM = 3 << 20
#: Of what isn't a test of the contract, such as a complaint of the kernel between two tests.
NO_CLAUSE = "(no clause)"
#: So many letters have a colour of their own.
COLOURS = 8


@dataclass(frozen=True)
class Clause:
    """A clause of the contract, and how many of the run's tests of it had which outcome."""

    name: str
    says: str
    where: str
    kind: str
    counts: Mapping[str, int]

    @property
    def outcome(self) -> str:
        """The worst that counts: what was skipped doesn't, where others were asked."""
        return min(self.counts, key=[*SIGNS].index, default="")


@dataclass(frozen=True)
class Met:
    """An erratum that made a difference to so many tests. ``picture`` and ``program``: none of one that isn't known."""

    name: str
    says: str
    tests: int
    harm: str = ""
    evidence: str = ""
    fixed: str = ""
    promises: Sequence[str] = ()
    picture: Mapping[str, Any] | None = None
    program: str = ""


@dataclass(frozen=True)
class Run:
    """What a page is about. ``verdict``: in a word, ``line``: in the run's last line, ``partial``: what is missing."""

    subject: Subject
    verdict: str
    line: str
    partial: Sequence[str]
    outcomes: Sequence[Outcome]
    errata: Sequence[type[Erratum]]


def clauses_of(outcomes: Sequence[Outcome]) -> list[Clause]:
    """The contract, in the order of its catalogue."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in catalogue()}
    for outcome in outcomes:
        for name in outcome.clauses or (NO_CLAUSE,):
            counts.setdefault(name, Counter())[outcome.outcome] += 1
    unknown = {"says": "", "where": "", "kind": ""}
    entries = {name: catalogue().get(name, unknown) for name in counts}
    return [
        Clause(name, told["says"], told["where"], told["kind"], dict(counts[name])) for name, told in entries.items()
    ]


def met_in(run: Run) -> list[Met]:
    """The errata that were met, the most harmful first."""
    by_name = {name_of(erratum): erratum for erratum in run.errata}
    tests = Counter(words for outcome in run.outcomes for words in outcome.errata)
    found = [_met(words, count, by_name.get(name_in(words)), run.subject.kernel) for words, count in tests.items()]
    order = [harm.value for harm in Harm] + [""]
    return sorted(found, key=lambda one: (order.index(one.harm), one.name))


def _met(words: str, tests: int, erratum: type[Erratum] | None, kernel: str) -> Met:
    if erratum is None or not erratum.has_probe():
        return Met(name_in(words), words.partition(": ")[2], tests)
    lab, steps = steps_of(erratum)
    return Met(
        name_of(erratum),
        erratum.says(),
        tests,
        erratum.harm.value,
        erratum.evidence,
        erratum.fixed,
        promises(erratum),
        picture(lab.memory, steps),
        program(erratum, kernel),
    )


def cells(strip: Mapping[str, Any], row: str) -> Iterator[tuple[str, str, bool]]:
    """The pages of a row of a strip, equal ones together: the class of their colour, letters, whether the first that
    differs."""
    letters, first = strip[row], strip["first"] - strip["start"]
    order = list(strip["names"])
    for (letter, is_first), run in itertools.groupby(enumerate(letters), lambda one: (one[1], one[0] == first)):
        yield colour(letter, order), letter * len(list(run)), is_first


def colour(letter: str, order: Sequence[str]) -> str:
    """The class of a letter's colour; none for a page that isn't reported."""
    return f"k{order.index(letter) % COLOURS}" if letter in order else ""


def shown(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, bool]]:
    """Each test, the worst first, and whether there is room for its details."""
    found, room = [], ROOM
    for outcome in sorted(outcomes, key=lambda one: WORST_FIRST.index(one.outcome)):
        details = outcome.details
        size = len(details.text) + len((details.program or {}).get("text", "")) if details else 0
        room -= size
        found.append((outcome, room >= 0))
    return found


def render(run: Run) -> str:
    """The page. What can't be said in UTF-8, as a name of a file may be, is replaced."""
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"cells": cells, "colour": colour, "name_in": name_in}
    contract = clauses_of(run.outcomes)
    page = environment.get_template("page.html").render(
        run=run,
        clauses=contract,
        uncovered=[clause for clause in contract if not clause.counts],
        met=met_in(run),
        tests=shown(run.outcomes),
        totals=Counter(outcome.outcome for outcome in run.outcomes),
        kinds=sorted({kind for outcome in run.outcomes for kind in outcome.kinds}),
        signs=SIGNS,
        of_tests=OF_TESTS,
        of_clauses=OF_CLAUSES,
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"),
    )
    return page.encode("utf-8", "replace").decode()
