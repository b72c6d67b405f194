"""Pieces of C as trees, so that what many of them have in common can be told once.

Pieces that are equal but for expressions become one with parameters (:func:`generalised`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

#: What separates statements.
LINES = "\n"


@dataclass(frozen=True)
class Term:
    """Text before, between and after children.

    A term with a C type is an expression: a parameter of that type, called ``name``, can stand for it. A term that is
    ``omitted`` goes without saying when its child is equal to that. One that ``moves`` depends on the turn of a loop.
    """

    before: str
    children: tuple[Term, ...] = ()
    after: str = ""
    type: str = ""
    name: str = ""
    omitted: Term | None = None
    between: str = ", "
    moves: bool = False

    def __str__(self) -> str:
        told = self.between.join(str(child) for child in self.children if not child.is_omitted)
        return self.before + told + self.after

    @property
    def is_omitted(self) -> bool:
        return self.omitted is not None and str(self.children[0]) == str(self.omitted)

    @property
    def is_moving(self) -> bool:
        return self.moves or any(child.is_moving for child in self.children)

    @property
    def number(self) -> int | None:
        """The value, of a decimal number."""
        digits = self.before.removeprefix("-")
        return int(self.before) if not self.children and digits.isdecimal() else None

    def head(self) -> tuple[object, ...]:
        return self.before, self.after, self.type, self.name, len(self.children), self.omitted is None

    def outline(self) -> object:
        """What is left when each expression is a blank: two terms with the same outline have a generalisation."""
        is_expression = self.type and not self.is_moving
        return self.type if is_expression else (self.head(), *(child.outline() for child in self.children))

    def changed(self, change: Callable[[Term], Term]) -> Term:
        """The term with each leaf changed."""
        if not self.children:
            return change(self)
        children = tuple(child.changed(change) for child in self.children)
        omitted = self.omitted and self.omitted.changed(change)
        is_same = omitted is self.omitted and all(map(operator.is_, children, self.children))
        return self if is_same else replace(self, children=children, omitted=omitted)


def expression(text: object, type: str, name: str) -> Term:
    """A leaf for which a parameter can stand."""
    return Term(str(text), type=type, name=name)


class Parameters:
    """The parameters of a generalisation: for each its name and type, and what stands for it in each of the terms."""

    def __init__(self) -> None:
        self.columns: dict[tuple[str, tuple[str, ...]], str] = {}

    def of(self, terms: Sequence[Term]) -> Term:
        """The parameter that stands for these terms; the same for others that are equal to them each in turn."""
        type, stem = terms[0].type, terms[0].name
        column = (type, tuple(str(term) for term in terms))
        for (_, texts), name in self.columns.items() if column not in self.columns else ():
            if distance := _distance(texts, column[1]):
                return expression(f"{name} {'-+'[distance > 0]} {abs(distance)}", type, stem)
        if column not in self.columns:
            taken = self.columns.values()
            names = (stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 2)))
            self.columns[column] = next(name for name in names if name not in taken)
        return expression(self.columns[column], type, stem)

    def declared(self) -> str:
        pairs = (f"{type}{'' if type.endswith('*') else ' '}{name}" for (type, _), name in self.columns.items())
        return ", ".join(pairs) or "void"

    def arguments(self, number: int) -> tuple[Term, ...]:
        """What stands for the parameters in one of the terms."""
        return tuple(expression(texts[number], type, name) for (type, texts), name in self.columns.items())


def _distance(texts: Sequence[str], others: Sequence[str], most: int = 8) -> int:
    """How much the one numbers are less than the others, if that is always the same small number; or else 0."""
    if not all(text.isdecimal() for text in (*texts, *others)):
        return 0
    distances = {int(other) - int(text) for text, other in zip(texts, others, strict=True)}
    return distances.pop() if len(distances) == 1 and abs(min(distances)) <= most else 0


def generalised(terms: Sequence[Term], parameters: Parameters) -> Term:
    """The most that terms of one outline have in common, with parameters for the rest."""
    first = terms[0]
    if all(term == first for term in terms):
        return first
    alike = all(term.head() == first.head() for term in terms) and first.children
    columns = list(zip(*(term.children for term in terms), strict=True)) if alike else []
    if alike and all(len({child.outline() for child in column}) == 1 for column in columns):
        children = tuple(generalised(column, parameters) for column in columns)
        omitted = [term.omitted for term in terms if term.omitted]
        return replace(first, children=children, omitted=generalised(omitted, parameters) if omitted else None)
    return parameters.of(terms)
