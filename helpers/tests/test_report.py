"""Logs of runs, and what is made of them."""

import json
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from helpers.deviations import NOT_FIXED, name_of
from helpers.report import findings, page
from helpers.report.comparison import told
from helpers.report.ktap import ktap
from helpers.report.log import Log, NotALog, read
from helpers.report.outcomes import Details, Outcome, outcome_in, worst
from helpers.subject import Subject
from helpers.tests import ktap as strict
from helpers.tests.pages import shown_on
from suites.errata import ERRATA

ROOT = Path(__file__).parents[2]
SAID = {"verdict": "conforms", "status": 0, "line": "", "sentences": []}

BEGUN = {"$report_type": "Subject", "schema": 1, **asdict(Subject("<script>", "", "", "", {}))}


def of(*tests: tuple[str, str], verdict: dict | None = SAID, errata: dict[str, str] | None = None, **further) -> Log:
    """A log of tests with these outcomes."""
    met = {test: (erratum,) for test, erratum in (errata or {}).items()}
    reason = further.get("reason", "")
    outcomes = tuple(Outcome(test, outcome, reason, ("written",), met.get(test, ())) for test, outcome in tests)
    return Log(Path("a log"), {"kernel": further.get("kernel", "7.0 x86_64")}, outcomes, verdict)


