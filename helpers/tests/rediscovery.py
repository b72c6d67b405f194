"""After how many programs the search finds what is wrong with a stub: ``python -m helpers.tests.rediscovery``.

The programs come as they do in a run that isn't divided: those of one operation in all settings, then those of two.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from typing import Any

from helpers.deviations import Deviation, name_of
from helpers.exploration.alphabet import letters
from helpers.exploration.judge import Judge
from helpers.exploration.search import Branch, Search
from helpers.exploration.settings import SETTINGS, Setting
from helpers.exploration.worlds import full_world, world_of_stub
from helpers.lab import Lab
from helpers.model import Facts, Model
from helpers.operations import Operation
from helpers.stubs import facts_of
from helpers.tests.faults import FAULTS
from suites.errata import ERRATA


class _FoundIt(Exception):
    """A program told the stub from the contract."""


class _Parting(Judge):
    """Knows what the stub answers: what is broken is all that is known of it. So no program need run."""

    def judge(self, program: Sequence[Operation], expected: Sequence[Any], predicted: Sequence[Any]) -> None:
        self.tally.ran += 1
        if predicted != expected:
            raise _FoundIt


def _retell(program: Sequence[Operation]) -> Lab:
    raise NotImplementedError


class _Search(Search):
    """Finds where the contract and a stub part."""

    def __init__(self, setting: Setting, facts: Facts, broken: type[Deviation]) -> None:
        world = (world_of_stub if setting.has_huge_pages else full_world)(facts, Model)
        super().__init__(setting, world, [broken], letters(setting, world.facts), _retell)
        self.judge = _Parting(world, _retell, self.tally)

    def after(self, branch: Branch, place: int, programs: int) -> Branch | None:
        """That an operation doesn't return is told as anything else is: no kernel is asked."""
        arrival = self.states.behind(branch.state, place, self.alphabet[place])
        if arrival is None:
            self.count(programs, unspecified=programs)
            return None
        return branch.then(self.alphabet[place], arrival)


def kernel_for(broken: type[Deviation]) -> Facts:
    """What kernel a stub plays: one with read-write protection for what is about that, else with soft-dirty bits."""
    is_rwp = broken.__module__.endswith("read_write_protection") or "rwp" in getattr(broken, "needs", ())
    return facts_of("faithful-rwp" if is_rwp else "faithful-soft-dirty")


def programs_until_found(broken: type[Deviation], depth: int = 2) -> int | None:
    """How many programs of up to so many operations run until one shows it; None where none does."""
    facts = kernel_for(broken)
    without = {"soft-dirty"} if facts.written_needs_registration else {"rwp"}
    searches = [_Search(setting, facts, broken) for setting in SETTINGS if not {*setting.needs} & without]
    ran = 0
    for length in range(1, depth + 1):
        for search in searches:
            before = search.tally.ran
            try:
                search.all_of(length, shortest=length)
            except _FoundIt:
                return ran + search.tally.ran - before
            ran += search.tally.ran - before
    return None


#: What is looked for.
DEVIATIONS = {**FAULTS, **{name_of(erratum): erratum for erratum in ERRATA if erratum.has_probe()}}


def _row(name: str) -> tuple[str, int | None]:
    return name, programs_until_found(DEVIATIONS[name])


def main() -> None:
    """Prints a table of planted faults and known defects, those first that take longest."""
    with multiprocessing.Pool() as pool:
        rows = pool.map(_row, DEVIATIONS, chunksize=1)
    print("| | programs |\n|---|---|")
    for name, programs in sorted(rows, key=lambda row: (row[1] is not None, -(row[1] or 0), row[0])):
        print(f"| {name} | {'not found' if programs is None else f'{programs:,}'} |")


if __name__ == "__main__":
    main()
