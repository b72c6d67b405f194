"""Defects that nobody has mended, ready to be mailed: each as a text in the manner of a bug report, and a C program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.deviations import NOT_FIXED, Erratum, name_of
from helpers.explain import answer, argument, story, strip
from helpers.operations import Scan
from helpers.report.defects import name_in, program, promises, steps_of
from helpers.report.log import Log

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
    met = {log.path: {name_in(told) for one in log.outcomes for told in one.errata} for log in logs}
    for erratum in errata:
        seen = [log for log in logs if name_of(erratum) in met[log.path]]
        if seen and erratum.fixed == NOT_FIXED and erratum.has_probe():
            yield Finding(erratum, seen, [log for log in logs if log not in seen])


def text(finding: Finding) -> str:
    """The report, in lines that mail takes."""
    erratum = finding.erratum
    lab, steps = steps_of(erratum)
    last = steps[-1]
    parts = [
        f"Subject: [BUG] PAGEMAP_SCAN: {textwrap.shorten(erratum.says(), 100, placeholder=' ...')}",
        _filled(f"{erratum.says()}. {erratum.harm.value}"),
        "What is promised:",
        *(_filled(promise, "  ") for promise in promises(erratum)),
        "What happens:",
        textwrap.indent(story(lab.memory, steps), "  "),
    ]
    if isinstance(last.operation, Scan):
        parts.append(textwrap.indent(argument(last.operation), "  "))
    parts += [f"  expected: {_indented(answer(last.expected))}", f"  observed: {_indented(answer(last.observed))}"]
    if isinstance(last.operation, Scan):
        drawn = strip(last.operation, last.expected.regions, last.observed.regions)
        parts.append(textwrap.indent("\n".join(drawn.lines() if drawn else []), "  "))
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


def write(logs: Sequence[Log], errata: Sequence[type[Erratum]], directory: Path) -> list[Path]:
    """Writes a directory for each; returns them. Raises OSError."""
    written = []
    for finding in findings(logs, errata):
        own = directory / finding.name
        own.mkdir(parents=True, exist_ok=True)
        (own / "report.txt").write_text(text(finding))
        (own / f"{finding.name}.c").write_text(program(finding.erratum, finding.seen[0].kernel))
        written.append(own)
    return written
