"""The judge: a program runs on a target, and its answers are those that are predicted, or else that is a finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from helpers.deviations import Erratum, together
from helpers.exploration.worlds import World
from helpers.interface.native import SuiteError
from helpers.lab import Lab
from helpers.model import Unspecified
from helpers.operations import Operation


@dataclass
class Tally:
    """What became of programs."""

    #: What they are called where they are counted.
    name: ClassVar[str] = "programs"
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


class RandomTally(Tally):
    """What became of random programs; ``unspecified`` and ``passed_over`` count operations that were left out."""

    name = "random programs"

    def __str__(self) -> str:
        return (
            f"{self.ran:,} random programs ran; of the operations drawn, {self.unspecified:,} were left out that do "
            f"what no document decides, and {self.passed_over:,} that might not come back"
        )


class Judge:
    """Runs programs in a world. ``retell`` runs one in a lab, page by page: it raises KernelDiffers with the whole
    story, or returns the lab, which knows by which errata the program deviates."""

    def __init__(self, world: World, retell: Callable[[Sequence[Operation]], Lab], tally: Tally) -> None:
        self.world = world
        self.retell = retell
        self.tally = tally
        #: The errata that made a difference so far, and the differences that they explain.
        self.met: list[type[Erratum]] = []
        self.explained: set[tuple[Operation, Any, Any]] = set()

    def judge(self, program: Sequence[Operation], expected: Sequence[Any], predicted: Sequence[Any]) -> None:
        """Runs a program of which models say this. Raises KernelDiffers when the target says something else."""
        self.tally.ran += 1
        if not self.is_as_predicted(program, predicted):
            self.tell_difference(program)
        elif predicted != expected:
            self.tally.deviated += 1
            self.explain(program, expected, predicted)

    def is_as_predicted(self, program: Sequence[Operation], predicted: Sequence[Any]) -> bool:
        """Whether every answer of the target is the one that is known."""
        target = self.world.new_target()
        try:
            return all(target.run(operation) == told for operation, told in zip(program, predicted, strict=True))
        except Unspecified:
            return True  # A stub is where no document says how it goes on: a shorter program tells what it does.
        except Exception as error:
            error.add_note("while running " + ", ".join(map(str, program)))
            raise
        finally:
            target.close()

    def tell_difference(self, program: Sequence[Operation]) -> None:
        """Runs a program again where all is told that there is to tell. Raises KernelDiffers."""
        self.retell([self.world.full(operation) for operation in program])
        self.tally.told_apart += 1
        if not self.world.is_small:
            told = ", ".join(map(str, program))
            raise SuiteError(f"answers that differed once don't when asked again: {told}")

    def explain(self, program: Sequence[Operation], expected: Sequence[Any], predicted: Sequence[Any]) -> None:
        """Finds the errata that make a difference, unless those that were met explain it."""
        place = next(at for at, answer in enumerate(expected) if answer != predicted[at])
        difference = program[place], expected[place], predicted[place]
        if difference in self.explained:
            return
        self.explained.add(difference)
        if self.is_explained(program, predicted):
            return
        lab = self.retell([self.world.full(operation) for operation in program])
        self.met += [one for one in lab.errata_met() if one not in self.met]

    def is_explained(self, program: Sequence[Operation], predicted: Sequence[Any]) -> bool:
        """Whether a kernel that has those errata that were met, and no others, says what is predicted."""
        model = together(self.met)(self.world.facts)
        try:
            return all(operation.run(model) == told for operation, told in zip(program, predicted, strict=True))
        except Unspecified:
            return False
