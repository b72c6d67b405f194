"""The reports and the verdict that the host makes of what a guest left behind, however it ended."""

from __future__ import annotations

import errno
import json
import os
import re
import time
import xml.etree.ElementTree as xml
from pathlib import Path
from unittest import mock

import pytest

from helpers.plugins.verdict import UNTOLD
from helpers.report.log import read
from helpers.tests import ktap
from helpers.tests.pages import shown_on
from vm import CannotRun, NotTold
from vm.guest.boot import Ending
from vm.guest.console import EMULATOR_FAILED, Trouble
from vm.guest.shared_directory import Shared
from vm.results.directory import results_in
from vm.results.judgement import judged, render
from vm.results.verdict import CONFORMS, DOES_NOT, NOT_ASKED, Verdict
from vm.tests import handwritten
from vm.tests.handwritten import FILE, KERNEL, crash_of, reports_of

pytestmark = pytest.mark.long
PANIC = Trouble("the kernel panicked: sysrq triggered crash")
WARNING = (
    "------------[ cut here ]------------",
    "WARNING: CPU: 0 PID: 7 at mm/mmap.c:1 exit_mmap+0x1/0x2",
    "---[ end trace 0000000000000000 ]---",
)


OOPS = (
    "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI",
    "CPU: 1 UID: 0 PID: 7 Comm: python Not tainted 6.99.1-test #1",
    "RIP: 0010:pagemap_scan_backout_range+0x12/0x60",
    "---[ end trace 0000000000000000 ]---",
)
OOPSED = Trouble(f"the kernel oopsed: {OOPS[0]}")


def begins(test: str, process: int = 7) -> str:
    return f"> start {process} {FILE}::{test}"


def ends(process: int = 7) -> str:
    return f"> end {process}"


def verdict_of(shared: Shared, trouble: Trouble | None = None, booted: bool = True) -> Verdict:
    """What comes of a run whose guest left this."""
    files = {path: path.read_bytes() for path in shared.files() if path.exists()}

    def written_again(shared: Shared) -> Ending:
        for path, data in files.items():
            path.write_bytes(data)
        return Ending(booted, trouble)

    return judged(KERNEL, shared.directory, written_again)


def kept(shared: Shared) -> Verdict:
    """The verdict as it is beside the reports."""
    return Verdict(**json.loads(shared.verdict.read_text()))


def outcomes(shared: Shared) -> dict[str, str]:
    """The tests of the JUnit report, with what stands below each."""
    return {
        case.attrib["name"]: ",".join(child.tag for child in case if child.tag not in ("properties", "system-out"))
        for case in xml.parse(shared.junit).iter("testcase")
    }


def shown_of(shared: Shared, test: str) -> str:
    """All that the HTML report says of a test."""
    return "\n".join(f"{outcome}: {said}" for name, (outcome, said) in shown_on(shared.html).items() if test in name)


def test_results_that_are_whole_give_the_verdict_of_the_guest(tmp_path: Path) -> None:
    reports = [*reports_of("one"), *reports_of("two", "xfailed"), *reports_of("three", "skipped")]
    shared = handwritten.write(tmp_path, ["one", "two", "three"], reports, [], status=0)
    verdict = verdict_of(shared)
    assert verdict.status == CONFORMS
    assert verdict.line.startswith("pagemap-scan: conforms with known defects; kernel 6.99.1-test x86_64; 1 passed, ")
    assert "1 xfailed, 1 skipped" in verdict.line
    assert kept(shared) == verdict
    assert outcomes(shared) == {"one": "", "two": "skipped", "three": "skipped"}


def test_a_boot_that_the_emulator_spoils_is_begun_anew(tmp_path: Path) -> None:
    endings = [Ending(False, EMULATOR_FAILED), Ending(False, EMULATOR_FAILED), Ending(False, PANIC)]
    with pytest.raises(CannotRun, match="sysrq triggered crash"):
        judged(KERNEL, tmp_path, lambda shared: endings.pop(0))
    assert endings == []
    with pytest.raises(CannotRun, match="QEMU's emulation"):
        judged(KERNEL, tmp_path, lambda shared: Ending(False, EMULATOR_FAILED))


