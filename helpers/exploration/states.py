"""Where programs have come to: on the contract, and on the kernel as it is known."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from helpers.exploration.questions import questions
from helpers.model import Model, Unspecified
from helpers.operations import Operation


@dataclass(eq=False, slots=True)
class State:
    """Both models, in a state that nothing that follows can tell from another with the same :attr:`key`.

    ``known`` is the contract where no erratum is met.
    """

    contract: Model
    known: Model
    #: What comes of each operation that was tried: nothing where no document decides.
    tried: dict[int, Arrival | None] = field(default_factory=dict)
    #: What is asked where a program ends here, what the contract answers, and what is known to be answered.
    asked: tuple[list[Operation], list[Any], list[Any]] | None = None

    @property
    def key(self) -> Hashable:
        return self.contract.state() if self.known is self.contract else (self.contract.state(), self.known.state())


@dataclass(frozen=True, slots=True)
class Arrival:
    """The state behind an operation, and what the operation answers: by the contract, and as far as is known."""

    state: State
    expected: Any
    predicted: Any


class States:
    """All states that programs have come to. Each is worked out once, however many programs come to it."""

    def __init__(self) -> None:
        self.by_key: dict[Hashable, State] = {}

    def behind(self, state: State, place: int, operation: Operation) -> Arrival | None:
        """What comes of an operation, which has this place in its alphabet; None where no document decides."""
        if place not in state.tried:
            try:
                found = self.arrival(state, operation)
                found = Arrival(self.by_key.setdefault(found.state.key, found.state), found.expected, found.predicted)
            except Unspecified:
                found = None
            state.tried[place] = found
        return state.tried[place]

    def arrival(self, state: State, operation: Operation) -> Arrival:
        """The same, of models that are copied for it. Raises Unspecified."""
        contract = state.contract.copy()
        expected = operation.run(contract)
        if state.known is state.contract:
            return Arrival(State(contract, contract), expected, expected)
        known = state.known.copy()
        return Arrival(State(contract, known), expected, operation.run(known))

    def asked(self, state: State) -> tuple[list[Operation], list[Any], list[Any]]:
        """What is asked in a state, and what both models say."""
        if state.asked is None:
            found = list(questions(state.contract, state.known))
            state.asked = [one[0] for one in found], [one[1] for one in found], [one[2] for one in found]
        return state.asked