def whole(text: str) -> str:
    """Without the line that says that it isn't."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("# partial: "))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def properties_in(xml: Path) -> dict[str, list[tuple[str, str]]]:
    """Of each test, as JUnit has them."""
    cases = ElementTree.parse(xml).getroot().iter("testcase")
    return {case.get("name"): [(one.get("name"), one.get("value")) for one in case.iter("property")] for case in cases}


def suite(stub: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    which = ["suites/test_witness.py", "suites/test_errors.py", "-k", "file-unpopulated or end_is_rounded or maps"]
    return run("-m", "pytest", "-q", "-n", "2", f"--stub={stub}", "--failures=/dev/null/no", *which, *arguments)


def test_a_log_says_what_the_run_said(tmp_path: Path) -> None:
    log, said = tmp_path / "log.jsonl", tmp_path / "said.ktap"
    xml, xml_again = tmp_path / "said.xml", tmp_path / "again.xml"
    done = suite("without-marker", f"--report-log={log}", f"--ktap={said}", f"--junit-xml={xml}")
    found = read(log)
    assert found.verdict and found.verdict["line"].rpartition(";")[0] in done.stdout
    assert found.kernel == "stub without-marker" and found.verdict["status"] != 0
    assert {one.outcome for one in found.outcomes} == {"passed", "failed", "skipped"}
    assert all(one.clauses for one in found.outcomes)
    again = run("-m", "helpers.report", str(log), "--ktap=-", f"--junit={xml_again}")
    assert (
        properties_in(xml)
        == properties_in(xml_again)
        == {
            one.nodeid.partition("::")[2]: [
                *(("clause", told) for told in one.clauses),
                *(("kind", k) for k in one.kinds),
            ]
            for one in found.outcomes
        }
    )
    assert any(one.kinds for one in found.outcomes)
    told = ElementTree.parse(xml_again).getroot().find("testsuite")
    assert float(told.get("time")) == pytest.approx(found.verdict["seconds"], abs=0.001)
    begun = datetime.fromisoformat(told.get("timestamp")).timestamp()
    assert begun == pytest.approx(min(entry["start"] for entry in found.reports), abs=0.001)
    assert sorted(again.stdout.splitlines()) == sorted(said.read_text().splitlines())
    assert again.stderr.splitlines()[-1] == found.verdict["line"]
    assert {*strict.read(whole(again.stdout)).outcomes.values()} == {"pass", "fail", "skip"}


def test_a_log_has_the_verdict_of_a_run_that_failed_itself(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    done = suite("faithful", f"--report-log={log}", "--junit-xml=/proc/no")
    found = read(log)
    assert found.verdict and (found.verdict["verdict"], found.verdict["status"]) == ("not told", done.returncode)
    assert "/proc/no can't be written" in found.partial


def test_ktap_on_standard_output_has_nothing_beside_it() -> None:
    done = suite("faithful", "--ktap=-")
    assert {*strict.read(done.stdout).outcomes.values()} == {"pass", "skip"}
    assert done.stderr.splitlines()[-1].startswith("pagemap-scan: conforms; ")


def test_ktap_of_every_outcome_is_read_by_the_kernels_own_parser(tmp_path: Path) -> None:
    names = ("passed", "failed", "xfailed", "skipped", "untold")
    tests = [(f"suites/test_{file}.py::test_{file}[{name}-#1 ok 2]", name) for file in "ab" for name in names]
    text = ktap(of(*tests, reason="not ok 1 # SKIP\nok 2 because").outcomes, "a disk was full\nok 5 x")
    (tmp_path / "said").write_text(text)
    words = {"pass", "fail", "xfail", "skip"}
    assert {*strict.read(whole(text)).outcomes.values()} == words
    parsed = strict.kunit(tmp_path / "said")
    assert "[ERROR]" not in parsed
    assert "Ran 10 tests: passed: 4, failed: 4, skipped: 2" in parsed


@pytest.mark.parametrize(
    ("before", "after", "words", "status"),
    [
        ([("a", "passed")], [("a", "passed")], "no regression", 0),
        ([("a", "passed")], [("a", "failed")], "regression: newly failing: 1\n  a", 1),
        ([("a", "skipped")], [("a", "failed")], "regression: newly failing: 1\n  a", 1),
        ([("a", "xfailed")], [("a", "failed")], "regression: newly failing: 1\n  a", 1),
        ([("a", "failed")], [("a", "failed")], "no regression", 0),
        ([("a", "failed")], [("a", "passed")], "newly passing: 1\n  a", 0),
        ([("a", "passed")], [("a", "skipped")], "regression: newly skipped: 1\n  a", 1),
        ([("a", "skipped")], [("a", "passed")], "newly asked: 1\n  a", 0),
        ([("a", "passed")], [("a", "untold")], "regression: couldn't be told any more: 1\n  a", 1),
        ([("a", "passed"), ("b", "passed")], [("a", "passed")], "not in this run any more: 1\n  b", 1),
        ([("a", "passed")], [("a", "passed"), ("b", "failed")], "failing, and not in the other run: 1\n  b", 1),
        ([("a", "passed")], [("a", "passed"), ("b", "passed")], "new: 1\n  b", 0),
        ([], [("a", "passed")], "not told", None),
    ],
)
def test_what_changed_is_told_by_kind(before, after, words: str, status: int | None) -> None:
    text, has_regression = told(of(*before), of(*after))
    assert words in text
    assert has_regression == (None if status is None else bool(status))


def test_known_defects_come_and_go() -> None:
    old, new = (of(("a", "xfailed"), errata={"a": f"{name}: a sentence (not fixed)"}) for name in ("one", "other"))
    text, has_regression = told(old, new)
    assert "regression: known defects that have come: 1\n  other" in text and has_regression
    assert "known defects that are gone: 1\n  one" in text


def test_a_run_that_was_ended_is_no_ground_to_say_that_all_is_well(tmp_path: Path) -> None:
    text, has_regression = told(of(("a", "passed")), of(("a", "passed"), verdict=None))
    assert "a log is partial: the run was ended before it had a verdict" in text and has_regression is None
    log = tmp_path / "log"
    log.write_text(json.dumps(BEGUN) + '\n{"$report_type": "TestRep')
    assert read(log).partial and "# partial: " in run("-m", "helpers.report", str(log), "--ktap=-").stdout


def test_what_a_killed_run_said_is_made_into_reports_that_say_they_are_partial(tmp_path: Path) -> None:
    whole_log, log, page, xml = (tmp_path / name for name in ("whole.jsonl", "cut.jsonl", "cut.html", "cut.xml"))
    suite("without-marker", f"--report-log={whole_log}", f"--failures={tmp_path}")
    data = whole_log.read_bytes()
    log.write_bytes(data[: data.rindex(b'"TestReport"')])
    done = run("-m", "helpers.report", str(log), f"--html={page}", f"--junit={xml}", "--ktap=-")
    why = "the run was ended before it had a verdict"
    assert done.returncode == 0 and f"# partial: {why}" in done.stdout and f"pagemap-scan: {why}" in done.stderr
    told_by_junit = ElementTree.parse(xml).getroot().find("testsuite")
    properties = {one.get("name"): one.get("value") for one in told_by_junit.find("properties")}
    assert properties == {"kernel": "stub without-marker", "partial": why}
    shown = shown_on(page)
    assert why in page.read_text() and len(shown) == len(told_by_junit.findall("testcase"))
    assert {outcome for outcome, _ in shown.values()} == {"passed", "failed", "skipped"}
    [failed, *_] = [said for outcome, said in shown.values() if outcome == "failed"]
    assert "the first difference is page" in failed and "KernelDiffers" in failed


@pytest.mark.parametrize("text", ["", "no log\n", '{"$report_type": "Subject", "schema": 2}\n', "[]\n"])
def test_what_is_no_log_is_said_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(NotALog):
        read(tmp_path / "log")
    for wrong in (tmp_path / "log", tmp_path / "none"):
        done = run("-m", "helpers.report", "compare", str(wrong), str(wrong))
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_the_worst_of_its_phases_is_what_came_of_a_test() -> None:
    phases = [("setup", "passed"), ("call", "passed"), ("teardown", "failed")]
    found = [
        outcome_in({"nodeid": "a", "when": when, "outcome": outcome, "longrepr": {"reprcrash": {"message": "x\ny"}}})
        for when, outcome in phases
    ]
    assert [(one.outcome, one.reason) for one in worst(one for one in found if one)] == [("failed", "x")]


def test_where_all_fails_a_page_says_the_reason_of_those_for_which_it_has_no_room() -> None:
    details = Details("x" * (page.ROOM // 2), None, {"name": "a.c", "text": "y" * 100})
    failed = [Outcome(name, "failed", "it differs", (), details=details) for name in "abc"]
    shown = page.shown([Outcome("d", "passed", "", ()), *failed])
    assert [(outcome.nodeid, has_room) for outcome, has_room in shown] == [
        *(("a", True), ("b", False), ("c", False), ("d", False))
    ]
    assert [(one.name, one.outcome) for one in page.clauses_of(failed) if one.counts] == [(page.NO_CLAUSE, "failed")]


@pytest.mark.long
@pytest.mark.parametrize("erratum", [one for one in ERRATA if one.fixed == NOT_FIXED and one.has_probe()], ids=name_of)
def test_every_defect_that_nobody_has_mended_is_ready_to_be_mailed(erratum, tmp_path: Path) -> None:
    name = name_of(erratum)
    logs = [of(("a", "xfailed"), errata={"a": f"{name}: it (not fixed)"}, kernel="7.9 <script>"), of(("a", "passed"))]
    [directory] = findings.write([logs[0]], ERRATA, tmp_path)
    told_of = (directory / "report.txt").read_text()
    assert "7.9 <script>: seen" in told_of and erratum.evidence.split()[0] in told_of
    assert max(map(len, told_of.splitlines())) <= 200
    strictly = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run(["cc", *strictly, "-o", tmp_path / "shows", directory / f"{name}.c"], check=True, timeout=100)
    assert not list(findings.findings([logs[1]], ERRATA))
