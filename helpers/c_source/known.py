"""What a kernel with errata answers, where that isn't what the contract says."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from helpers.c_source.lines import wrapped
from helpers.deviations import Erratum, name_of, together
from helpers.errata import answers, by_halves, met_by
from helpers.model import Facts
from helpers.steps import Step, told


@dataclass(frozen=True)
class Known:
    """An answer, and the errata which a kernel has that gives it. The first that fits a kernel counts."""

    errata: tuple[type[Erratum], ...]
    answer: Any


#: What is known of one step: nothing, where every kernel answers as the contract says.
KnownAnswers = tuple[Known, ...]


def known_answers(
    steps: Sequence[Step], facts: Facts, errata: Sequence[type[Erratum]], likely: Collection[type[Erratum]] = ()
) -> list[KnownAnswers]:
    """For each step of a program, what kernels answer that have some of the errata. ``likely``: those that may matter,
    which are found sooner."""
    program = _Program(steps, facts)
    matter = program.those_that_matter(errata, likely)
    found = []
    sets = [chosen for size in range(1, len(matter) + 1) for chosen in itertools.combinations(matter, size)]
    by_set = {chosen: program.answers_with(chosen) for chosen in sets}
    for number, expected in enumerate(program.expected):
        known: list[Known] = []
        for chosen in sets:  # Small ones first; what they say already isn't said again.
            answer = by_set[chosen][number] if number < len(by_set[chosen]) else expected
            said = next((one.answer for one in known if set(one.errata) <= set(chosen)), expected)
            if answer != said:
                known.insert(0, Known(chosen, answer))
        found.append(tuple(known))
    return found


def identifier(name: str) -> str:
    """A name as it can be in C."""
    return name.replace("-", "_")


def names_of_errata(errata: Sequence[type[Erratum]]) -> str:
    """The errata in C: a bit for each, and what there is to say of it."""
    bits = [f"{identifier(name_of(one))} = 1ULL << {number}" for number, one in enumerate(errata)]
    told = [f"\t{quoted(f'{name_of(one)}: {one.says()} ({one.fixed})')}," for one in errata] or ['\t"",']
    enumerators = ["/* Errata, a bit for each. */", "enum {", wrapped(", ".join(bits) + ","), "};"] if bits else []
    return "\n".join([*enumerators, "static const char *const errata_names[] = {", *told, "};"])


def quoted(text: str) -> str:
    """A string in C, in lines of 120 columns."""
    lines = textwrap.wrap(text, 104, break_long_words=False, break_on_hyphens=False)
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    ends = [" "] * (len(lines) - 1) + [""]
    return "\n\t".join(f'"{line}{end}"' for line, end in zip(escaped, ends, strict=True))


class _Program:
    """The steps of a program, asked of models again and again."""

    def __init__(self, steps: Sequence[Step], facts: Facts) -> None:
        self.steps = steps
        self.facts = facts
        self.expected = [
            told(step.operation, step.expected) if step.is_precondition else step.expected for step in steps
        ]
        self.answers_with = cache(self._answers_with)

    def _answers_with(self, errata: tuple[type[Erratum], ...]) -> list[Any]:
        return list(answers(together(errata)(self.facts), self.steps))

    def those_that_matter(
        self, errata: Sequence[type[Erratum]], likely: Collection[type[Erratum]]
    ) -> list[type[Erratum]]:
        """Those that change an answer of a kernel that keeps the contract, or of one that has all the others; but for
        those by which they would be hidden."""
        errata = met_by(errata, [step.operation for step in self.steps], self.facts)
        hidden = [one for one in errata if {*one.hidden_by} & {*errata}]
        hiding = {other for one in hidden for other in one.hidden_by}
        found: set[type[Erratum]] = set()
        for apart in (hidden, hiding) if hidden else ((),):
            found.update(self.those_that_matter_together([one for one in errata if one not in apart], likely))
        return [one for one in errata if one in found]

    def those_that_matter_together(
        self, errata: Sequence[type[Erratum]], likely: Collection[type[Erratum]]
    ) -> list[type[Erratum]]:
        with_all = self.answers_with(tuple(errata))
        if with_all == self.expected:
            return []

        def matter(some: tuple[type[Erratum], ...]) -> bool:
            return self.answers_with(some) != self.expected

        def are_missed(some: tuple[type[Erratum], ...]) -> bool:
            return self.answers_with(tuple(one for one in errata if one not in some)) != with_all

        parts = [tuple(one for one in errata if (one in likely) == are_likely) for are_likely in (True, False)]
        found = {one for part in parts for way in (matter, are_missed) for one in by_halves(part, way)}
        return [one for one in errata if one in found]
