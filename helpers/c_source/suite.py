"""The whole deterministic suite as one C program, in the manner of a kernel selftest: KTAP, a plan, -l and -t.

Tests are recorded on a faithful stub kernel: all of their operations, with what the contract expects. A test function
of pytest is a group, its tests are the subtests.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from helpers.c_source.abbreviations import shortened
from helpers.c_source.group import Group, stems
from helpers.c_source.kinds import SETS, table
from helpers.c_source.known import identifier
from helpers.c_source.lines import block, wrapped
from helpers.c_source.parts import COMPILE, parts, runtime, words
from helpers.c_source.printer import Printer
from helpers.c_source.record import Record
from helpers.c_source.term import Parameters, Term, generalised
from helpers.c_source.values import regions
from helpers.deviations import Erratum, name_of
from helpers.kinds import BY_NAME
from helpers.model import Facts
from helpers.operations import Region
from helpers.steps import Step

#: What the memory for the masks depends on.
_CASES = ("swap", "guards", "empties")


@dataclass(frozen=True)
class Mosaic:
    """The steps that make the memory for the masks, and its runs of equal categories."""

    steps: Sequence[Step]
    runs: Sequence[Region]


def _function(name: str, parameters: str, statements: Iterable[Term]) -> str:
    head = wrapped(f"static void {name}({parameters})", 0)
    return f"{head}\n{{\n{block(statements, shortened)}\n}}"


class Suite:
    """Builds the program from records."""

    def __init__(self, facts: Facts, mosaics: Mapping[tuple[bool, ...], Mosaic]) -> None:
        """``mosaics``: by whether there is swap, whether there are guard regions, and whether it has empty entries."""
        self.facts = facts
        self.printer = Printer(facts)
        self.mosaics = mosaics

    def text(self, records: Sequence[Record], probes: Mapping[type[Erratum], Record], left_out: Iterable[str]) -> str:
        """The program."""
        functions = list(dict.fromkeys(record.function for record in records))
        named = {identifier(name) for name in (*BY_NAME, *map(name_of, probes))}
        names = stems(functions, words() | SETS.keys() | named)
        groups = [
            Group(name, names[name], list(tests), self.printer)
            for name, tests in itertools.groupby(records, lambda record: record.function)
        ]
        omitted = "\n".join(
            textwrap.fill(line, 110, initial_indent=" *   ", subsequent_indent=" *     ") for line in left_out
        )
        everything = [*(record for record in records if not record.loop), *probes.values()]
        asked = {_probe(erratum): record.forms(self.printer)[0] for erratum, record in probes.items()}
        same = _same(groups, asked)
        tests = "\n\n".join(
            [
                self.mosaic(),
                "/* A short program for each erratum that finds out whether the kernel has it. */",
                *(_function(name, "void", statements) for name, statements in asked.items()),
                _probes(probes),
                "/* The tests: what those of a function have in common, and a row for what differs. */",
                *(_group(group) for group in groups if group.name not in same),
                _table(groups, same),
            ]
        )
        loops = {str(record.loop).partition("(")[0] for record in records if record.loop} & parts().keys()
        names_of_parts = {"suite", *loops, *self.printer.parts}
        return f"""\
// SPDX-License-Identifier: GPL-2.0
/*
 * PAGEMAP_SCAN, the whole contract: {len(records)} tests, each a program of operations on memory with what is expected
 * of every scan. KTAP on standard output; -l lists the tests, -t chooses those whose name has a part.
 * {COMPILE} -o pagemap_scan pagemap_scan.c
 * Exits 0 when the kernel keeps the contract, but for known defects; 1 when it doesn't; 4 when nothing can be asked.
 *
 * Made by the conformance suite (make pagemap_scan.c); not in it:
{omitted}
 */
{runtime(names_of_parts, self.facts, tests, list(probes), table(everything))}"""

    def mosaic(self) -> str:
        """The function that makes the memory for the masks."""
        parameters = Parameters()
        cases = list(itertools.product((True, False), repeat=len(_CASES)))
        made = generalised([self.laid(self.mosaics[case]) for case in cases], parameters)
        told = {name: _choice(texts, _CASES) for (_, texts), name in parameters.columns.items()}
        body = made.changed(lambda leaf: Term(told.get(leaf.before, leaf.before)))
        return _function("make_mosaic", ", ".join(f"int {name}" for name in _CASES), body.children)

    def laid(self, mosaic: Mosaic) -> Term:
        statements = [self.printer.statement(step) for step in mosaic.steps]
        runs = tuple(region for run in mosaic.runs for region in regions((run,)).children)
        return Term("", (*statements, Term("set_mosaic(", (Term("REGIONS(", runs, ")"),), ");")))


def _choice(values: Sequence[str], names: Sequence[str]) -> str:
    """An expression that has these values: one half of them where the first name is true, the other where it isn't."""
    if len(set(values)) == 1:
        return values[0]
    half, rest = len(values) // 2, names[1:]
    yes, no = _choice(values[:half], rest), _choice(values[half:], rest)
    return yes if yes == no else f"{names[0]} ? {yes} : {no}"


def _probe(erratum: type[Erratum]) -> str:
    return f"probe_{identifier(name_of(erratum))}"


def _same(groups: Iterable[Group], probes: Mapping[str, Iterable[Term]]) -> dict[str, str]:
    """By group of one test, the probe that does the same."""
    by_body = {block(statements, shortened): name for name, statements in probes.items()}
    bodies = {group.name: block(group.functions[0].statements, shortened) for group in groups if group.is_single}
    return {name: by_body[body] for name, body in bodies.items() if body in by_body}


def _group(group: Group) -> str:
    functions = [_function(one.name, one.parameters, one.statements) for one in group.functions]
    rows = [] if group.is_single else [_function(group.name, "void", group.rows)]
    return "\n\n".join(functions + rows)


def _probes(probes: Mapping[type[Erratum], Record]) -> str:
    rows = []
    for erratum, record in probes.items():
        name, kind = identifier(name_of(erratum)), identifier(record.kind.name) if record.kind else "NO_KIND"
        rows.append(f"\t{{ {name}, {_probe(erratum)}, {kind} }},")
    lines = "\n".join(rows)
    return f"static const struct probe probes[] = {{\n{lines}\n\t{{ .run = NULL }},\n}};"


def _only(group: Group, same: Mapping[str, str]) -> str:
    """The row of a group of one test."""
    kinds, name, call, *marks = group.rows[0].children
    function = same.get(group.name, str(call).removesuffix("()"))
    return f"ONE({', '.join(map(str, (group.name, function, kinds, name, *marks)))}),"


def _table(groups: Iterable[Group], same: Mapping[str, str]) -> str:
    """The tests by group; those of one test are run by a function of their own, or by the probe that does the same."""
    lines = []
    for is_single, several in itertools.groupby(groups, lambda group: group.is_single):
        if is_single:
            lines += [wrapped(_only(group, same)) for group in several]
        else:  # As many in a line as there is room for: they are nothing but names.
            names = " ".join(f"ROWS({group.name})," for group in several)
            lines += textwrap.wrap(names, 120 - 7, initial_indent="\t", subsequent_indent="\t", break_long_words=False)
    table = "\n".join(lines)
    return f"""\
static const struct group groups[] = {{
{table}
	{{ .name = NULL }},
}};

int main(int argc, char **argv)
{{
	return suite(argc, argv, groups, probes);
}}
"""
