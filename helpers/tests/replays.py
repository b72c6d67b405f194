"""What models with deviations answer to the programs of the suite."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from helpers.deviations import Erratum, together
from helpers.host import Host
from helpers.kernel import Sizes
from helpers.lab import Lab
from helpers.model import Model, Unspecified
from helpers.probing import find
from helpers.stubs import facts_of, missing_in, stub_with
from helpers.tests.programs import Program, programs_of
from suites.errata import ERRATA

#: Huge pages that take a model no time.
PAGES = "4096x16"
#: The errata that have a probe.
ASKED = tuple(erratum for erratum in ERRATA if erratum.has_probe())
#: So many programs tell a fault in most places; where none of them does, all are tried.
ENOUGH = 2
Known = tuple[type[Erratum], ...]


def on_stub(name: str) -> tuple[str, str]:
    """The options of a run on a stub that takes no longer than it must."""
    return f"--stub={name}", f"--stub-pages={PAGES}"


def host_for(erratum: type[Erratum]) -> Host:
    """The kernel that a stub plays for the probe of an erratum."""
    facts = facts_of("faithful", erratum.needs, PAGES)
    sizes = Sizes(facts.page_size, facts.page_size * facts.pages_per_huge_page)
    return Host(sizes, facts, missing_in("faithful", erratum.needs))


def found_by_probing(*deviations: type[Model]) -> Known:
    """The errata that the probes find on a stub that has these deviations."""
    stub = stub_with(deviations)
    return tuple(find(ASKED, host_for, lambda host: stub(host.facts)).present)


class Replays:
    """Runs programs on models, and remembers what takes long."""

    def __init__(self, programs: list[Program]) -> None:
        self.programs = programs
        self.met = cache(self._met)
        self.told_by = cache(self._told_by)
        self.probe = cache(self._probe)
        self.known = cache(self._known)

    def _known(self, known: Known, program: Program) -> tuple[Any, ...]:
        """What a kernel answers that has these errata."""
        return tuple(program.answers(together(known))) if program.meets(*known) else program.expected

    def _met(self, known: Known) -> list[Program]:
        """The programs in which errata make a difference. In none of all do they leave open what a kernel answers."""
        found = []
        for program in self.programs:
            answers = self.known(known, program)
            assert len(answers) == len(program.expected) and Unspecified not in answers, program.name
            if program.differs(answers):
                found.append(program)
        return found

    def _probe(self, erratum: type[Erratum]) -> list[tuple[Program, tuple[Any, ...]]]:
        """The programs of the probe of an erratum, each with what the contract with the erratum answers."""
        host = host_for(erratum)
        lab = Lab(host, Model(host.facts), may_hang=True)
        erratum.probe(lab)
        return [(program, tuple(program.answers(erratum))) for program in programs_of("probe", lab)]

    def found(self, *deviations: type[Model]) -> Known:
        """The same as :func:`found_by_probing`, in a fraction of the time."""
        stub = stub_with(deviations)

        def is_found(erratum: type[Erratum]) -> bool:
            probe = self.probe(erratum)
            concerned = any(program.meets(*deviations) for program, _ in probe)
            return concerned and all(program.is_answered(stub, answers) for program, answers in probe)

        return tuple(erratum for erratum in ASKED if is_found(erratum))

    def telling(
        self, programs: Sequence[Program], deviations: Sequence[type[Model]], known: Known = ()
    ) -> Iterator[Program]:
        """Those of the programs that fail on a stub that has these deviations, of which these errata are known."""
        stub = stub_with(deviations)
        for program in programs:
            if program.meets(*deviations) and program.tells(stub, self.known(known, program)):
                yield program

    def _told_by(self, fault: type[Model]) -> list[Program]:
        """Enough programs that tell a fault."""
        return list(itertools.islice(self.telling(self.programs, [fault]), ENOUGH))

    def is_told(self, deviations: Sequence[type[Model]], known: Known) -> bool:
        """Whether some program fails on a stub that has these deviations, of which these errata are known."""
        likely = self.told_by(deviations[-1])
        return any(True for programs in (likely, self.programs) for _ in self.telling(programs, deviations, known))
