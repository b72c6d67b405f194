"""The search among all short programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.deviations import Erratum, together
from helpers.errata import met_by
from helpers.exploration.judge import Judge, Tally
from helpers.exploration.settings import Setting
from helpers.exploration.states import Arrival, State, States
from helpers.exploration.worlds import World
from helpers.lab import Lab, harm_of
from helpers.model import Model
from helpers.operations import DOES_NOT_RETURN, Operation


@dataclass(frozen=True, slots=True)
class Branch:
    """A program so far, what was answered on its way, and the state that it has come to."""

    state: State
    program: tuple[Operation, ...] = ()
    expected: tuple[Any, ...] = ()
    predicted: tuple[Any, ...] = ()

    def then(self, operation: Operation, arrival: Arrival) -> Branch:
        return Branch(
            arrival.state,
            (*self.program, operation),
            (*self.expected, arrival.expected),
            (*self.predicted, arrival.predicted),
        )


class Search:
    """Runs programs that begin with a setting, as a :class:`Judge` does."""

    def __init__(
        self,
        setting: Setting,
        world: World,
        errata: Sequence[type[Erratum]],
        alphabet: Sequence[Operation],
        retell: Callable[[Sequence[Operation]], Lab],
        may_hang: bool = False,
    ) -> None:
        self.judge = Judge(world, retell, Tally())
        self.tally = self.judge.tally
        self.alphabet = alphabet
        self.may_hang = may_hang
        beginning = list(setting.operations(world.facts.pages_per_huge_page))
        met = met_by(errata, [*beginning, *alphabet], world.facts)
        contract = Model(world.facts)
        self.states = States()
        self.first = Branch(State(contract, together(met)(world.facts) if met else contract))
        for operation in beginning:
            self.first = self.first.then(operation, self.states.arrival(self.first.state, operation))

    def all_of(self, longest: int, first: Sequence[int] | None = None, shortest: int = 1) -> Tally:
        """Every program of so many letters, the shorter ones first; with ``first``, those that begin with one of the
        letters at these places. Raises KernelDiffers at the first that differs."""
        every = range(len(self.alphabet))
        level = [self.first]
        for length in range(1, longest + 1):
            places = every if first is None or length > 1 else first
            programs = sum(len(every) ** (of - length) for of in range(max(length, shortest), longest + 1))
            after = [self.after(branch, place, programs) for branch in level for place in places]
            level = [branch for branch in after if branch is not None]
            if length >= shortest:
                for branch in level:
                    self.run(branch)
        return self.tally

    def after(self, branch: Branch, place: int, programs: int) -> Branch | None:
        """The program of one letter more; None where no such is run, and so many that begin with it are counted."""
        letter = self.alphabet[place]
        if harm_of(letter, branch.state.known, self.may_hang):
            self.count(programs, passed_over=programs)
            return None
        arrival = self.states.behind(branch.state, place, letter)
        if arrival is None:
            self.count(programs, unspecified=programs)
            return None
        if DOES_NOT_RETURN in (arrival.predicted, arrival.expected):
            self.count(programs, passed_over=programs)
            return None
        return branch.then(letter, arrival)

    def count(self, programs: int, passed_over: int = 0, unspecified: int = 0) -> None:
        self.tally.programs += programs
        self.tally.passed_over += passed_over
        self.tally.unspecified += unspecified

    def run(self, branch: Branch) -> None:
        """Runs a program, and asks what all are asked. Raises KernelDiffers."""
        self.tally.programs += 1
        asked, told, foretold = self.states.asked(branch.state)
        self.judge.judge([*branch.program, *asked], [*branch.expected, *told], [*branch.predicted, *foretold])
