"""A stub kernel in the place of the running one: a run conforms, conforms with known defects, doesn't conform.

That each fault and each erratum is told is shown in test_deviations, without a run for each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.deviations import name_of
from helpers.stubs import AND, FAITHFUL
from helpers.tests.replays import ASKED, on_stub

ROOT = Path(__file__).parents[2]


PUNCHED = "punched"


def run_suite(stub: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of the suite on a stub. A thread for each test that looks at the clock takes longer than the test."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--tb=short", "--timeout=0", *on_stub(stub)]
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )


def verdict_of(done: subprocess.CompletedProcess[str]) -> str:
    """What a run says of its kernel."""
    return done.stdout.splitlines()[-1].removeprefix("pagemap-scan: ").partition(";")[0]


@pytest.mark.long
@pytest.mark.timeout(300)
# That with soft-dirty bits is where the programs of test_deviations are recorded.
@pytest.mark.parametrize("stub", sorted({*FAITHFUL} - {"faithful-soft-dirty"}))
def test_the_suite_passes_on_a_faithful_stub(stub: str) -> None:
    others = "" if stub == "faithful" else " and not mask_combination"
    done = run_suite(stub, "-k", f"not small_scope{others}")
    assert (done.returncode, verdict_of(done)) == (0, "conforms"), done.stdout[-2000:]


def test_a_run_on_a_stub_with_a_fault_does_not_conform() -> None:
    done = run_suite("without-file", "-k", PUNCHED)
    assert (done.returncode, verdict_of(done)) == (1, "does not conform"), done.stdout[-2000:]
    assert "KernelDiffers" in done.stdout and "struct pm_scan_arg:" in done.stdout


def test_a_run_on_a_stub_with_an_erratum_conforms_with_known_defects() -> None:
    done = run_suite("hole-punch-stays-protected", "-k", PUNCHED)
    assert (done.returncode, verdict_of(done)) == (0, "conforms with known defects"), done.stdout[-2000:]
    expected = [line for line in done.stdout.splitlines() if line.startswith("XFAIL")]
    assert expected and all("hole-punch-stays-protected: " in line for line in expected)


def test_a_known_defect_fails_where_nothing_is_to_be_known() -> None:
    done = run_suite("hole-punch-stays-protected", "--no-errata", "-k", PUNCHED)
    assert (done.returncode, verdict_of(done)) == (1, "does not conform"), done.stdout[-2000:]


def test_a_fault_fails_in_tests_that_a_known_defect_meets() -> None:
    done = run_suite("hole-punch-stays-protected+without-file", "-k", PUNCHED)
    assert (done.returncode, verdict_of(done)) == (1, "does not conform"), done.stdout[-2000:]
    assert "hole-punch-stays-protected" in done.stdout


def test_a_stub_with_all_errata_conforms_with_known_defects() -> None:
    stub = AND.join(name_of(erratum) for erratum in ASKED)
    which = "not small_scope and not random"
    done = run_suite(stub, "suites/test_truncation.py", "suites/test_errata.py", "-k", which)
    assert (done.returncode, verdict_of(done)) == (0, "conforms with known defects"), done.stdout[-2000:]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--stub=nonsense"], "there is no stub 'nonsense'"),
        (["--stub=without-file+nonsense"], "there is no stub 'nonsense'"),
        (["--stub=without-file+without-file"], "can't have the same twice"),
        (["--stub=faithful", "--stub-pages=4096"], "there is no stub with pages of '4096'"),
    ],
)
def test_a_stub_that_there_is_not_is_refused_in_a_sentence(options: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", *options], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    said = (done.stdout + done.stderr).strip()
    assert said.startswith("ERROR: ") and says in said and len(said.splitlines()) == 1
