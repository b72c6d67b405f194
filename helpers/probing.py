"""Which errata a kernel has: each is found by a short program in which the contract, and the contract with it, part."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from helpers.deviations import Erratum, together
from helpers.host import Host
from helpers.lab import CannotAsk, Lab
from helpers.operations import Target
from helpers.steps import Step


class Presence(enum.Enum):
    """What a probe found."""

    ABSENT = "every answer is the contract's"
    PRESENT = "every answer is the contract's with this erratum"
    NEITHER = "an answer is neither the contract's nor that of the contract with this erratum"
    NOT_ASKED = "the program can't be run here"


class _Probe(Lab):
    """A lab that doesn't end at a difference: it notes which of the two the kernel still agrees with."""

    def __init__(self, host: Host, target: Target, beside: Sequence[type[Erratum]], erratum: type[Erratum]) -> None:
        super().__init__(host, target, [*beside, erratum], may_hang=True, model=together(beside)(host.facts))
        self.keeps = self.shows = True

    def compare(self, step: Step) -> None:
        self.keeps = self.keeps and step.observed == step.expected
        self.shows = self.shows and step.observed == step.predicted

    def beside(self, host: Host, target: Target) -> Lab:
        *others, erratum = self.errata
        found = _Probe(host, target, others, erratum)
        self.others.append(found)
        return found


def presence(
    erratum: type[Erratum], beside: Sequence[type[Erratum]], host: Host, target: Callable[[], Target]
) -> Presence:
    """Runs the probe of an erratum on a target that has those ``beside`` it. Raises ValueError for one that can't tell.

    ``target``: gives a new one.
    """
    if any(need in host.missing for need in erratum.needs):
        return Presence.NOT_ASKED
    lab = _Probe(host, target(), beside, erratum)
    try:
        erratum.probe(lab)
    except CannotAsk:
        return Presence.NOT_ASKED
    finally:
        lab.close()
    if not lab.deviates:
        raise ValueError(f"{erratum.__name__}: the contract, and the contract with it, answer its probe alike")
    labs = [one for one in (lab, *lab.others) if isinstance(one, _Probe)]
    if all(one.keeps for one in labs):
        return Presence.ABSENT
    return Presence.PRESENT if all(one.shows for one in labs) else Presence.NEITHER


def present(errata: Sequence[type[Erratum]], host: Host, target: Callable[[], Target]) -> list[type[Erratum]]:
    """Those of the errata that a kernel has, in their order. One that is told ``beside`` others comes after them."""
    found: list[type[Erratum]] = []
    for erratum in errata:
        beside = [other for other in erratum.beside if other in found]
        if presence(erratum, beside, host, target) is Presence.PRESENT:
            found.append(erratum)
    return found
