"""Defects that nobody has mended, ready to be mailed: each as a text in the manner of a bug report, and a C program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.c_source.reproducer import reproducer
from helpers.deviations import NOT_FIXED, Erratum, name_of
from helpers.explain import answer, argument, story, strip
from helpers.host import Host
from helpers.kernel import Sizes
from helpers.lab import Lab
from helpers.operations import Scan
from helpers.plugins.clauses import catalogue
from helpers.report import comparison
from helpers.report.log import Log
from helpers.steps import Step
from helpers.stubs import facts_of, stub_with

WIDTH = 76


@dataclass(frozen=True)
class Finding:
    """A defect, and the logs of runs that say whether they met it."""

    erratum: type[Erratum]
    seen: Sequence[Log]
    not_seen: Sequence[Log]

    @property
    def name(self) -> str:
        return name_of(self.erratum)


def findings(logs: Sequence[Log], errata: Sequence[type[Erratum]]) -> Iterator[Finding]:
    """The errata that one of the runs met, and that nobody has mended."""
    met = {log.path: {comparison.name_of(told) for one in log.outcomes for told in one.errata} for log in logs}
    for erratum in errata:
        seen = [log for log in logs if name_of(erratum) in met[log.path]]
        if seen and erratum.fixed == NOT_FIXED and erratum.has_probe():
            yield Finding(erratum, seen, [log for log in logs if log not in seen])


def steps_of(erratum: type[Erratum]) -> tuple[Lab, list[Step]]:
    """The probe, as a kernel answers it that has the erratum: as far as the first answer that isn't the contract's."""
    kernel = "faithful-rwp" if "rwp" in erratum.needs else "faithful-soft-dirty"
    facts = facts_of(kernel if {"rwp", "soft-dirty"} & {*erratum.needs} else "faithful", erratum.needs)
    host = Host(Sizes(facts.page_size, facts.page_size * facts.pages_per_huge_page), facts, {})
    known = [*erratum.beside, erratum]
    lab = Lab(host, stub_with(known)(facts), known, may_hang=True)
    erratum.probe(lab)
    told = next((one for one in (lab, *lab.others) if any(step.deviates for step in one.steps)), lab)
    first = next((number for number, step in enumerate(told.steps, 1) if step.deviates), len(told.steps))
    return told, told.steps[:first]


def text(finding: Finding) -> str:
    """The report, in lines that mail takes."""
    erratum = finding.erratum
    lab, steps = steps_of(erratum)
    last = steps[-1]
    clauses = [catalogue()[clause] for clause in erratum.clauses]
    parts = [
        f"Subject: [BUG] PAGEMAP_SCAN: {textwrap.shorten(erratum.says(), 100, placeholder=' ...')}",
        _filled(f"{erratum.says()}."),
        "What is promised:",
        *(_filled(f"{clause['says']} ({clause['where']})", "  ") for clause in clauses),
        "What happens:",
        textwrap.indent(story(lab.memory, steps), "  "),
    ]
    if isinstance(last.operation, Scan):
        parts.append(textwrap.indent(argument(last.operation), "  "))
    parts += [f"  expected: {_indented(answer(last.expected))}", f"  observed: {_indented(answer(last.observed))}"]
    if isinstance(last.operation, Scan):
        shown = strip(last.operation, last.expected.regions, last.observed.regions)
        parts.append(textwrap.indent("\n".join(shown), "  "))
    parts += ["Where in the code:", _filled(erratum.evidence, "  "), "Kernels:"]
    parts += ["\n".join([*(f"  {log.kernel}: seen" for log in finding.seen), *map(_not_seen, finding.not_seen)])]
    parts += [
        "To reproduce it, where the program exits with 1:",
        f"  cc -O2 -pthread -o {finding.name} {finding.name}.c && ./{finding.name}",
    ]
    return "\n\n".join(part for part in parts if part.strip()) + "\n"


def _not_seen(log: Log) -> str:
    return f"  {log.kernel}: not met" + (f" (partial: {log.partial})" if log.partial else "")


def _filled(told: str, indent: str = "") -> str:
    return textwrap.fill(told, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _indented(told: str) -> str:
    first, *rest = told.splitlines() or [""]
    return "\n".join([first, *(f"  {line}" for line in rest)])


def program(finding: Finding) -> str:
    """The program that shows it."""
    lab, steps = steps_of(finding.erratum)
    clauses = [f"{catalogue()[clause]['says']} ({catalogue()[clause]['where']})" for clause in finding.erratum.clauses]
    return reproducer(finding.name, steps, lab.facts, clauses, finding.seen[0].kernel)


def write(logs: Sequence[Log], errata: Sequence[type[Erratum]], directory: Path) -> list[Path]:
    """Writes a directory for each; returns them. Raises OSError."""
    written = []
    for finding in findings(logs, errata):
        own = directory / finding.name
        own.mkdir(parents=True, exist_ok=True)
        (own / "report.txt").write_text(text(finding))
        (own / f"{finding.name}.c").write_text(program(finding))
        written.append(own)
    return written
