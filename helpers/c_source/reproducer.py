"""The C of one test, to compile, run and mail: its operations in order, each with what the contract expects.

It exits 0 when the kernel keeps the clause, 1 when it doesn't, 4 when it can't be asked.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from helpers.c_source.known import known_answers
from helpers.c_source.lines import wrapped
from helpers.c_source.parts import COMPILE, runtime
from helpers.c_source.printer import Printer
from helpers.deviations import Erratum
from helpers.model import Facts
from helpers.operations import Operation
from helpers.steps import Step


def said_of(operation: Operation) -> str:
    """What an operation does: the first sentence of its description."""
    sentence = " ".join((type(operation).__doc__ or "").split()).split(". ")[0].rstrip(".")
    return sentence.replace("`", "").replace("*/", "")


def reproducer(
    name: str,
    steps: list[Step],
    facts: Facts,
    clauses: Iterable[str],
    kernel: str,
    errata: Sequence[type[Erratum]] = (),
) -> str:
    """A self-contained C program that carries out the steps of a test and compares every answer.

    ``clauses``: sentences of the contract, each with where it is written; ``kernel``: where the test ran; ``errata``:
    those that are known, which the program names where a kernel answers as they predict.
    """
    printer = Printer(facts)
    known = known_answers(steps, facts, errata)
    lines = []
    for number, (step, instead) in enumerate(zip(steps, known, strict=True), 1):
        also = ": the memory has to be what it should be" if step.is_precondition else ""
        lines.append(f"\t/* {number}. {said_of(step.operation)}{also} */")
        lines.append(wrapped(str(printer.statement(step, instead))))
    told = "\n".join(textwrap.fill(clause, 110, initial_indent=" * ", subsequent_indent=" *   ") for clause in clauses)
    main = f"""\
int main(void)
{{
	prepare_to_ask();

{chr(10).join(lines)}

	end(KEEPS, "keeps the clause");
}}
"""
    return f"""\
// SPDX-License-Identifier: GPL-2.0
/*
 * {name}, as it ran on {kernel}.
 *
 * The contract:
{told}
 *
 * Pages are counted from the start of an arena. Each scan says what the contract expects of it.
 * {COMPILE} FILE.c && ./a.out
 * exits 0 when the kernel keeps the clause, 1 when it doesn't, 4 when it can't be asked here.
 */
{runtime({"alone", *printer.parts}, facts, main, [one for one in errata if one in printer.errata])}"""
