"""Searches among programs that nobody wrote: on what they run, and where a program is run again to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import pytest

from helpers.exploration.alphabet import letters
from helpers.exploration.as_test import as_test
from helpers.exploration.judge import Judge, RandomTally, Tally
from helpers.exploration.random_programs import Breadth, programs
from helpers.exploration.random_search import RandomSearch
from helpers.exploration.search import Search
from helpers.exploration.settings import Setting
from helpers.exploration.worlds import World, full_world, small_world, world_of_stub
from helpers.host import Host
from helpers.kernel import Kernel
from helpers.lab import KernelDiffers, Lab
from helpers.model import Facts
from helpers.operations import Operation, Target
from helpers.plugins.machine import host_for, stub_named
from helpers.plugins.stash import FOUND, LAB


class Explorer:
    """Makes searches for a test. What they find counts as the test's."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.config = item.config
        self.base: Lab | None = None

    def search(self, setting: Setting) -> Search:
        """A search among the programs that begin with a setting."""
        host = host_for(self.config, setting.needs)
        world = self.world(setting.has_huge_pages, host)
        return Search(
            setting,
            world,
            self.config.stash[FOUND].present,
            letters(setting, world.facts, host.missing),
            self.retelling(host, setting),
            self.may_hang,
        )

    def random_search(self, breadth: Breadth) -> RandomSearch:
        """A search among programs of any length, whose arguments are so wide."""
        host = host_for(self.config, ())
        world = self.world(breadth.is_small, host)
        drawn = programs(world.facts, self.config.stash[FOUND].present, host.missing, breadth, self.may_hang)
        kept = self.config.rootpath / self.config.getoption("failures") / "programs"
        kept /= "all-kinds" if breadth.is_small else "many-pages"
        return RandomSearch(Judge(world, self.retelling(host), RandomTally()), drawn, kept)

    @property
    def may_hang(self) -> bool:
        return bool(self.config.getoption("dangerous"))

    def target(self, facts: Facts) -> Target:
        if self.config.getoption("stub"):
            return stub_named(self.config)(facts)
        return Kernel(self.host().sizes)

    def host(self) -> Host:
        return host_for(self.config, ())

    def world(self, is_small: bool, host: Host) -> World:
        if not is_small:
            return full_world(host.facts, self.target)
        return (world_of_stub if self.config.getoption("stub") else small_world)(host.facts, self.target)

    def retelling(self, host: Host, setting: Setting | None = None) -> Callable[[Sequence[Operation]], Lab]:
        """What runs a program again in a lab beside the test's, and raises KernelDiffers with the whole story."""
        found = self.config.stash[FOUND]
        base = Lab(host, self.target(host.facts), found.present, untold=found.untold)
        self.base = self.item.stash[LAB] = base
        memory = setting.in_words(base.huge) if setting else []

        def retell(program: Sequence[Operation]) -> Lab:
            lab = base.beside(base.host, self.target(base.facts))
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


@pytest.fixture
def explorer(request: pytest.FixtureRequest) -> Iterator[Explorer]:
    """Searches on the kernel under test; all that their programs map and open is given back."""
    found = Explorer(request.node)
    yield found
    found.close()
    request.node.stash.setdefault(LAB, None)
    del request.node.stash[LAB]


def properties_of(tally: Tally) -> dict[str, int]:
    """What a report says of programs."""
    return {f"{tally.name}: {name}": count for name, count in asdict(tally).items()}
