"""The programs of the suites as plain values, to be run on any model without pytest.

What a test asks doesn't depend on what is answered: a program that was recorded once on a stub is that of each kernel.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from inspect import isfunction
from typing import Any

from helpers.lab import Lab
from helpers.model import Facts, Model, Unspecified
from helpers.operations import Operation
from helpers.steps import told


def _methods(model: type) -> dict[str, Callable[..., Any]]:
    """The methods of a model's classes by name."""
    methods: dict[str, Callable[..., Any]] = {}
    for base in model.__mro__:
        for name, value in vars(base).items():
            if isfunction(value) and not name.startswith("__"):
                methods.setdefault(name, value)
    return methods


def _tracing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        self.called.add(name)
        return method(self, *arguments, **named)

    return call


class Traced(Model):
    """The contract, which notes what it does."""

    def __init__(self, facts: Facts) -> None:
        self.called: set[str] = set()
        super().__init__(facts)


for _name, _method in _methods(Model).items():
    setattr(Traced, _name, _tracing(_name, _method))


@cache
def overridden(deviation: type[Model]) -> frozenset[str]:
    """The methods of the contract that a deviation overrides."""
    own = (base for base in deviation.__mro__ if base not in Model.__mro__)
    return frozenset(name for base in own for name in vars(base) if name in _methods(Model))


@dataclass(frozen=True, eq=False)
class Program:
    """What a test asks of a kernel of which ``facts`` have to be known, and what the contract answers.

    ``preconditions``: the numbers of the operations that aren't under test.
    """

    name: str
    facts: Facts
    operations: tuple[Operation, ...]
    preconditions: frozenset[int]
    expected: tuple[Any, ...]

    def answers(self, kernel: type[Model]) -> Iterator[Any]:
        """What a model says to one operation after the other; Unspecified, the last, where it says nothing."""
        model = kernel(self.facts)
        for number, operation in enumerate(self.operations):
            try:
                answer = operation.run(model)
            except Unspecified:
                yield Unspecified
                return
            yield told(operation, answer) if number in self.preconditions else answer

    @cached_property
    def called(self) -> frozenset[str]:
        """The methods of the contract that this program comes to."""
        model = Traced(self.facts)
        for operation in self.operations:
            operation.run(model)
        return frozenset(model.called)

    def meets(self, *deviations: type[Model]) -> bool:
        """Whether it comes to what one of these deviations overrides: else they can't make a difference."""
        return any(not self.called.isdisjoint(overridden(deviation)) for deviation in deviations)

    def is_answered(self, kernel: type[Model], due: tuple[Any, ...]) -> bool:
        """Whether a model answers just this."""
        nothing = object()
        return all(one == other for one, other in itertools.zip_longest(self.answers(kernel), due, fillvalue=nothing))

    def differs(self, answers: tuple[Any, ...]) -> bool:
        """Whether answers to what is under test aren't the contract's."""
        pairs = zip(answers, self.expected, strict=True)
        return any(one != other and number not in self.preconditions for number, (one, other) in enumerate(pairs))

    def tells(self, kernel: type[Model], known: tuple[Any, ...] | None = None) -> bool:
        """Whether a test of this program fails on a kernel: it gives an answer that isn't the known one.

        ``known``: the contract's when not given. Where a precondition isn't met, nothing is told about the kernel.
        """
        due = self.expected if known is None else known
        for number, (answer, predicted) in enumerate(zip(self.answers(kernel), due, strict=False)):
            if answer != predicted:
                return answer is not Unspecified and number not in self.preconditions
        return False


def programs_of(name: str, lab: Lab) -> Iterator[Program]:
    """The program of a lab, and those of the labs beside it."""
    if lab.steps:
        preconditions = frozenset(number for number, step in enumerate(lab.steps) if step.is_precondition)
        expected = (
            told(step.operation, step.expected) if step.is_precondition else step.expected for step in lab.steps
        )
        operations = tuple(step.operation for step in lab.steps)
        yield Program(name, lab.facts, operations, preconditions, tuple(expected))
    for other in lab.others:
        yield from programs_of(name, other)
