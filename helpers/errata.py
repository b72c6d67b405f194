"""Which errata a kernel has, and which of them make a difference to a program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from helpers.deviations import Erratum, together
from helpers.model import Facts, Model, Unspecified
from helpers.steps import Step, told


def answers(model: Model, steps: Sequence[Step]) -> Iterator[Any]:
    """What a model says to the operations of steps, as far as it says anything."""
    for step in steps:
        try:
            answer = step.operation.run(model)
        except Unspecified:
            return
        yield told(step.operation, answer) if step.is_precondition else answer


def responsible(errata: Sequence[type[Erratum]], facts: Facts, steps: Sequence[Step]) -> list[type[Erratum]]:
    """The errata without which the answers that were predicted would have been others.

    Each is left out in turn. Where that changes nothing, since several do the same, it is all that do so alone.
    """
    predicted = list(answers(together(errata)(facts), steps))
    without = {one: together(other for other in errata if other is not one) for one in errata}
    found = [one for one in errata if list(answers(without[one](facts), steps)) != predicted]
    if found:
        return found
    expected = list(answers(Model(facts), steps))
    return [one for one in errata if list(answers(one(facts), steps)) != expected]
