"""The tests of a pytest function in C: what they have in common as functions, and a row for each that differs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from helpers.c_source.kinds import union
from helpers.c_source.loops import as_loops
from helpers.c_source.printer import Printer
from helpers.c_source.record import Record
from helpers.c_source.term import Parameters, Term, expression, generalised

#: Words with which no name ends.
_SMALL_WORDS = {
    *("a", "an", "and", "after", "as", "at", "be", "before", "by", "do", "does", "have", "in", "is", "its", "it"),
    *("may", "nor", "no", "not", "of", "on", "only", "or", "that", "the", "to"),
}
#: Words that no name in C can be.
_KEYWORDS = {
    *("auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern"),
    *("float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed"),
    *("sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while"),
}


@dataclass(frozen=True)
class Function:
    """A function in C."""

    name: str
    parameters: str
    statements: tuple[Term, ...]


class Group:
    """The tests of a pytest function: functions with parameters, and rows that call them."""

    def __init__(self, name: str, stem: str, records: Sequence[Record], printer: Printer) -> None:
        self.name = name
        self.stem = stem
        self.functions: list[Function] = []
        told = _forms([record for record in records if not record.loop], printer)
        programs = iter(self._calls(list(self._with_rounds(told)), stem))
        calls = [record.loop or next(programs) for record in records]
        self.rows = list(_rows(records, calls, printer))

    @property
    def is_single(self) -> bool:
        """Whether one row without arguments tells all."""
        return len(self.rows) == 1 and f"{self.stem}()" in map(str, self.rows[0].children)

    def _calls(self, programs: Sequence[tuple[Term, ...]], stem: str) -> list[Term]:
        """Each program as a call of the function that it has in common with those of the same outline."""
        calls: dict[int, Term] = {}
        for numbers in _alike(programs).values():
            parameters = Parameters()
            body = generalised([Term("", programs[number]) for number in numbers], parameters)
            taken = sum(function.name.startswith(stem) for function in self.functions)
            name = f"{stem}_{taken + 1}" if taken else stem
            self.functions.append(Function(name, parameters.declared(), body.children))
            for place, number in enumerate(numbers):
                calls[number] = Term(f"{name}(", parameters.arguments(place), ")")
        return [calls[number] for number in range(len(programs))]

    def _with_rounds(self, programs: Sequence[tuple[Term, ...]]) -> Iterator[tuple[Term, ...]]:
        """Programs, in which statements that repeat in a row are calls of one function."""
        cut = [list(_cut(program)) for program in programs]
        rounds = [block for blocks in cut for block in blocks if len(block) > 1]
        calls = iter(self._calls(rounds, f"a_round_of_{self.stem}"))
        for blocks in cut:
            yield tuple(Term("", (next(calls),), ";") if len(block) > 1 else block[0] for block in blocks)


def _forms(records: Sequence[Record], printer: Printer) -> list[tuple[Term, ...]]:
    """The statements of each record, in that of its forms that most records share."""
    forms = [record.forms(printer) for record in records]
    shared = Counter(form for some in forms for form in set(some))
    return [max(some, key=lambda form: shared[form]) for some in forms]


def _outline(program: Iterable[Term]) -> tuple[object, ...]:
    return tuple(statement.outline() for statement in program)


def _alike(programs: Sequence[tuple[Term, ...]]) -> dict[object, list[int]]:
    """The numbers of programs by their outlines."""
    found: dict[object, list[int]] = {}
    for number, program in enumerate(programs):
        found.setdefault(_outline(program), []).append(number)
    return found


def _cut(program: Sequence[Term], least: int = 3) -> Iterator[tuple[Term, ...]]:
    """Statements one by one; those that repeat in a row, but for expressions, in blocks."""
    outlines = _outline(program)
    place = 0
    while place < len(program):
        best = (1, 1)
        for size in range(2, 7):
            times = 1
            if len(set(outlines[place : place + size])) == 1:
                continue
            while outlines[place + times * size :][:size] == outlines[place:][:size]:
                times += 1
            if times >= least and times * size > best[0] * best[1]:
                best = (size, times)
        size, times = best
        for _ in range(times):
            yield tuple(program[place : place + size])
            place += size


def _rows(records: Sequence[Record], calls: Sequence[Term], printer: Printer) -> Iterator[Term]:
    """A row for all tests that differ in nothing but the kind; those that differ by numbers alone as loops."""
    kinds: dict[tuple[str, Term, tuple[str, ...]], set[str]] = {}
    for record, call in zip(records, calls, strict=True):
        marks = [f".only_on = {record.only_on.name}"] if record.only_on else []
        members = kinds.setdefault((record.pattern, call, tuple(marks)), set())
        members.update({record.kind.name} if record.kind else ())
    rows = [
        Term("TEST(", (Term(union(members)), _name(pattern), call, *map(Term, marks)), ");")
        for (pattern, call, marks), members in kinds.items()
    ]
    return (row.changed(_counted) for row in as_loops(rows, "", "turn"))


def _name(pattern: str) -> Term:
    pieces = (expression(piece, "", "name") for piece in re.split(r"(\d+)", pattern) if piece)
    return Term('"', tuple(pieces), '"', between="")


def _counted(leaf: Term) -> Term:
    """In a name, a number sign for the turn of a loop."""
    return Term("#") if leaf.name == "name" and leaf.before == "turn" else leaf


def stems(functions: Sequence[str], taken: Container[str] = ()) -> dict[str, str]:
    """Short names for what the tests of pytest functions do: so many words that they are told apart.

    A name is one that C can have, and none that is ``taken`` there.
    """
    words = {function: function.removeprefix("test_").split("_") for function in functions}
    found: dict[str, str] = {}

    def is_free(name: str) -> bool:
        return name.isidentifier() and not any(name in names for names in (taken, _KEYWORDS, found.values()))

    for function, own in words.items():
        others = [other for name, other in words.items() if name != function]
        beginnings = [own[:length] for length in range(2, len(own)) if is_free("_".join(own[:length]))]
        name = "_".join(next((words for words in beginnings if _is_telling(words, others)), own))
        while not is_free(name):
            name = f"try_{name}"
        found[function] = name
    return found


def _is_telling(words: list[str], others: Iterable[list[str]]) -> bool:
    """Whether the first words of a name tell it from others, and sound like a name."""
    large = [word for word in words if word not in _SMALL_WORDS]
    return (
        words[-1] not in _SMALL_WORDS and len(large) > 1 and not any(other[: len(words)] == words for other in others)
    )
