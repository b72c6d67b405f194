"""One HTML page for many kernels: kernels across, clauses and errata down, what changed from one to the next first."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2

from helpers.plugins.clauses import catalogue
from helpers.report import page
from helpers.report.defects import name_in
from helpers.report.log import Log, NotALog, read
from vm.kernels.table import Row
from vm.results.verdict import Verdict, directory_of, verdict_of

TEMPLATE = Path(__file__).with_name("comparison.html")
#: What nobody answered isn't an outcome: a clause that is skipped on one kernel doesn't differ from one that is kept.
_ANSWERS = {"failed", "xfailed", "passed"}
_OF_ERRATA = {"xfailed": "met", "passed": "not met"}


@dataclass(frozen=True)
class Cell:
    """A clause or an erratum on a kernel: the outcome of its worst test, how many tests had which, where they are."""

    outcome: str
    word: str
    counts: str
    report: str


@dataclass(frozen=True)
class Column:
    """A kernel, what came of its run, and its cells by name."""

    row: Row
    verdict: Verdict | None
    clauses: dict[str, Cell]
    errata: dict[str, Cell]


@dataclass(frozen=True)
class Line:
    """A clause or an erratum on every kernel; None where it was not asked."""

    name: str
    says: str
    cells: tuple[Cell | None, ...]

    @property
    def differs(self) -> bool:
        return len({cell.outcome for cell in self.cells if cell and cell.outcome in _ANSWERS}) > 1

    @property
    def is_broken(self) -> bool:
        return any(cell and cell.outcome in ("failed", "xfailed") for cell in self.cells)

    @property
    def rank(self) -> int:
        """Where in the page: what differs, what is broken everywhere, what is kept."""
        return 0 if self.differs else 1 if self.is_broken else 2


@dataclass(frozen=True)
class Change:
    """What is otherwise on a kernel than on the one before it: names of clauses and errata, with how it was and is."""

    before: Row
    after: Row
    clauses: Sequence[tuple[str, Cell, Cell]]
    errata: Sequence[tuple[str, Cell, Cell]]


def column_of(row: Row, results: Path) -> Column:
    """A kernel's column."""
    shared = directory_of(row, results)
    try:
        log = read(shared.report_log)
    except NotALog:  # No reports were made of it.
        return Column(row, verdict_of(row, results), {}, {})
    report = f"{quote(row.name)}/{shared.html.name}"
    return Column(row, verdict_of(row, results), _clauses_in(log, report), _errata_in(log, report))


def _clauses_in(log: Log, report: str) -> dict[str, Cell]:
    return {
        clause.name: Cell(
            clause.outcome,
            page.OF_CLAUSES[clause.outcome],
            ", ".join(f"{clause.counts[name]} {page.OF_TESTS[name]}" for name in page.SIGNS if name in clause.counts),
            f"{report}#clause={quote(clause.name)}",
        )
        for clause in page.clauses_of(log.outcomes)
        if clause.counts
    }


def _errata_in(log: Log, report: str) -> dict[str, Cell]:
    met = Counter(name_in(words) for test in log.outcomes for words in test.errata)
    return {
        name: Cell("xfailed", _OF_ERRATA["xfailed"], f"{count} tests", f"{report}#erratum-{quote(name)}")
        for name, count in met.items()
    }


def clause_lines(columns: Sequence[Column]) -> list[Line]:
    """The table of clauses, in the order of the page."""
    says = {name: entry["says"] for name, entry in catalogue().items()}
    named = [*says, *sorted({clause for column in columns for clause in column.clauses} - set(says))]
    found = [Line(name, says.get(name, ""), tuple(one.clauses.get(name) for one in columns)) for name in named]
    return sorted((line for line in found if any(line.cells)), key=lambda line: line.rank)


def errata_lines(columns: Sequence[Column]) -> list[Line]:
    """The table of errata: of a kernel that was asked, and didn't meet one, it says so."""
    absent = Cell("passed", _OF_ERRATA["passed"], "", "")
    named = sorted({name for column in columns for name in column.errata})
    found = [
        Line(name, "", tuple(one.errata.get(name, absent) if one.clauses else None for one in columns))
        for name in named
    ]
    return sorted(found, key=lambda line: line.rank)


def changes(columns: Sequence[Column], clauses: Sequence[Line], errata: Sequence[Line]) -> list[Change]:
    """From each kernel that was asked to the next."""
    asked = [place for place, column in enumerate(columns) if column.clauses]
    return [
        Change(columns[old].row, columns[new].row, [*_changed(clauses, old, new)], [*_changed(errata, old, new)])
        for old, new in itertools.pairwise(asked)
    ]


def _changed(lines: Sequence[Line], old: int, new: int) -> Iterator[tuple[str, Cell, Cell]]:
    for line in lines:
        before, after = line.cells[old], line.cells[new]
        if before and after and {before.outcome, after.outcome} <= _ANSWERS and before.outcome != after.outcome:
            yield line.name, before, after


def write(results: Path, rows: Sequence[Row]) -> Path:
    """Writes the page; returns where."""
    columns = [column_of(row, results) for row in rows]
    clauses, errata = clause_lines(columns), errata_lines(columns)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    style = (page.HERE / "page.css").read_text(encoding="utf-8")
    tables = {"Errata": errata, "Clauses": clauses}
    told = template.render(
        columns=columns, changes=changes(columns, clauses, errata), tables=tables, signs=page.SIGNS, style=style
    )
    path = results / "matrix.html"
    path.write_text(told, encoding="utf-8", errors="replace")
    return path
