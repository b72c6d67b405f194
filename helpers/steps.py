"""What a program has done so far: its operations with their answers, and the memory that it has prepared."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from helpers.interface.uapi import PagemapBit
from helpers.kinds import Kind
from helpers.operations import Operation, ReadPagemap, Span, names_of

#: The bits that tell a page's state; whether pagemap is right about the others is a test's business.
STATE = PagemapBit.PRESENT | PagemapBit.SWAPPED | PagemapBit.GUARD


@dataclass(frozen=True)
class Step:
    """One operation of a program that ran, with its answers; None for operations that answer nothing.

    ``expected`` is the contract's, ``predicted`` that of the kernel as it is known, ``observed`` the kernel's. A
    precondition isn't under test: it was asked to see whether the memory is what it should be.
    """

    operation: Operation
    expected: Any
    predicted: Any
    observed: Any
    is_precondition: bool = False

    @property
    def deviates(self) -> bool:
        """Whether the answer isn't the contract's, but one that errata predict."""
        return not self.is_precondition and self.predicted != self.expected


@dataclass(frozen=True)
class Prepared:
    """Which steps brought memory of a kind about, and what it is then: its end, its categories but for WRITTEN."""

    steps: range
    kind: Kind
    span: Span
    categories: int


def states_of(entries: tuple[PagemapBit, ...]) -> list[str]:
    """The state of each page, runs of equal ones together."""
    equal = [(entry & STATE, len(list(run))) for entry, run in itertools.groupby(entries)]
    runs = itertools.groupby(equal, key=lambda run: run[0])
    return [f"{sum(length for _, length in run)} x {names_of(state)}" for state, run in runs]


def told(question: Operation, answer: Any) -> Any:
    """What counts of the answer of a precondition."""
    return states_of(answer) if isinstance(question, ReadPagemap) else answer
