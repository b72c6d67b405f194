"""What a run can't write is said in a sentence, and is no success; the verdict stays what it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.plugins.output import Voice
from helpers.plugins.verdict import NOT_TOLD
from helpers.tests.pages import shown_on
from helpers.tests.replays import on_stub

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "pytest", "-q", "-n", "0"]
KEEPS = [*on_stub("faithful"), "suites/test_witness.py", "-k", "anon-protected"]
DIFFERS = [*on_stub("without-marker"), "suites/test_witness.py", "-k", "file-unpopulated"]


def run(which: list[str], redirection: str = "") -> "subprocess.CompletedProcess[str]":
    """A run in a shell that redirects what it says."""
    command = ["sh", "-c", f'"$@" {redirection}', "sh", *RUN, *which, "--failures=/dev/null/failures"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("which", "status"), [(KEEPS, NOT_TOLD), (DIFFERS, 1)], ids=["keeps", "differs"])
@pytest.mark.parametrize(
    ("redirection", "why"),
    [(">/dev/full", "No space left on device"), (">&-", "it is closed")],
    ids=["full", "closed"],
)
def test_standard_output_that_takes_nothing_is_said_on_the_other(
    which: list[str], status: int, redirection: str, why: str
) -> None:
    done = run(which, redirection)
    verdict = "does not conform" if status == 1 else "not told"
    *_, before, last = done.stderr.splitlines()
    assert (done.returncode, before) == (status, f"pagemap-scan: standard output can't be written: {why}")
    assert last.startswith(f"pagemap-scan: {verdict}; ") and "Traceback" not in done.stderr


def test_a_run_without_any_output_has_its_status() -> None:
    assert run(KEEPS, ">&- 2>&-").returncode == NOT_TOLD


@pytest.mark.parametrize(("which", "status"), [(KEEPS, NOT_TOLD), (DIFFERS, 1)], ids=["keeps", "differs"])
def test_reports_that_cannot_be_written_are_said_at_once_and_at_the_end(
    tmp_path: Path, which: list[str], status: int
) -> None:
    page = tmp_path / "report.html"
    done = run([*which, "--junit-xml=/proc/no/report.xml", f"--html={page}"])
    says = "pagemap-scan: /proc/no/report.xml can't be written: No such file or directory"
    assert done.returncode == status and done.stderr.splitlines()[0] == says and says in done.stdout.splitlines()
    assert page.exists() and "Traceback" not in done.stdout + done.stderr


def test_one_report_that_cannot_be_written_does_not_keep_the_other(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = run([*KEEPS, "--junit-xml=/dev/full", f"--html={page}"])
    assert done.returncode == NOT_TOLD and "pagemap-scan: /dev/full can't be written: No space left" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr and next(iter(shown_on(page).values()))[0] == "passed"


def test_a_voice_is_lost_once_and_for_all(capfd: pytest.CaptureFixture[str]) -> None:
    class Stream:
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    voice = Voice(Stream())
    assert voice.write("word") == 4 and voice.lost == "Broken pipe" and voice.write("word") == 4
    assert not Voice(None).isatty() and Voice(None).lost
