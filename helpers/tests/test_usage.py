"""What a person may write after pytest or make: it does what it says, or is refused in a sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tests.replays import on_stub

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "pytest", "-q", "-n", "0", *on_stub("pagemap-file-on-huge-zero")]
TEST = "suites/test_witness.py::test_the_scan_says_what_pagemap_says[thp-zero-protected]"


def run(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=60, **{"cwd": ROOT, **options})


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--lf", "--last-failed: what failed in the last run isn't kept"),
        ("--ff", "--failed-first: what failed in the last run isn't kept"),
        ("--cache-show", "--cache-show: what failed in the last run isn't kept"),
        ("--sw", "--stepwise: what failed in the last run isn't kept"),
        ("--stub=no-such", "there is no stub 'no-such'; there are faithful, "),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(option: str, says: str) -> None:
    done = run(option, TEST)
    assert (done.returncode, done.stdout.strip()) == (4, "")
    assert done.stderr.startswith(f"ERROR: {says}") and "Traceback" not in done.stderr


def test_reruns_are_refused(tmp_path: Path) -> None:
    """Of the plugin that many have installed, the option."""
    plugin = tmp_path / "rerunning.py"
    plugin.write_text("def pytest_addoption(parser): parser.addoption('--reruns', type=int)\n")
    done = run("-p", "rerunning", "--reruns=2", TEST, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 4 and done.stderr.startswith("ERROR: --reruns: a test that fails and then doesn't has ")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        (["-k", "scan and"], "Wrong expression passed to '-k': scan and: at column 9: "),
        (["-m", "no_such"], "Unknown marker(s) in '-m' expression: no_such."),
        (["suites/no_such.py"], "file or directory not found: suites/no_such.py"),
        ([f"{TEST[:-1]}-or-not]"], f"not found: {ROOT}/{TEST.partition('[')[0]}"),
    ],
    ids=["keyword", "marker", "file", "test"],
)
def test_tests_that_there_are_not_are_a_fault_of_the_command_line(workers: int, chosen: list[str], says: str) -> None:
    """pytest-xdist's workers, who alone collect them, keep to themselves what they refuse."""
    test = [TEST] * (chosen[0].startswith("-"))
    done = run("-n", str(workers), *chosen, *test)
    assert done.returncode == 4 and done.stderr.startswith(f"ERROR: {says}"), done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("pagemap-scan: not tested; ")


@pytest.mark.parametrize(
    "how", ["relative", "absolute", "link", "from-elsewhere", "link-from-elsewhere", "module", "in-suites"]
)
def test_tests_have_one_name_and_one_outcome_however_they_are_named(tmp_path: Path, how: str) -> None:
    link, report = tmp_path / "link", tmp_path / "report.xml"
    link.symlink_to(ROOT)
    named, where = {
        "relative": ([TEST], ROOT),
        "absolute": ([f"{ROOT}/{TEST}"], ROOT),
        "link": ([f"{link}/{TEST}"], ROOT),
        "from-elsewhere": ([f"{ROOT}/{TEST}"], tmp_path),
        "link-from-elsewhere": ([f"{link}/{TEST}"], tmp_path),
        "module": (["--pyargs", TEST.replace("/", ".").replace(".py::", "::")], ROOT),
        "in-suites": ([TEST.removeprefix("suites/")], ROOT / "suites"),
    }[how]
    done = run(*named, f"--junit-xml={report}", cwd=where, env={**os.environ, "PYTHONSAFEPATH": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 passed, 0 failed, 1 xfailed" in done.stdout.splitlines()[-1]
    assert 'classname="suites.test_witness"' in report.read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile, and modules that take the place of pip, pytest and the build."""
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to("/no/python")
    (checkout / ".venv/ready").touch()
    done = subprocess.run(["make", "-n", "setup"], cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "-m venv --clear .venv" in done.stdout, done.stdout + done.stderr


def test_an_environment_that_works_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (checkout / ".venv/bin/python").chmod(0o755)
    (checkout / ".venv/ready").touch()
    os.utime(checkout / "requirements.txt", (0, 0))
    done = subprocess.run(["make", "-n", "setup"], cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "venv --clear" not in done.stdout, done.stdout + done.stderr


def test_a_python_that_is_too_old_is_refused_in_a_sentence(checkout: Path) -> None:
    old = checkout / "python"
    old.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c "import sys; sys.version_info = (3, 9, 2); $2"\n'
    )
    old.chmod(0o755)
    done = subprocess.run(["make", "setup", f"PYTHON={old}"], cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode and "this Python is 3.9: 3.11 or later is needed, named as PYTHON=" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_runs_the_suite_whatever_python_is_told_of_paths() -> None:
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if not (ROOT / ".venv/ready").exists():
        pytest.skip("the checkout has no environment of make's: run make setup")
    done = subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr


def test_each_worker_begins_with_what_finds_most() -> None:
    """And a run inside a test of another run, which has workers, has its own."""
    chosen = ("suites/test_programs.py", "suites/test_witness.py", "-k", "one_operation and anon or pagemap_says")
    command = [sys.executable, "-m", "pytest", "-v", "-n", "2", "--stub=faithful", *chosen]
    variables = {**os.environ, "PYTEST_XDIST_WORKER_COUNT": "7"}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=100)
    ran = [line for line in done.stdout.splitlines() if line.startswith("[gw")]
    for worker in "[gw0]", "[gw1]":
        assert "one_operation" in next(line for line in ran if line.startswith(worker))
    assert "one_operation" not in ran[-1]
