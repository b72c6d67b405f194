"""After how many programs the search finds what is wrong with a stub: ``python -m helpers.tests.rediscovery``.

The programs come as they do in a run that isn't divided: those of one operation in all settings, then those of two.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence

from helpers.exploration.alphabet import letters
from helpers.exploration.search import Search
from helpers.exploration.settings import SETTINGS, Setting
from helpers.exploration.worlds import full_world, world_of_stub
from helpers.lab import Lab
from helpers.model import Facts, Model
from helpers.operations import Operation
from helpers.stubs import facts_of, stub_with
from helpers.tests.faults import FAULTS


class _FoundIt(Exception):
    """A program told the stub from the contract."""


def _search(setting: Setting, facts: Facts, broken: type[Model]) -> Search:
    def retell(program: Sequence[Operation]) -> Lab:
        raise _FoundIt

    new_world = world_of_stub if setting.has_huge_pages else full_world
    world = new_world(facts, lambda sizes: stub_with([broken])(sizes))
    return Search(setting, world, [], letters(setting, world.facts), retell)


def kernel_for(broken: type[Model]) -> Facts:
    """What kernel a stub plays: one with read-write protection for what is about that, else with soft-dirty bits."""
    is_rwp = broken.__module__.endswith("read_write_protection") or "rwp" in getattr(broken, "needs", ())
    return facts_of("faithful-rwp" if is_rwp else "faithful-soft-dirty")


def programs_until_found(broken: type[Model], depth: int = 2) -> int | None:
    """How many programs of up to so many operations run until one shows it; None where none does."""
    facts = kernel_for(broken)
    without = {"soft-dirty"} if facts.written_needs_registration else {"rwp"}
    searches = [_search(setting, facts, broken) for setting in SETTINGS if not {*setting.needs} & without]
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


def _row(name: str) -> tuple[str, int | None]:
    return name, programs_until_found(FAULTS[name])


def main(found: Callable[[str], tuple[str, int | None]] = _row) -> None:
    """Prints a line for each planted fault, those first that take longest."""
    with multiprocessing.Pool() as pool:
        rows = pool.map(found, FAULTS, chunksize=1)
    for name, programs in sorted(rows, key=lambda row: -1 if row[1] is None else -row[1]):
        print(f"| {name} | {'not found' if programs is None else f'{programs:,}'} |")


if __name__ == "__main__":
    main()
