"""Which errata a kernel has: each is found by a short program in which the contract, and the contract with it, part."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from helpers.deviations import Erratum, together
from helpers.host import Host
from helpers.interface.native import SuiteError
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
    """A lab that doesn't end at a difference: what it has asked tells which of the two the kernel agrees with."""

    def __init__(self, host: Host, target: Target, without: Sequence[type[Erratum]], erratum: type[Erratum]) -> None:
        super().__init__(host, target, [*without, erratum], may_hang=True, model=together(without)(host.facts))
        self.without = without
        self.erratum = erratum
        self.asked: list[Step] = []

    def beside(self, host: Host, target: Target) -> Lab:
        found = _Probe(host, target, self.without, self.erratum)
        found.asked = self.asked
        self.others.append(found)
        return found

    def compare(self, step: Step) -> None:
        self.asked.append(step)


def presence(erratum: type[Erratum], beside: Sequence[type[Erratum]], host: Host, target: Target) -> Presence:
    """Runs the probe of an erratum on a target that has those ``beside`` it, and closes the target.

    Raises ValueError for a probe that can't tell.
    """
    if any(need in host.missing for need in erratum.needs):
        return Presence.NOT_ASKED
    lab = _Probe(host, target, beside, erratum)
    try:
        erratum.probe(lab)
    except CannotAsk:
        return Presence.NOT_ASKED
    finally:
        lab.close()
    if not any(step.deviates for step in lab.asked):
        raise ValueError(f"{erratum.__name__}: the contract, and the contract with it, answer its probe alike")
    if all(step.observed == step.expected for step in lab.asked):
        return Presence.ABSENT
    shows = all(step.observed == step.predicted for step in lab.asked)
    return Presence.PRESENT if shows else Presence.NEITHER


@dataclass
class Found:
    """What probes found: the errata that a kernel has, in their order; and those whose probe failed, and how."""

    present: list[type[Erratum]] = field(default_factory=list)
    untold: dict[type[Erratum], str] = field(default_factory=dict)


def find(
    errata: Sequence[type[Erratum]], host_for: Callable[[type[Erratum]], Host], new_target: Callable[[Host], Target]
) -> Found:
    """Which of the errata a kernel has. One that is told ``beside`` others comes after them.

    Each is asked on a target of its own, on the host that is for it.
    """
    found = Found()
    for erratum in errata:
        beside = [other for other in erratum.beside if other in found.present]
        host = host_for(erratum)
        try:
            if presence(erratum, beside, host, new_target(host)) is Presence.PRESENT:
                found.present.append(erratum)
        except (OSError, SuiteError, MemoryError) as error:
            found.untold[erratum] = f"{type(error).__name__}: {error}"
    return found
