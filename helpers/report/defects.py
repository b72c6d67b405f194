"""A defect that is known, as reports show it: the program that shows it, its C, and the logs of runs that met it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from helpers.c_source.reproducer import reproducer
from helpers.deviations import Erratum, name_of
from helpers.host import Host
from helpers.kernel import Sizes
from helpers.lab import Lab
from helpers.plugins.clauses import catalogue
from helpers.steps import Step
from helpers.stubs import facts_of, stub_with


def name_in(words: str) -> str:
    """The name of an erratum that is told as ``name: sentence (fix)``."""
    return words.partition(": ")[0]


@cache
def steps_of(erratum: type[Erratum]) -> tuple[Lab, Sequence[Step]]:
    """The probe, as a kernel answers it that has the erratum: as far as the first answer that isn't the contract's."""
    kernel = "faithful-rwp" if "rwp" in erratum.needs else "faithful-soft-dirty"
    facts = facts_of(kernel if {"rwp", "soft-dirty"} & {*erratum.needs} else "faithful", erratum.needs)
    host = Host(Sizes(facts.page_size, facts.page_size * facts.pages_per_huge_page), facts, {})
    known = [*erratum.beside, erratum]
    lab = Lab(host, stub_with(known)(facts), known, may_hang=True)
    erratum.probe(lab)
    told = next((one for one in (lab, *lab.others) if any(step.deviates for step in one.steps)), lab)
    first = next((number for number, step in enumerate(told.steps, 1) if step.deviates), len(told.steps))
    return told, told.steps[:first]


def promises(erratum: type[Erratum]) -> list[str]:
    """The sentences of the contract that it breaks, each with where it is written."""
    return [f"{catalogue()[clause]['says']} ({catalogue()[clause]['where']})" for clause in erratum.clauses]


def program(erratum: type[Erratum], kernel: str) -> str:
    """The C program that shows it. ``kernel``: one that has it."""
    lab, steps = steps_of(erratum)
    return reproducer(name_of(erratum), list(steps), lab.facts, promises(erratum), kernel)
