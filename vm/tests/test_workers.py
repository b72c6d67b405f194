"""Workers that are forked: every test runs once, whatever becomes of a worker, and the reports are those of pytest."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from helpers.plugins.crashes import HANGS
from helpers.report.outcomes import CRASHED
from vm import CHECKOUT
from vm.inside.invocation import ENVIRONMENT, pytest_command
from vm.results.left_behind import is_untold

TESTS = """
import os, pathlib, signal, time
import pytest

@pytest.fixture(scope="module")
def made():
    with pathlib.Path("made").open("a") as file:
        file.write("made\\n")

def together(name):
    '''Waits for the other worker's test.'''
    pathlib.Path(name).touch()
    while len(list(pathlib.Path().glob("here-*"))) < 2:
        time.sleep(0.001)

@pytest.mark.parametrize("number", range(2))
def test_together(number, made):
    print("said by", number)
    together(f"here-{number}")
    assert 0, os.getpid()

@pytest.mark.parametrize("number", range(20))
def test_many(number, made, record_property):
    record_property("number", number)
"""
DYING = """
@pytest.mark.parametrize("number", range(2))
def test_dies(number, request):
    {how}

@pytest.mark.parametrize("number", range(20))
def test_after(number):
    pass
"""


#: What a worker does whose test is past its limit in a call that doesn't return (helpers/plugins/limits.py).
HANGING = (
    "from helpers.plugins.crashes import HANGS, LAST_WORDS; "
    "request.config.stash[LAST_WORDS].write_text(HANGS); os._exit(70)"
)


def reports_of(directory: Path, tests: str, *arguments: str, status: int) -> list[dict[str, Any]]:
    """Runs tests with two workers; returns what pytest-reportlog wrote, but for the phases that pass."""
    (directory / "test_it.py").write_text(tests)
    log = directory / "log"
    done = subprocess.run(
        pytest_command("-n2", f"--report-log={log}", "-c/dev/null", f"--rootdir={directory}", *arguments, "test_it.py"),
        cwd=directory,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, done.stdout + done.stderr
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    reports = [entry for entry in entries if entry["$report_type"] == "TestReport"]
    return [report for report in reports if report["when"] in ("call", CRASHED)]


def test_each_test_runs_once_and_two_at_a_time(tmp_path: Path) -> None:
    """What tests of a module share is made once in each worker, and what one prints is in its own report."""
    reports = reports_of(tmp_path, TESTS, status=1)
    assert Counter(report["outcome"] for report in reports) == {"failed": 2, "passed": 20}
    assert len({report["nodeid"] for report in reports}) == 22
    assert sorted(value for report in reports for _, value in report["user_properties"]) == list(range(20))
    said = [dict(report["sections"]).get("Captured stdout call") for report in reports if report["outcome"] == "failed"]
    assert sorted(said) == ["said by 0\n", "said by 1\n"]
    processes = {report["longrepr"]["reprcrash"]["message"] for report in reports if report["outcome"] == "failed"}
    assert len(processes) == 2
    assert (tmp_path / "made").read_text() == "made\n" * 2


@pytest.mark.parametrize(
    ("how", "why", "arguments"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "its worker died of SIGKILL", ()),
        ("os._exit(0)", "its worker ended with status 0", ()),
        ("time.sleep(100)", "its worker ended with status 1", ("-otimeout=1", "-otimeout_method=thread")),
        (HANGING, HANGS, ()),
    ],
    ids=["killed", "exits", "too-long", "hangs"],
)
def test_a_worker_that_dies_is_a_report_and_no_other_test_is_lost(
    tmp_path: Path, how: str, why: str, arguments: tuple[str, ...]
) -> None:
    """Only where the kernel doesn't come back it is the kernel's fault."""
    tests = TESTS.replace("assert 0, os.getpid()", "") + DYING.format(how=how)
    reports = reports_of(tmp_path, tests, *arguments, status=1)
    failed = sorted(
        (report["nodeid"], report["when"], report["longrepr"]) for report in reports if report["outcome"] == "failed"
    )
    dead = [f"test_it.py::test_dies[{number}]" for number in range(2)]
    assert [(test, when) for test, when, _ in failed] == [(test, CRASHED) for test in dead]
    assert all(said.startswith(f"{test}: {why}") for test, _, said in failed)
    assert all(is_untold(report) == (how != HANGING) for report in reports if report["outcome"] == "failed")
    assert len({report["nodeid"] for report in reports}) == len(reports) == 44


def test_a_run_ends_at_the_first_failure_when_it_is_to(tmp_path: Path) -> None:
    reports = reports_of(tmp_path, TESTS, "-x", status=1)
    assert [report["outcome"] for report in reports].count("failed") == 1
    assert len(reports) < 22


def test_without_workers_pytest_runs_the_tests_itself(tmp_path: Path) -> None:
    reports = reports_of(tmp_path, TESTS, "-n0", "-k", "many", status=0)
    assert len(reports) == 20


def test_tests_that_are_only_to_be_collected_are_not_run(tmp_path: Path) -> None:
    assert reports_of(tmp_path, TESTS, "--collect-only", status=0) == []
    assert not (tmp_path / "made").exists()
