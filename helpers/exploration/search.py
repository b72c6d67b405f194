"""The search: programs run on a target and on models, and every difference is a finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.deviations import Erratum, together
from helpers.errata import met_by
from helpers.exploration.settings import Setting
from helpers.exploration.states import Arrival, State, States
from helpers.exploration.worlds import World
from helpers.interface.native import SuiteError
from helpers.lab import Lab, empty_hugetlb_page
from helpers.model import Model
from helpers.operations import DOES_NOT_RETURN, Operation


@dataclass
class Tally:
    """What became of programs."""

    #: How many there are.
    programs: int = 0
    ran: int = 0
    #: Of these, how many were answered otherwise than the contract says, and as known errata predict.
    deviated: int = 0
    #: Of these, how many were asked again page by page.
    told_apart: int = 0
    #: In which an operation comes of which no document decides what comes of it.
    unspecified: int = 0
    #: Which known defects would keep from coming back, or may hang the machine.
    passed_over: int = 0

    def __str__(self) -> str:
        return (
            f"{self.programs:,} programs: {self.ran:,} ran, {self.unspecified:,} do what no document decides, "
            f"{self.passed_over:,} might not come back"
        )


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
    """Runs programs that begin with a setting. ``retell`` runs one in a lab, page by page: it raises KernelDiffers with
    the whole story, or returns the lab, which knows by which errata the program deviates."""

    def __init__(
        self,
        setting: Setting,
        world: World,
        errata: Sequence[type[Erratum]],
        alphabet: Sequence[Operation],
        retell: Callable[[Sequence[Operation]], Lab],
        may_hang: bool = False,
    ) -> None:
        self.world = world
        self.alphabet = alphabet
        self.retell = retell
        self.may_hang = may_hang
        self.tally = Tally()
        self.beginning = list(setting.operations(world.facts.pages_per_huge_page))
        self.errata = met_by(errata, [*self.beginning, *alphabet], world.facts)
        contract = Model(world.facts)
        self.states = States()
        self.first = Branch(State(contract, together(self.errata)(world.facts) if self.errata else contract))
        for operation in self.beginning:
            self.first = self.first.then(operation, self.states.arrival(self.first.state, operation))
        #: The errata that made a difference so far, and the differences that they explain.
        self.met: list[type[Erratum]] = []
        self.explained: set[tuple[Operation, Any, Any]] = set()

    # --- Which programs there are -----------------------------------------------------------------------

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
        if not self.may_hang and empty_hugetlb_page(letter, branch.state.known) is not None:
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

    # --- What a program answers -------------------------------------------------------------------------

    def run(self, branch: Branch) -> None:
        """Runs a program, and asks what all are asked. Raises KernelDiffers."""
        self.tally.programs += 1
        self.tally.ran += 1
        asked, told, foretold = self.states.asked(branch.state)
        expected, predicted = [*branch.expected, *told], [*branch.predicted, *foretold]
        program = [*branch.program, *asked]
        observed = self.observed(program)
        if observed != predicted:
            self.tell_difference(program)
        elif predicted != expected:
            self.tally.deviated += 1
            place = next(at for at, answer in enumerate(expected) if answer != predicted[at])
            self.explain(program, predicted, (program[place], expected[place], predicted[place]))

    def observed(self, program: Sequence[Operation]) -> list[Any]:
        target = self.world.new_target()
        try:
            return [target.run(operation) for operation in program]
        except Exception as error:
            error.add_note("while running " + ", ".join(map(str, program[len(self.beginning) :])))
            raise
        finally:
            target.close()

    # --- What is told of it -----------------------------------------------------------------------------

    def tell_difference(self, program: Sequence[Operation]) -> None:
        """Runs a program again where all is told that there is to tell. Raises KernelDiffers."""
        self.retell([self.world.full(operation) for operation in program])
        self.tally.told_apart += 1
        if not self.world.is_small:
            told = ", ".join(map(str, program[len(self.beginning) :]))
            raise SuiteError(f"answers that differed once don't when asked again: {told}")

    def explain(
        self, program: Sequence[Operation], predicted: Sequence[Any], difference: tuple[Operation, Any, Any]
    ) -> None:
        """Finds the errata that make a difference, unless those that were met explain it."""
        if difference in self.explained:
            return
        self.explained.add(difference)
        model = together(self.met)(self.world.facts)
        if self.met and [operation.run(model) for operation in program] == predicted:
            return
        lab = self.retell([self.world.full(operation) for operation in program])
        self.met += [one for one in lab.errata_met() if one not in self.met]
