"""Which errata a kernel has, and which of them make a difference to a program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from helpers.deviations import Condition, Erratum, together
from helpers.model import Facts, Model, Unspecified
from helpers.operations import Operation
from helpers.steps import Step, told

Errata = tuple[type[Erratum], ...]


def answers(model: Model, steps: Sequence[Step]) -> Iterator[Any]:
    """What a model says to the operations of steps, as far as it says anything."""
    for step in steps:
        try:
            answer = step.operation.run(model)
        except Unspecified:
            return
        yield told(step.operation, answer) if step.is_precondition else answer


def met_by(errata: Iterable[type[Erratum]], operations: Sequence[Operation], facts: Facts) -> list[type[Erratum]]:
    """The errata that may make a difference to a program."""
    found = {condition: are_met((condition,), operations, facts) for condition in conditions(errata)}
    return [one for one in errata if found[one.is_met_by()]]


def conditions(errata: Iterable[type[Erratum]]) -> tuple[Condition, ...]:
    """On which any of the errata may make a difference."""
    return tuple(dict.fromkeys(one.is_met_by() for one in errata))


def are_met(some: Iterable[Condition], operations: Sequence[Operation], facts: Facts) -> bool:
    """Whether any of the conditions holds for any of the operations."""
    return any(condition(operation, facts) for condition in some for operation in operations)


def by_halves(errata: Errata, matter: Callable[[Errata], bool]) -> Errata:
    """Those of which one alone matters, where most don't."""
    if not errata or not matter(errata):
        return ()
    if len(errata) == 1:
        return errata
    half = len(errata) // 2
    return by_halves(errata[:half], matter) + by_halves(errata[half:], matter)


def responsible(errata: Sequence[type[Erratum]], facts: Facts, steps: Sequence[Step]) -> list[type[Erratum]]:
    """The errata without which the answers that were predicted would have been others.

    Each is left out. Where that changes nothing, since several do the same, it is all that do so alone.
    """
    met = tuple(met_by(errata, [step.operation for step in steps], facts))

    def answers_with(some: Errata) -> list[Any]:
        return list(answers(together(some)(facts), steps))

    predicted = answers_with(met)
    missed = by_halves(met, lambda some: answers_with(tuple(one for one in met if one not in some)) != predicted)
    if missed:
        return list(missed)
    expected = list(answers(Model(facts), steps))
    return list(by_halves(met, lambda some: answers_with(some) != expected))
