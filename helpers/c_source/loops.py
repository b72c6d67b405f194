"""Statements that repeat with numbers in arithmetic progression, as loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from helpers.c_source.term import LINES, Term, expression


def _moves(one: Term, other: Term) -> list[tuple[int, int]] | None:
    """The numbers in a term, each with how far it moves to another term; None where more than numbers differ."""
    if not one.children and one.number is not None and other.number is not None and one.type == other.type:
        return [(one.number, other.number - one.number)]
    if one.head() != other.head():
        return None
    pairs = list(zip(one.children, other.children, strict=True))
    if one.omitted and other.omitted:
        pairs.append((one.omitted, other.omitted))
    found = [_moves(*pair) for pair in pairs]
    return None if None in found else [move for moves in found for move in moves or ()]


def _moving(one: Term, other: Term, variable: str, first: int, step: int) -> Term:
    """A term whose numbers move with a variable, which is ``first`` in the one and ``step`` more in the other."""
    if one.children:
        pairs = zip(one.children, other.children, strict=True)
        omitted = one.omitted and other.omitted and _moving(one.omitted, other.omitted, variable, first, step)
        children = tuple(_moving(*pair, variable, first, step) for pair in pairs)
        return replace(one, children=children, omitted=omitted)
    if one.number is None or other.number is None or one.number == other.number:
        return one
    factor = (other.number - one.number) // step
    rest = one.number - factor * first
    text = variable if factor == 1 else f"{variable} * {factor}"
    return replace(one, before=text + (f" {'-+'[rest > 0]} {abs(rest)}" if rest else ""), moves=True)


def _times(statements: Sequence[Term], size: int) -> tuple[int, list[tuple[int, int]]]:
    """How often the first statements come in a row, with numbers that move evenly, and how these do."""
    steps: list[tuple[int, int]] = []
    times = 1
    while (times + 1) * size <= len(statements):
        found = []
        for one, other in zip(statements[(times - 1) * size :], statements[times * size :][:size], strict=False):
            moves = _moves(one, other)
            if moves is None:
                return times, steps
            found += moves
        if times > 1 and [move for _, move in found] != [move for _, move in steps]:
            break
        steps = steps if times > 1 else found
        times += 1
    return times, steps


def as_loops(statements: Sequence[Term], declaration: str, variable: str, least: int = 4) -> Iterator[Term]:
    """Statements, with blocks of up to three that come ``least`` times or more in a row told as loops.

    The variable has the value of the first number that moves.
    """
    place = 0
    while place < len(statements):
        best = (0, 0)
        for size in (1, 2, 3):
            times, steps = _times(statements[place:], size)
            first, step = next(((number, move) for number, move in steps if move), (0, 0))
            fits = step > 0 and all(move % step == 0 for _, move in steps)
            if fits and times >= least and times * size > best[0] * best[1]:
                best, start, distance = (times, size), first, step
        times, size = best
        if not times:
            yield statements[place]
            place += 1
            continue
        last = start + (times - 1) * distance
        parts = (
            Term(f"{declaration}{variable} = ", (expression(start, "int64_t", "first"),)),
            Term(f"{variable} <= ", (expression(last, "int64_t", "last"),)),
            Term(f"{variable}++" if distance == 1 else f"{variable} += {distance}"),
        )
        head = Term("for (", parts, ")" if size == 1 else ") {", between="; ")
        pairs = zip(statements[place:], statements[place + size :][:size], strict=False)
        body = (_moving(*pair, variable, start, distance) for pair in pairs)
        yield Term("", (head, *body, *([Term("}")] if size > 1 else [])), between=LINES)
        place += times * size
