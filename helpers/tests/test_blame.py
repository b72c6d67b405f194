"""Whose fault a failure is: the verdict is about the kernel, and about nothing else."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FunctionType
from xml.etree import ElementTree

import pytest

from helpers.plugins.crashes import why_it_died
from helpers.plugins.limits import Call, TookTooLong, with_lines
from helpers.plugins.verdict import NOT_TOLD, REASONS, UNTOLD, Tally
from helpers.tests.pages import shown_on
from helpers.tests.replays import on_stub

ROOT = Path(__file__).parents[2]
ASKED = "suites/test_witness.py::test_the_scan_says_what_pagemap_says[anon-protected]"
#: Tests that fail, each in its own way, and how their worker or process ends.
FAILING = """
import os, signal, time
import pytest
from helpers.interface.native import SuiteError
from helpers.lab import KernelDiffers
from helpers.plugins import limits

def test_differs(): raise KernelDiffers("the kernel differs")
def test_asserts(): assert 1 == 2
def test_full_disk(): raise OSError(28, "No space left on device")
def test_suite(): raise SuiteError("mmap: ENOMEM: Cannot allocate memory")
def test_memory(): raise MemoryError
def test_helper():
    from helpers.probing import presence
    presence(None, (), None, None)
def test_slow(): time.sleep(60)
def test_stuck():
    limits.GRACE = 1.0
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    while True: pass
def test_hangs():
    limits.Call.does_not_return = lambda self: True
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    while True: pass
def test_dies_of_sigbus(): os.kill(os.getpid(), signal.SIGBUS)
def test_dies_of_sigkill(): os.kill(os.getpid(), signal.SIGKILL)
def test_dies_of_sigsegv(): os.kill(os.getpid(), signal.SIGSEGV)
def test_ends(): os._exit(1)
@pytest.fixture
def broken(): raise OSError(12, "Cannot allocate memory")
def test_fixture(broken): pass
@pytest.fixture(autouse=True)
def named(request): request.node.user_properties.append(("clause", "atomic"))
@pytest.fixture
def differing(): raise KernelDiffers("the kernel differs")
def test_differing_fixture(differing): pass
"""


def run(directory: Path, which: str, workers: int = 0, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A run that asks a stub, and fails beside that in some way."""
    failing = directory / "test_failing.py"
    failing.write_text(FAILING)
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), *on_stub("faithful"), "-o", "timeout=2"]
    reports = [
        f"--html={directory / 'report.html'}",
        "--self-contained-html",
        f"--junit-xml={directory / 'report.xml'}",
    ]
    selection = [ASKED, str(failing), "-k", f"pagemap or {which}"]
    done = subprocess.run(
        [*command, *reports, *selection, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "INTERNALERROR" not in done.stdout and "(most recent call last)" not in done.stderr
    return done


def counts(directory: Path) -> tuple[int, int]:
    """How many tests failed, and how many are errors, as JUnit has it; the page shows as many."""
    suite = ElementTree.parse(directory / "report.xml").getroot().find("testsuite")
    found = [int(suite.get(name)) for name in ("failures", "errors")]
    shown = [outcome for outcome, _ in shown_on(directory / "report.html").values()]
    assert sum(shown.count(outcome) for outcome in ("failed", "untold")) == sum(found)
    return tuple(found)


def test_a_test_whose_worker_died_keeps_what_it_said_of_itself(tmp_path: Path) -> None:
    run(tmp_path, "test_ends", 2)
    cases = ElementTree.parse(tmp_path / "report.xml").iter("testcase")
    (died,) = (case for case in cases if case.get("name") == "test_ends")
    assert ("clause", "atomic") in [(one.get("name"), one.get("value")) for one in died.iter("property")]
    assert died.find("error") is not None


#: What is no fault of the kernel's, and the reason that is said.
UNTOLD_ONES = {
    "test_full_disk": "OSError: [Errno 28] No space left on device",
    "test_suite": "SuiteError: mmap: ENOMEM: Cannot allocate memory",
    "test_memory": "MemoryError",
    "test_helper": "AttributeError: ",
    "test_slow": "TookTooLong: the test took longer than 2 s",
    "test_fixture": "OSError: [Errno 12] Cannot allocate memory",
}
DEATHS = {
    "test_stuck": "the test didn't end 1 s after its 2 s were over",
    "test_dies_of_sigbus": "its worker died of SIGBUS: memory that it had been given wasn't there",
    "test_dies_of_sigkill": "its worker died of SIGKILL: a control group was out of memory",
    "test_dies_of_sigsegv": "its worker died of SIGSEGV",
    "test_ends": "its worker ended with status 1",
}


@pytest.mark.parametrize(
    ("workers", "untold"), [(0, UNTOLD_ONES), (2, UNTOLD_ONES), pytest.param(2, DEATHS, marks=pytest.mark.long)]
)
def test_what_is_no_fault_of_the_kernels_is_not_told(tmp_path: Path, workers: int, untold: dict[str, str]) -> None:
    done = run(tmp_path, " or ".join(untold), workers)
    told = [line for line in done.stdout.splitlines() if line.startswith("pagemap-scan: 1 test: ")]
    assert len(told) == min(len(untold), REASONS)
    assert all(any(says in line for says in untold.values()) for line in told)
    line = f"not told; kernel stub faithful; 1 passed, 0 failed, 0 xfailed, 0 skipped, {len(untold)} not told; "
    assert done.stdout.splitlines()[-1].startswith(f"pagemap-scan: {line}")
    assert (done.returncode, counts(tmp_path)) == (NOT_TOLD, (0, len(untold)))
    page = (tmp_path / "report.html").read_text()
    assert all(which in page for which in untold)


@pytest.mark.parametrize(("which", "status"), [("test_stuck", NOT_TOLD), ("test_hangs", 1)])
def test_a_test_without_an_end_has_a_verdict_without_workers(tmp_path: Path, which: str, status: int) -> None:
    done = run(tmp_path, which)
    *_, before, last = done.stdout.splitlines()
    assert done.returncode == status and which in before
    assert last.startswith(f"pagemap-scan: {'does not conform' if status == 1 else 'not told'}; ")
    assert f"in {which}" in done.stderr, "where it was"


@pytest.mark.long
def test_a_call_from_which_the_kernel_does_not_come_back_is_its_fault(tmp_path: Path) -> None:
    done = run(tmp_path, "test_hangs", 2)
    assert done.returncode == 1 and "the kernel doesn't come back from a call" in done.stdout
    assert counts(tmp_path) == (0, 1), "an error, since no assertion failed"


def test_the_kernels_fault_stays_one_in_a_run_that_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "test_differs or test_asserts or test_differing_fixture or full_disk or sigkill", 2)
    last = done.stdout.splitlines()[-1]
    assert last.startswith("pagemap-scan: does not conform; kernel stub faithful; 1 passed, 3 failed, ")
    assert ", 2 not told; " in last and done.returncode == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_stops_at_the_first_failure_is_not_told(tmp_path: Path, workers: int) -> None:
    done = run(tmp_path, "test_full_disk or test_suite", workers, "-x")
    assert done.returncode == NOT_TOLD and done.stdout.splitlines()[-1].startswith("pagemap-scan: not told; ")


def test_what_was_not_reached_is_not_told(tmp_path: Path) -> None:
    done = run(tmp_path, "test_ends", 1, "--max-worker-restart=0", "--dist=load")
    assert done.returncode == NOT_TOLD and done.stdout.splitlines()[-1].startswith("pagemap-scan: not told; ")


def test_a_file_that_cannot_be_collected_is_not_told(tmp_path: Path) -> None:
    broken = tmp_path / "test_broken.py"
    broken.write_text("import no_such_module\n")
    done = run(tmp_path, "test_broken", 2, str(broken))
    assert done.returncode == NOT_TOLD
    assert "can't be collected: ModuleNotFoundError: No module named 'no_such_module'" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("pagemap-scan: not told; ")


def test_a_finding_stays_one_that_cannot_be_written_down(tmp_path: Path) -> None:
    which = [*on_stub("without-marker"), "--failures=/proc/x", "suites/test_witness.py", "-k", "file-unpopulated"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", *which], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "INTERNALERROR" not in done.stdout
    *_, before, last = done.stdout.splitlines()
    assert before.startswith("pagemap-scan: C programs couldn't be written to /proc/x: ")
    assert last.startswith("pagemap-scan: does not conform; ") and "C program" in done.stdout


def test_programs_that_were_asked_for_and_are_not_there_are_no_success() -> None:
    which = ["--stub", "faithful", "--write-c=/proc/x", ASKED]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", *which], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == NOT_TOLD and "couldn't be written to /proc/x" in done.stdout


def test_many_reasons_are_not_all_told() -> None:
    tally = Tally()
    for number in range(REASONS + 3):
        report = pytest.TestReport(
            "test", ("", 0, ""), {}, "failed", "", "setup", user_properties=[(UNTOLD, str(number))]
        )
        tally.count(report)
    assert len(tally.sentences()) == REASONS + 1 and tally.sentences()[-1] == "other tests, for 3 other reasons"
    assert tally.status == NOT_TOLD


@pytest.mark.parametrize(
    ("status", "says"), [(None, "hangs"), (3, "status 3"), (-signal.SIGSYS, "SIGSYS"), (-99, "99")]
)
def test_why_a_worker_died_is_said_whatever_it_was(status: int | None, says: str) -> None:
    assert says in why_it_died(status)


def test_a_thread_that_is_not_in_the_kernel_returns_from_it() -> None:
    call = Call(threading.get_native_id())
    assert not call.has_signal_pending() and not call.does_not_return() and call.processor_time() > 0


def test_a_place_without_a_line_is_given_one() -> None:
    def raises() -> None:
        raise TookTooLong("in time")

    nowhere = FunctionType(raises.__code__.replace(co_linetable=b"\xff" * 100), {"TookTooLong": TookTooLong})
    with pytest.raises(TookTooLong) as raised:
        nowhere()
    trace = raised.value.__traceback__
    assert trace and trace.tb_next and trace.tb_next.tb_lineno is None
    mended = with_lines(trace)
    assert mended and mended.tb_lineno == trace.tb_lineno
    assert mended.tb_next and mended.tb_next.tb_lineno == raises.__code__.co_firstlineno
