"""One HTML page for many kernels: kernels across, clauses down, what differs between them first."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from helpers.report.outcomes import kept
from vm import CHECKOUT
from vm.kernels.table import Row
from vm.results.verdict import directory_of, verdict_of

TEMPLATE = Path(__file__).with_name("comparison.html")
#: Outcomes, the worst first: the worst of its tests is what a cell says.
WORST_FIRST = ("failed", "xfailed", "passed", "untold", "skipped")
#: What nobody answered isn't an outcome: a clause that is skipped on one kernel doesn't differ from one that is kept.
_ANSWERS = {"failed", "xfailed", "passed"}


@dataclass(frozen=True)
class Cell:
    """A clause on a kernel: the outcome of its worst test, and how many tests had which."""

    outcome: str
    counts: str
    reasons: tuple[str, ...]
    report: str


@dataclass(frozen=True)
class Line:
    """A clause on every kernel; None where it was not asked."""

    clause: str
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


def cells_of(row: Row, results: Path) -> dict[str, Cell]:
    """A kernel's column: its cells by clause."""
    shared = directory_of(row, results)
    outcomes: dict[str, list[str]] = defaultdict(list)
    reasons: dict[str, set[str]] = defaultdict(set)
    for test in kept(shared.outcomes):
        for clause in test.clauses or ("(no clause)",):
            outcomes[clause].append(test.outcome)
            if test.outcome == "xfailed":
                reasons[clause].add(test.reason)
    return {
        clause: Cell(
            min(found, key=WORST_FIRST.index),
            ", ".join(f"{found.count(name)} {name}" for name in WORST_FIRST if name in found),
            tuple(sorted(reasons[clause])),
            f"{row.name}/{shared.html.name}",
        )
        for clause, found in outcomes.items()
    }


def lines(rows: Sequence[Row], results: Path) -> list[Line]:
    """The table, in the order of the page."""
    entries = tomllib.loads((CHECKOUT / "suites" / "clauses.toml").read_text(encoding="utf-8"))["clause"]
    says = {entry["id"]: entry["says"] for entry in entries}
    columns = [cells_of(row, results) for row in rows]
    named = [*says, *sorted({clause for column in columns for clause in column} - set(says))]
    found = [Line(clause, says.get(clause, ""), tuple(column.get(clause) for column in columns)) for clause in named]
    return sorted((line for line in found if any(line.cells)), key=lambda line: line.rank)


def write(results: Path, rows: Sequence[Row]) -> Path:
    """Writes the page; returns where."""
    shown = [(row, verdict_of(row, results)) for row in rows]
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    path = results / "matrix.html"
    path.write_text(template.render(kernels=shown, lines=lines(rows, results)), encoding="utf-8")
    return path
