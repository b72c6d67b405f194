"""The suite is tested: on a faithful stub kernel it passes, on every broken one it fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.stubs import FAITHFUL, STUBS

ROOT = Path(__file__).parents[2]
#: The quickest first: the run ends at the first failure.
FILES = [
    f"suites/test_{topic}.py"
    for topic in (
        *("soft_dirty", "read_write_protection", "errors", "witness", "write_protect", "truncation"),
        *("categories", "masks"),
    )
]
BROKEN = sorted(set(STUBS) - set(FAITHFUL))


def run_suite(stub: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "--tb=short",
        "-n",
        "0",
        "--stub",
        stub,
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_there_are_thirty_or_more_broken_stubs() -> None:
    assert len(BROKEN) >= 30


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stub", FAITHFUL)
def test_the_suite_passes_on_a_faithful_stub(stub: str) -> None:
    which = "not small_scope" if stub == "faithful" else "not small_scope and not mask_combination"
    done = run_suite(stub, "-k", which)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "pagemap-scan: conforms;" in done.stdout.splitlines()[-1]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stub", BROKEN)
def test_the_suite_fails_on_a_broken_stub(stub: str) -> None:
    done = run_suite(stub, "-k", "not small_scope", *FILES)
    assert done.returncode == 1, done.stdout[-2000:]
    assert "does not conform" in done.stdout.splitlines()[-1]
    assert "KernelDiffers" in done.stdout
    assert "struct pm_scan_arg:" in done.stdout or "expected:" in done.stdout
