"""Which branches of the model the search comes to: ``python -m helpers.tests.reach`` names those that it doesn't.

It goes where the programs of a run go, on models of each kind of kernel, and no further: every program of one and two
operations, and the random programs that are asked if nobody says how many.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import coverage
from hypothesis import HealthCheck, given, seed, settings

from helpers import model
from helpers.exploration.alphabet import letters
from helpers.exploration.breadth import ALL_KINDS, MANY_PAGES
from helpers.exploration.random_programs import Program, programs
from helpers.exploration.settings import SETTINGS, Setting
from helpers.exploration.states import State, States
from helpers.exploration.stretched import small
from helpers.model import Facts, Model
from helpers.stubs import facts_of

DIRECTORY = Path(model.__file__).parent


class Branch(NamedTuple):
    """A line that goes on in two ways, and the way that is meant: to another line, or out of its function."""

    file: str
    line: str
    to: str


def visit(setting: Setting, facts: Facts) -> None:
    """All states that programs of two operations come to, and what is asked in each."""
    states, model = States(), Model(facts)
    state = State(model, model)
    for operation in setting.operations(facts.pages_per_huge_page):
        state = states.arrival(state, operation).state
    level = [state]
    for _ in range(2):
        for state in level:
            states.asked(state)
        arrivals = [
            states.behind(state, place, letter)
            for state in level
            for place, letter in enumerate(letters(setting, facts))
        ]
        level = [*dict.fromkeys(arrival.state for arrival in arrivals if arrival)]
    for state in level:
        states.asked(state)


def draw(facts: Facts) -> None:
    """The random programs of a run in which nobody says how many."""
    for breadth in (ALL_KINDS, MANY_PAGES):
        drawn = programs(small(facts) if breadth.is_small else facts, [], (), breadth)

        @settings(max_examples=20, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @seed(0)
        @given(drawn)
        def ask(program: Program) -> None:
            assert program.operations

        ask()


def search() -> None:
    """On a kernel with soft-dirty bits, and what there is beside on one with read-write protection instead."""
    with_soft_dirty, with_rwp = facts_of("faithful-soft-dirty"), facts_of("faithful-rwp")
    for setting in SETTINGS:
        visit(setting, small(with_rwp if "rwp" in setting.needs else with_soft_dirty))
    for facts in with_soft_dirty, with_rwp:
        draw(facts)


def not_reached() -> list[Branch]:
    """The branches that none of the programs comes to."""
    with tempfile.TemporaryDirectory() as directory:
        reach = coverage.Coverage(data_file=None, branch=True, include=[f"{DIRECTORY}/*"], config_file=False)
        with reach.collect():
            search()
        told = Path(directory) / "reach.json"
        reach.json_report(outfile=str(told))
        files = json.loads(told.read_text())["files"]
    found = []
    for path, report in files.items():
        lines = Path(path).read_text().splitlines()
        for start, to in report["missing_branches"]:
            found.append(Branch(Path(path).name, lines[start - 1].strip(), lines[to - 1].strip() if to > 0 else ""))
    return found


if __name__ == "__main__":
    for branch in not_reached():
        print(f"{branch.file}: {branch.line}\n        to: {branch.to or 'out of the function'}")