def test_the_report_tells_how_long_the_guest_took(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one"], reports_of("one"), [], status=0)
    render(KERNEL, Ending(booted=True, trouble=None), shared, begun=time.monotonic() - 3600)
    assert re.search(r"; 36\d\d\.\d s<", shared.html.read_text())


def test_a_failure_in_the_guest_is_a_failure(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one"], reports_of("one", "failed"), [], status=1)
    assert verdict_of(shared).status == DOES_NOT
    assert outcomes(shared) == {"one": "failure"}


@pytest.mark.parametrize("cut", [0, 60], ids=["whole-lines", "last-line-cut-off"])
def test_a_panic_makes_the_running_test_an_error_and_the_rest_not_run(tmp_path: Path, cut: int) -> None:
    console = [begins("one"), ends(), begins("two"), "sysrq: Trigger a crash", "Kernel panic - not syncing: sysrq"]
    reports = [*reports_of("one"), *reports_of("two", phases=["setup"])]
    shared = handwritten.write(tmp_path, ["one", "two", "three"], reports, console, finished=False, cut=cut)
    verdict = verdict_of(shared, PANIC)
    assert verdict.status == DOES_NOT
    assert "does not conform; kernel 6.99.1-test x86_64; 1 passed, 1 failed, 0 xfailed, 1 skipped" in verdict.line
    assert outcomes(shared) == {"one": "", "two": "error", "three": "skipped"}
    assert "sysrq: Trigger a crash" in shown_of(shared, "test_a.py::two")
    assert "not run: the kernel panicked: sysrq triggered crash" in shown_of(shared, "test_a.py::three")
    assert kept(shared) == verdict
    log = read(shared.report_log)
    assert [one.outcome for one in log.outcomes] == ["passed", "failed", "skipped"]
    assert (log.kernel, log.verdict and log.verdict["verdict"]) == ("6.99.1-test x86_64", "does not conform")
    assert [*ktap.read(shared.ktap.read_text()).outcomes.values()] == ["pass", "fail", "skip"]


@pytest.mark.parametrize("worker", ["died", "stands-still"])
def test_an_oops_makes_its_test_an_error_and_the_rest_not_run(tmp_path: Path, worker: str) -> None:
    """What else ran when the guest was ended, and what was begun in its grace, can't help it."""
    console = [begins("one"), ends(), begins("two"), begins("three", 8), *OOPS, begins("four", 9)]
    reports = [*reports_of("one"), *(crash_of("two") if worker == "died" else [])]
    plan = ["one", "two", "three", "four", "five"]
    shared = handwritten.write(tmp_path, plan, reports, console, finished=False)
    verdict = verdict_of(shared, OOPSED)
    assert verdict.status == DOES_NOT
    assert "does not conform; kernel 6.99.1-test x86_64; 1 passed, 1 failed, 0 xfailed, 3 skipped" in verdict.line
    skipped = dict.fromkeys(["three", "four", "five"], "skipped")
    assert outcomes(shared) == {"one": "", "two": "error", **skipped}
    assert OOPS[0] in shared.junit.read_text()
    assert "pagemap_scan_backout_range" in shown_of(shared, "test_a.py::two")
    assert f"not run: {OOPSED.says}" in shown_of(shared, "test_a.py::four")
    assert kept(shared) == verdict


def test_an_oops_that_names_no_test_makes_those_errors_that_ran_then(tmp_path: Path) -> None:
    oops = [line.replace("PID: 7", "PID: 41") for line in OOPS]
    console = [begins("one"), begins("two", 8), *oops, begins("three", 9)]
    shared = handwritten.write(tmp_path, ["one", "two", "three"], [], console, finished=False)
    assert verdict_of(shared, OOPSED).status == DOES_NOT
    assert outcomes(shared) == {"one": "error", "two": "error", "three": "skipped"}


def test_an_oops_between_tests_is_an_error_of_its_own(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one", "two"], reports_of("one"), [begins("one"), ends(), *OOPS])
    assert verdict_of(shared, OOPSED).status == DOES_NOT
    assert outcomes(shared)["one"] == ""
    assert outcomes(shared)["two"] == "skipped"
    assert "pagemap_scan_backout_range" in shown_of(shared, "kernel log")


def test_results_that_were_whole_before_an_oops_ended_the_guest_stay_so(tmp_path: Path) -> None:
    console = [begins("one"), *OOPS, ends(), begins("two"), ends()]
    shared = handwritten.write(tmp_path, ["one", "two"], [*reports_of("one"), *reports_of("two")], console, status=0)
    assert verdict_of(shared, OOPSED).status == DOES_NOT
    assert outcomes(shared) == {"one": "failure", "two": ""}


def test_two_tests_that_ran_when_the_guest_was_lost_are_errors(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one", "two"], [], [begins("one", 7), begins("two", 8)], finished=False)
    assert verdict_of(shared, Trouble("the guest hangs")).status == DOES_NOT
    assert outcomes(shared) == {"one": "error", "two": "error"}


def test_a_guest_that_is_lost_between_tests_is_an_error_of_its_own(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one", "two"], reports_of("one"), [begins("one"), ends()], finished=False)
    verdict = verdict_of(shared)
    assert verdict.status == DOES_NOT
    assert outcomes(shared)["two"] == "skipped"
    assert "the guest ended without its results" in shown_of(shared, "the guest")


@pytest.mark.parametrize("outcome", ["passed", "xfailed", "skipped"])
def test_a_complaint_of_the_kernel_fails_the_test_during_which_it_came(tmp_path: Path, outcome: str) -> None:
    console = [begins("one"), *WARNING, ends(), begins("two"), ends()]
    reports = [*reports_of("one", outcome), *reports_of("two")]
    shared = handwritten.write(tmp_path, ["one", "two"], reports, console, status=0)
    assert verdict_of(shared).status == DOES_NOT
    assert outcomes(shared) == {"one": "failure", "two": ""}
    assert "the kernel complained: WARNING: CPU: 0 PID: 7 at mm/mmap.c:1" in shown_of(shared, "test_a.py::one")
    assert "end trace" in shown_of(shared, "test_a.py::one")
    assert shown_of(shared, "test_a.py::one").startswith("failed: ")


def test_a_complaint_during_a_test_that_could_not_be_asked_fails_too(tmp_path: Path) -> None:
    [setup, _, teardown] = reports_of("one")
    setup |= {"outcome": "skipped", "longrepr": [FILE, 1, "Skipped: no pool"]}
    shared = handwritten.write(tmp_path, ["one"], [setup, teardown], [begins("one"), *WARNING, ends()], status=0)
    assert verdict_of(shared).status == DOES_NOT
    assert "error" in outcomes(shared)["one"]


def test_a_complaint_before_a_panic_is_shown_with_the_test(tmp_path: Path) -> None:
    console = [begins("one"), *WARNING, *["a line"] * 100, "Kernel panic - not syncing: sysrq triggered crash"]
    shared = handwritten.write(tmp_path, ["one"], [], console, finished=False)
    assert verdict_of(shared, PANIC).status == DOES_NOT
    assert "end trace" in shown_of(shared, "test_a.py::one")


def test_a_complaint_between_tests_fails_the_run(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one"], reports_of("one"), [*WARNING, begins("one"), ends()], status=0)
    assert verdict_of(shared).status == DOES_NOT
    assert outcomes(shared)["one"] == ""
    assert "exit_mmap" in shown_of(shared, "kernel log")


OOM = "Out of memory: Killed process 7 (python) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:1kB"


@pytest.mark.parametrize("how", ["worker-killed", "pytest-killed", "guest-panics"])
def test_a_guest_that_ran_out_of_memory_was_not_asked(tmp_path: Path, how: str) -> None:
    console = [begins("one"), ends(), begins("two"), OOM]
    reports, status, trouble = reports_of("one"), 1, None
    match how:
        case "worker-killed":
            reports += crash_of("two")
        case "pytest-killed":
            status = 137
        case "guest-panics":
            status, trouble = None, Trouble("the kernel panicked: System is deadlocked on memory")
    finished = how == "worker-killed"
    shared = handwritten.write(tmp_path, ["one", "two", "three"], reports, console, status=status, finished=finished)
    with pytest.raises(NotTold, match=r"^6\.99\.1-test: the guest ran out of memory: give it more with --memory$"):
        verdict_of(shared, trouble)
    assert kept(shared).line.startswith("not told: ")
    assert kept(shared).status == NOT_ASKED
    assert outcomes(shared) == {"one": "", "two": "skipped", "three": "skipped"}


def test_a_control_group_that_ran_out_of_memory_is_a_tests_own_affair(tmp_path: Path) -> None:
    console = [begins("one"), f"Memory cgroup {OOM.replace('Out', 'out')}", ends()]
    shared = handwritten.write(tmp_path, ["one"], reports_of("one"), console, status=0)
    assert verdict_of(shared).status == CONFORMS


def test_a_run_past_its_time_is_not_a_failure_of_the_kernel(tmp_path: Path) -> None:
    trouble = Trouble("the guest isn't done after 9 s", by_kernel=False)
    shared = handwritten.write(tmp_path, ["one", "two"], reports_of("one"), [begins("two")], finished=False)
    with pytest.raises(NotTold, match=r"the guest isn't done after 9 s$"):
        verdict_of(shared, trouble)
    assert outcomes(shared) == {"one": "", "two": "skipped"}
    shared = handwritten.write(tmp_path, ["one", "two"], reports_of("one", "failed"), [begins("two")], finished=False)
    assert verdict_of(shared, trouble).status == DOES_NOT  # What was found is found.


def test_a_worker_that_died_is_a_failure(tmp_path: Path) -> None:
    reports = [*crash_of("one"), *reports_of("two")]
    shared = handwritten.write(tmp_path, ["one", "two"], reports, [begins("one"), begins("two", 8), ends(8)], status=1)
    assert verdict_of(shared).status == DOES_NOT
    assert outcomes(shared) == {"one": "error", "two": ""}
    assert "crashed while running this" in shown_of(shared, "test_a.py::one")


def test_a_test_that_ends_pytest_is_an_error(tmp_path: Path) -> None:
    """As pytest-timeout does it without workers."""
    console = [begins("one"), ends(), begins("two")]
    shared = handwritten.write(tmp_path, ["one", "two"], reports_of("one"), console, status=1, finished=False)
    assert verdict_of(shared).status == DOES_NOT
    assert "pytest ended in the guest before its session did" in shown_of(shared, "test_a.py::two")


FAILED = [
    (2, "pytest couldn't collect the tests in the guest: "),
    (3, "pytest failed in the guest: OSError: broken"),
    (4, "pytest doesn't take its arguments in the guest: "),
    (6, "pytest ended with status 6 in the guest: "),
    (137, "pytest was killed in the guest (SIGKILL)"),
    (255, "pytest was killed in the guest (signal 127)"),
]


@pytest.mark.parametrize(("status", "said"), FAILED)
def test_a_run_that_itself_failed_tells_nothing(tmp_path: Path, status: int, said: str) -> None:
    """What passed before is no verdict on the kernel, and the tests that weren't done have not failed."""
    reports, console = reports_of("one"), [begins("one"), ends(), begins("two")]
    shared = handwritten.write(tmp_path, ["one", "two"], reports, console, status=status, finished=status < 6)
    shared.output.write_text("INTERNALERROR> OSError: broken\n")
    with pytest.raises(NotTold, match=re.escape(said)):
        verdict_of(shared)
    assert (kept(shared).status, kept(shared).line.partition(":")[0]) == (NOT_ASKED, "not told")
    assert outcomes(shared) == {"one": "", "two": "skipped"}
    assert said in shown_of(shared, "test_a.py::two")


@pytest.mark.parametrize(("status", "by"), [(3, "test"), (137, "kernel-log")])
def test_a_failure_before_the_run_itself_failed_stays_one(tmp_path: Path, status: int, by: str) -> None:
    console = [begins("one"), *(WARNING if by == "kernel-log" else ()), ends()]
    reports = reports_of("one", "failed" if by == "test" else "passed")
    shared = handwritten.write(tmp_path, ["one", "two"], reports, console, status=status)
    verdict = verdict_of(shared)
    assert verdict.status == DOES_NOT
    assert verdict.line.startswith("pagemap-scan: does not conform; ")
    assert outcomes(shared) == {"one": "failure", "two": "skipped"}


def test_what_the_suite_could_not_tell_is_no_verdict(tmp_path: Path) -> None:
    """Its report is an error, and the reason is what the suite said last."""
    untold = reports_of("two", "failed")
    untold[1]["user_properties"].append([UNTOLD, "OSError: full"])
    reports = [*reports_of("one"), *untold]
    shared = handwritten.write(tmp_path, ["one", "two"], reports, [], status=3)
    shared.output.write_text("..\npagemap-scan: 1 test: OSError: full\npagemap-scan: not told; kernel 6.99.1; …\n")
    with pytest.raises(NotTold, match=r"^6\.99\.1-test: 1 test: OSError: full$"):
        verdict_of(shared)
    assert kept(shared).status == NOT_ASKED
    handwritten.write(tmp_path, ["one", "two"], [*untold, *reports_of("one", "failed")], [], status=1)
    assert verdict_of(shared).status == DOES_NOT


def test_a_worker_that_died_of_the_kernels_complaint_is_a_failure(tmp_path: Path) -> None:
    [crash] = crash_of("one")
    crash = {**crash, "user_properties": [[UNTOLD, "its worker died of SIGKILL"]]}
    shared = handwritten.write(tmp_path, ["one"], [crash], [begins("one"), *WARNING, ends()], status=3)
    verdict = verdict_of(shared)
    assert verdict.status == DOES_NOT
    assert "0 passed, 1 failed" in verdict.line


def test_failures_that_are_not_among_the_results_are_no_verdict(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one", "two"], reports_of("one"), [], status=1)
    with pytest.raises(NotTold, match="not by what its results tell"):
        verdict_of(shared)


def test_results_that_the_guest_could_not_write_are_no_verdict(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one"], reports_of("one"), ["> unwritten"], finished=False)
    with pytest.raises(NotTold, match="the guest couldn't write its results"):
        verdict_of(shared)


# --- Reports that can't be made ------------------------------------------------------------------------------

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken(shared: Shared, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Has the making of the reports fail."""
    match how:
        case "guest":
            monkeypatch.setattr("vm.results.judgement.render", mock.Mock(side_effect=NO_SPACE))
        case "program":
            done = mock.Mock(returncode=1, stderr="", stdout="E   OSError: full\npagemap-scan: conforms; …")
            monkeypatch.setattr("vm.results.judgement.carried_out", lambda *arguments: done)
        case "too-long":
            monkeypatch.setattr("vm.results.judgement.LIMIT", 0.1)
        case "verdict":
            monkeypatch.setattr("vm.results.judgement.keep", mock.Mock(side_effect=NO_SPACE))
        case "stdout":
            monkeypatch.setattr("sys.stdout", None)


SAID = {
    "guest": "can't be written: No space left on device",
    "program": "the reports couldn't be made in .*: OSError: full",
    "too-long": "python -m pytest isn't done after 0 s",
    "verdict": "can't be written: No space left on device",
    "stdout": "stdout can't be written: it is closed",
}


@pytest.mark.parametrize("how", SAID)
def test_reports_that_cannot_be_made_are_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    shared = handwritten.write(tmp_path, ["one"], reports_of("one"), [], status=0)
    broken(shared, monkeypatch, how)
    with pytest.raises(NotTold, match=SAID[how]):
        verdict_of(shared)


@pytest.mark.parametrize("how", SAID)
def test_a_failure_stays_one_without_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    shared = handwritten.write(tmp_path, ["one"], reports_of("one", "failed"), [], status=1)
    broken(shared, monkeypatch, how)
    verdict = verdict_of(shared)
    assert verdict.status == DOES_NOT
    assert verdict.line.startswith("pagemap-scan: does not conform; kernel 6.99.1-test")
    said = capsys.readouterr()
    assert re.search(SAID[how], (said.err if how == "stdout" else said.out).splitlines()[-1])


def test_a_directory_that_another_run_has_is_refused(tmp_path: Path) -> None:
    """Its results stay as they are; the lock ends with the run."""
    shared = handwritten.write(tmp_path, ["one"], reports_of("one"), [], status=0)
    with results_in(tmp_path):
        shared.status.write_text("of the other\n")
        with pytest.raises(CannotRun, match=r"is that of another run, which isn't over: give --results$"):
            judged(KERNEL, tmp_path, lambda shared: Ending(True))
        assert shared.status.read_text() == "of the other\n"
        assert not shared.verdict.exists()
    with results_in(tmp_path):
        assert not shared.status.exists()


@pytest.mark.parametrize(
    ("status", "printed", "said"),
    [
        (
            4,
            "usage: pytest\npytest: error: unrecognized arguments: --no\n",
            "doesn't take .*: unrecognized arguments: --no",
        ),
        (
            2,
            "E   ImportError: no module\n=== 1 error ===\n",
            "couldn't collect the tests in the guest: ImportError: no mod",
        ),
        (
            3,
            "INTERNALERROR> x\nINTERNALERROR> OSError: [Errno 5] broken\n",
            r"failed in the guest: OSError: \[Errno 5\]",
        ),
        (5, "no tests ran in 0.1s\n", "found no tests in the guest: no tests ran"),
    ],
)
def test_a_pytest_that_cannot_run_says_why(tmp_path: Path, status: int, printed: str, said: str) -> None:
    shared = handwritten.write(tmp_path, [], [], [], status=status)
    shared.output.write_text(printed)
    with pytest.raises(CannotRun, match=f"^6.99.1-test: pytest {said}"):
        verdict_of(shared)
    assert kept(shared).status == NOT_ASKED


def test_a_kernel_that_cannot_be_asked_says_why(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, [], [], [], status=5)
    shared.output.write_text("pagemap-scan: not tested: this kernel has no PAGEMAP_SCAN\n")
    with pytest.raises(CannotRun, match=r"^6\.99\.1-test: this kernel has no PAGEMAP_SCAN$"):
        verdict_of(shared)


def test_the_seconds_are_those_of_the_run(tmp_path: Path) -> None:
    shared = handwritten.write(tmp_path, ["one"], reports_of("one"), [], status=0)
    begun = time.monotonic()
    assert 0 < verdict_of(shared).seconds <= time.monotonic() - begun


@pytest.mark.parametrize(
    ("trouble", "line", "said"),
    [
        (None, "qemu-system-x86_64: -m 9000G: cannot allocate", "the guest ended before its script began: qemu-system"),
        (None, "[    0.1] reboot: Restarting system", "the guest ended before its script began: .*Restarting system$"),
        (PANIC, "[    0.1] Kernel panic - not syncing: sysrq", "the kernel panicked: sysrq triggered crash"),
        (
            PANIC,
            "[    0.1] Out of memory: Killed process 1 (init)",
            "its memory wasn't enough: give it more with --mem",
        ),
        (Trouble("it hasn't booted within 9 s"), "[    0.1] Linux version", "it hasn't booted within 9 s"),
    ],
)
def test_a_guest_that_did_not_boot_says_why(tmp_path: Path, trouble: Trouble | None, line: str, said: str) -> None:
    shared = handwritten.write(tmp_path, [], [], [])
    shared.console.write_text(f"{line}\nand more\n" if line.startswith("qemu") else f"{line}\n")
    with pytest.raises(CannotRun, match=rf"^6\.99\.1-test didn't boot: {said}"):
        verdict_of(shared, trouble, booted=False)
    assert kept(shared).status == NOT_ASKED


@pytest.mark.parametrize(
    "line",
    [
        "mount: mounting /dev/root on /newroot/ failed: No such device",
        "[    0.9] VFS: Unable to mount root fs on unknown-block(0,0)",
        "[    0.9] 9pnet_virtio: no channels available for device /dev/root",
    ],
)
def test_a_kernel_without_9p_is_told_by_what_it_says_long_before_it_panics(tmp_path: Path, line: str) -> None:
    shared = handwritten.write(tmp_path, [], [], [])
    shared.console.write_text("\n".join([line, *["[    1.0]  a line of the panic's trace"] * 100]))
    with pytest.raises(CannotRun, match=r"^6\.99\.1-test can't mount the host's files: it has no 9p "):
        verdict_of(shared, PANIC, booted=False)
