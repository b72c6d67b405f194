"""Searches among programs that nobody wrote: on what they run, and where a program is run again to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

import pytest

from helpers.exploration.alphabet import letters
from helpers.exploration.as_test import as_test
from helpers.exploration.judge import Tally
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
from helpers.plugins.verdict import PROGRAMS


class Explorer:
    """Makes searches for a test. What they find counts as the test's."""

    def __init__(self, item: pytest.Item) -> None:
        self.item = item
        self.config = item.config
        self.labs: list[Lab] = []

    def search(self, setting: Setting) -> Search:
        """A search among the programs that begin with a setting."""
        host = host_for(self.config, setting.needs)
        found = self.config.stash[FOUND]
        base = Lab(host, self.target(host.facts), found.present, untold=found.untold)
        self.labs.append(base)
        self.item.stash[LAB] = base
        world = self.world(setting, host)
        return Search(
            setting,
            world,
            found.present,
            letters(setting, world.facts, host.missing),
            self.retelling(setting, base),
            may_hang=self.config.getoption("dangerous"),
        )

    def target(self, facts: Facts) -> Target:
        if self.config.getoption("stub"):
            return stub_named(self.config)(facts)
        return Kernel(self.host().sizes)

    def host(self) -> Host:
        return host_for(self.config, ())

    def world(self, setting: Setting, host: Host) -> World:
        if not setting.has_huge_pages:
            return full_world(host.facts, self.target)
        return (world_of_stub if self.config.getoption("stub") else small_world)(host.facts, self.target)

    def retelling(self, setting: Setting, base: Lab) -> Callable[[Sequence[Operation]], Lab]:
        """What runs a program again in a lab beside the test's, and raises KernelDiffers with the whole story."""
        memory = [
            f"{span}: {part.kind.name}, {part.kind.description}"
            for part, span in zip(setting.parts, setting.spans(base.huge), strict=True)
        ]

        def retell(program: Sequence[Operation]) -> Lab:
            lab = base.beside(base.host, self.target(base.facts))
            lab.memory = memory
            self.labs.append(lab)
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
        for lab in self.labs:
            lab.close()


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
    return {f"{PROGRAMS}{name}": count for name, count in asdict(tally).items()}
