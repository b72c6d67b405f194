"""Many kernels: what each is worth in the status of all, and what the page says of their clauses."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from helpers.plugins.verdict import ERRATUM, UNTOLD
from vm import NotTold
from vm.guest.boot import Ending
from vm.guest.console import Trouble
from vm.kernels.table import Row
from vm.results import comparison, verdict
from vm.results.comparison import changes, clause_lines, column_of, errata_lines
from vm.results.judgement import render
from vm.results.verdict import CONFORMS, DOES_NOT, INTERRUPTED, NOT_ASKED, Verdict, directory_of
from vm.runs.matrix import last_words, log_of, outcome, own_verdict
from vm.tests import handwritten
from vm.tests.handwritten import FILE, KERNEL, reports_of

ROW = Row("6.99", "deb:6.99", "is a test")
LACKING = Row("6.98", "deb:6.98", "lacks what is asked", tested=False)


def told(status: int, is_answer: bool = False) -> Verdict:
    return Verdict(status, "not tested: no PAGEMAP_SCAN", "6.99", "deb", is_answer=is_answer)


@pytest.mark.parametrize(
    ("row", "status", "found", "expected"),
    [
        (ROW, CONFORMS, told(CONFORMS), CONFORMS),
        (ROW, DOES_NOT, told(DOES_NOT), DOES_NOT),
        (ROW, NOT_ASKED, told(NOT_ASKED), NOT_ASKED),
        (ROW, NOT_ASKED, told(NOT_ASKED, is_answer=True), NOT_ASKED),
        (ROW, INTERRUPTED, None, NOT_ASKED),
        (ROW, 137, None, NOT_ASKED),
        (LACKING, NOT_ASKED, told(NOT_ASKED, is_answer=True), CONFORMS),
        (LACKING, NOT_ASKED, told(NOT_ASKED), NOT_ASKED),
        (LACKING, NOT_ASKED, None, NOT_ASKED),
        (LACKING, 137, None, NOT_ASKED),
        (LACKING, CONFORMS, told(CONFORMS), DOES_NOT),
        (LACKING, DOES_NOT, told(DOES_NOT), DOES_NOT),
    ],
)
def test_a_row_counts_by_what_its_kernel_said(row: Row, status: int, found: Verdict | None, expected: int) -> None:
    """A download that failed isn't the answer of a kernel that lacks what is asked."""
    assert outcome(row, status, found) == expected


def test_what_another_run_left_is_not_a_rows_own(tmp_path: Path) -> None:
    shared = directory_of(ROW, tmp_path)
    shared.directory.mkdir()
    verdict.keep(shared, told(NOT_ASKED, is_answer=True))
    assert last_words(ROW, tmp_path) == ""
    for said, is_own in (("not tested: no PAGEMAP_SCAN", True), ("not tested: it is another run's", False)):
        log_of(ROW, tmp_path).write_text(f"booting\npagemap-scan: {said}\nreports and logs: there\n")
        assert last_words(ROW, tmp_path) == f"pagemap-scan: {said}"
        assert bool(own_verdict(ROW, tmp_path, last_words(ROW, tmp_path))) == is_own


@pytest.mark.parametrize("content", ["", "{}", "[]", json.dumps(asdict(told(0)))[:20], '{"line": 1, "else": 2}'])
def test_a_verdict_that_is_not_whole_is_none(tmp_path: Path, content: str) -> None:
    shared = directory_of(ROW, tmp_path)
    shared.directory.mkdir()
    shared.verdict.write_text(content)
    assert verdict.verdict_of(ROW, tmp_path) is None


def test_a_test_that_was_lost_with_its_guest_is_in_the_cell(tmp_path: Path) -> None:
    """One passed, one was running when the kernel panicked, one was not reached."""
    console = [f"> start 7 {FILE}::two"]
    shared = directory_of(ROW, tmp_path)
    handwritten.write(shared.directory, ["one", "two", "three"], reports_of("one"), console, finished=False)
    render(KERNEL, Ending(True, Trouble("the kernel panicked")), shared, begun=0.0)
    assert {clause: (cell.outcome, cell.counts) for clause, cell in column_of(ROW, tmp_path).clauses.items()} == {
        "a-clause": ("failed", "1 failed, 1 passed, 1 skipped")
    }


def test_what_changed_from_one_kernel_to_the_next_is_said_first(tmp_path: Path) -> None:
    """One that keeps a clause, one that wasn't asked, one that breaks it by a defect that is known."""
    rows = [Row(name, f"deb:{name}", "is a test") for name in ("6.97", "6.98", "6.99")]
    known = reports_of("one", "xfailed")
    known[1]["user_properties"].append([ERRATUM, "a-defect: a sentence (not fixed)"])
    for row, reports in ((rows[0], reports_of("one")), (rows[2], known)):
        shared = directory_of(row, tmp_path)
        handwritten.write(shared.directory, ["one"], reports, [], status=0)
        render(KERNEL, Ending(True), shared, begun=0.0)
    columns = [column_of(row, tmp_path) for row in rows]
    clauses, errata = clause_lines(columns), errata_lines(columns)
    [change] = changes(columns, clauses, errata)
    assert (change.before, change.after) == (rows[0], rows[2])
    assert [(name, old.word, new.word) for name, old, new in change.clauses] == [("a-clause", "kept", "known defect")]
    assert [(name, old.word, new.word) for name, old, new in change.errata] == [("a-defect", "not met", "met")]
    assert [cell and cell.word for cell in errata[0].cells] == ["not met", None, "met"]
    page = comparison.write(tmp_path, rows).read_text()
    assert page.index("a-defect</a> has come") < page.index("<h2>Errata</h2>")


def test_a_test_that_failed_by_no_fault_of_the_kernels_is_not_told(tmp_path: Path) -> None:
    reports = reports_of("one", "failed")
    reports[1]["user_properties"].append([UNTOLD, "OSError: full"])
    shared = directory_of(ROW, tmp_path)
    handwritten.write(shared.directory, ["one"], reports, [], status=3)
    with pytest.raises(NotTold):
        render(KERNEL, Ending(True), shared, begun=0.0)
    assert [cell.outcome for cell in column_of(ROW, tmp_path).clauses.values()] == ["untold"]
    assert 'class="untold"' in comparison.write(tmp_path, [ROW]).read_text()
