"""Searches among programs that nobody wrote: on what they run, and where a program is run again to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest

from helpers.exploration.alphabet import letters
from helpers.exploration.as_test import as_test
from helpers.exploration.breadth import Breadth
from helpers.exploration.judge import Judge, RandomTally, Tally
from helpers.exploration.search import Search
from helpers.exploration.settings import Setting
from helpers.exploration.worlds import World, full_world, small_world, world_of_stub
from helpers.host import Host
from helpers.lab import KernelDiffers, Lab
from helpers.model import Facts
from helpers.operations import Operation, Target
from helpers.plugins.labs import new_lab
from helpers.plugins.machine import new_target
from helpers.plugins.stash import LAB

if TYPE_CHECKING:
    from helpers.exploration.random_search import RandomSearch


class Explorer:
    """Makes searches for a test. What they find counts as the test's."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.config = item.config
        self.may_hang = bool(self.config.getoption("dangerous"))
        self.base: Lab | None = None

    def search(self, setting: Setting) -> Search:
        """A search among the programs that begin with a setting."""
        base = self.new_base(setting.needs)
        world = self.world(setting.has_huge_pages, base.host)
        return Search(
            setting,
            world,
            base.errata,
            letters(setting, world.facts, base.host.missing),
            self.retelling(base, setting.in_words(base.huge)),
            self.may_hang,
        )

    def random_search(self, breadth: Breadth, replays: bool) -> RandomSearch:
        """A search among programs of any length, whose arguments are so wide; with ``replays`` those that differed in
        an earlier run come first."""
        # Here, since to load hypothesis takes half a second of each process, and few tests need it.
        from helpers.exploration.random_programs import programs
        from helpers.exploration.random_search import RandomSearch

        base = self.new_base()
        world = self.world(breadth.is_small, base.host)
        drawn = programs(world.facts, base.errata, base.host.missing, breadth, self.may_hang)
        kept = self.config.rootpath / self.config.getoption("failures") / "programs"
        kept /= "all-kinds" if breadth.is_small else "many-pages"
        return RandomSearch(Judge(world, self.retelling(base, []), RandomTally()), drawn, kept, replays)

    def new_base(self, needs: Iterable[str] = ()) -> Lab:
        """The test's lab, in which nothing runs: those count in which programs are told again."""
        self.base = self.item.stash[LAB] = new_lab(self.config, needs, self.may_hang)
        return self.base

    def world(self, is_small: bool, host: Host) -> World:
        def target(facts: Facts) -> Target:
            return new_target(self.config, replace(host, facts=facts))

        if not is_small:
            return full_world(host.facts, target)
        return (world_of_stub if self.config.getoption("stub") else small_world)(host.facts, target)

    def retelling(self, base: Lab, memory: list[str]) -> Callable[[Sequence[Operation]], Lab]:
        """What runs a program again in a lab beside the test's, and raises KernelDiffers with the whole story."""

        def retell(program: Sequence[Operation]) -> Lab:
            lab = base.beside(base.host, new_target(self.config, base.host))
            lab.memory = memory
            self.item.stash[LAB] = lab  # Of which the C program is made, if this is where the test ends.
            try:
                for operation in program:
                    lab.do(operation)
            except KernelDiffers as difference:
                difference.add_note(as_test([step.operation for step in lab.steps]))
                raise
            finally:
                lab.close()
            self.item.stash[LAB] = base
            if not lab.deviates:
                base.others.remove(lab)
            return lab

        return retell

    def close(self) -> None:
        if self.base:
            self.base.close()
            del self.item.stash[LAB]


@pytest.fixture
def explorer(request: pytest.FixtureRequest) -> Iterator[Explorer]:
    """Searches on the kernel under test; all that their programs map and open is given back."""
    found = Explorer(request.node)
    yield found
    found.close()


def properties_of(tally: Tally) -> dict[str, int]:
    """What a report says of programs."""
    return {f"{tally.name}: {name}": count for name, count in asdict(tally).items()}
