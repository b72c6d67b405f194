"""Guests that boot or don't, panic, hang, run out of memory, and are interrupted: nothing is left of any."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from vm import CannotRun
from vm.architectures import ARCHITECTURES
from vm.kernels.lookup import find
from vm.results.verdict import CONFORMS, DOES_NOT, INTERRUPTED, NOT_ASKED
from vm.tests.runs import PATIENT, Run, run_of

pytestmark = [pytest.mark.boots, pytest.mark.timeout(1800)]
KERNEL = "deb:bookworm-security/linux-image-6.12.*-amd64"
FOREIGN = "deb:trixie-backports/linux-image-7.3.*-arm64"
WITHOUT_9P = "deb:bookworm-security/linux-image-6.12.*-cloud-amd64"
GUEST = Path("vm/tests/guest")
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system: run as root")


def image_of(kernel: str) -> Path:
    try:
        return find(kernel).image
    except CannotRun as reason:
        pytest.skip(f"no kernel to boot: {reason}")


@pytest.fixture(scope="session")
def kernel() -> Path:
    """The image of a kernel that boots."""
    return image_of(KERNEL)


def not_tested(run: Run, verdict: str = "not tested") -> str:
    """The sentence of a run that couldn't ask, or tell, told to the person and kept with the results."""
    assert run.ended() == NOT_ASKED, run.said
    told = run.last_line.removeprefix("pagemap-scan: ")
    assert (run.verdict.status, run.verdict.line) == (NOT_ASKED, told)
    assert told.startswith(f"{verdict}: ")
    return told.removeprefix(f"{verdict}: ")


# --- Guests that don't come as far as a test -----------------------------------------------------------------


def test_a_kernel_without_9p_is_said(tmp_path: Path) -> None:
    with run_of(tmp_path, image_of(WITHOUT_9P)) as run:
        assert "can't mount the host's files: it has no 9p" in not_tested(run)
        assert run.left_behind() == []


def test_a_kernel_that_panics_at_boot_is_said(kernel: Path, tmp_path: Path) -> None:
    """Its init is a program that ends at once."""
    with run_of(tmp_path, kernel, "--append=rdinit=/bin/busybox") as run:
        assert "didn't boot: the kernel panicked: Attempted to kill init!" in not_tested(run)
        assert run.left_behind() == []
        assert "Kernel panic" in run.shared.console.read_text()


def test_a_kernel_that_hangs_at_boot_is_ended(kernel: Path, tmp_path: Path) -> None:
    """Its init is a shell, to which nobody says anything."""
    with run_of(tmp_path, kernel, "--append=rdinit=/bin/sh", "--boot-limit=15") as run:
        assert "didn't boot: it hasn't booted within 15 s (--boot-limit)" in not_tested(run)
        assert run.left_behind() == []


def test_what_qemu_refuses_is_said(kernel: Path, tmp_path: Path) -> None:
    with run_of(tmp_path, kernel, "--memory=many") as run:
        assert "didn't boot: the guest ended before its script began: qemu-system-" in not_tested(run)
        assert run.left_behind() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A results directory with room for the beginning of a console's log."""
    directory = tmp_path / "results"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", directory], check=True, timeout=30)
    yield directory
    subprocess.run(["umount", directory], check=True, timeout=30)


@root
def test_a_disk_that_is_full_under_the_results_is_said(kernel: Path, tmp_path: Path, small_disk: Path) -> None:
    with run_of(tmp_path, kernel) as run:
        assert run.ended() == NOT_ASKED
        expected = f"the results directory {small_disk} can't be written: No space left on device"
        assert run.last_line == f"pagemap-scan: not tested: {expected}"
        assert run.left_behind() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_is_interrupted_at_boot_leaves_nothing(kernel: Path, tmp_path: Path, number: signal.Signals) -> None:
    """SIGINT reaches the whole foreground, as Ctrl-C does, and twice, as an impatient person does it."""
    with run_of(tmp_path, kernel, "--verbose") as run:
        run.wait_for("Linux version")
        assert any("qemu-system" in process for process in run.processes())
        if number == signal.SIGINT:
            os.killpg(run.process.pid, number)
        run.process.send_signal(number)
        assert run.ended() == INTERRUPTED
        assert run.last_line == f"pagemap-scan: not tested: interrupted {number.name}"
        assert run.left_behind() == []


def test_a_run_that_is_killed_leaves_nothing(kernel: Path, tmp_path: Path) -> None:
    with run_of(tmp_path, kernel, "--verbose") as run:
        run.wait_for("Linux version")
        assert any("qemu-system" in process for process in run.processes())
        run.process.kill()
        run.process.wait()
        assert run.left_behind() == []


def test_a_guest_whose_qemu_is_killed_is_not_its_kernels_fault(kernel: Path, tmp_path: Path) -> None:
    with run_of(tmp_path, kernel, *PATIENT, pytest=["-n", "1", f"{GUEST}/waits.py"]) as run:
        run.wait_for("first test after")
        [qemu] = [process for process in Path("/proc").glob("[0-9]*") if is_qemu_of(process, run)]
        os.kill(int(qemu.name), signal.SIGKILL)
        assert "QEMU was killed on the host (SIGKILL)" in not_tested(run)
        assert run.left_behind() == []


def is_qemu_of(process: Path, run: Run) -> bool:
    """Whether a process of /proc is the QEMU of a run, not the script that waits for it."""
    try:
        return (process / "comm").read_text().startswith("qemu-system") and (
            run.marker.encode() in (process / "environ").read_bytes()
        )
    except OSError:
        return False


# --- Guests that come to their tests -------------------------------------------------------------------------


def test_a_run_is_not_disturbed_by_another_that_is_interrupted(kernel: Path, tmp_path: Path) -> None:
    """One runs a few tests of the suite with two workers; the other is ended by SIGTERM in its test."""
    small = ["suites/test_witness.py", "-k", "thp-zero"]
    with (
        run_of(tmp_path / "one", kernel, *PATIENT, pytest=small) as one,
        run_of(tmp_path / "two", kernel, *PATIENT, pytest=["-n", "0", f"{GUEST}/waits.py"]) as two,
    ):
        two.wait_for("first test after")
        two.process.send_signal(signal.SIGTERM)
        assert two.ended() == INTERRUPTED
        assert two.left_behind() == []
        assert one.ended() == CONFORMS, one.said
        assert one.left_behind() == []
    assert one.verdict.line.startswith("pagemap-scan: conforms")
    assert one.verdict.release == find(KERNEL).release
    assert len(one.outcomes()) == 3
    assert all(path.exists() for path in (one.shared.html, one.shared.console, one.shared.dmesg, one.shared.subject))


def test_a_guest_that_panics_in_a_test_still_gives_a_report(kernel: Path, tmp_path: Path) -> None:
    with run_of(tmp_path, kernel, *PATIENT, pytest=["-n", "1", f"{GUEST}/panics.py"]) as run:
        assert run.ended() == DOES_NOT, run.said
        assert run.left_behind() == []
    expected = {"test_before": "", "test_complaint": "failure", "test_panic": "error", "test_after": "skipped"}
    assert run.outcomes() == expected
    assert run.verdict.line.startswith("pagemap-scan: does not conform; ")
    assert "1 passed, 2 failed, 0 xfailed, 1 skipped" in run.verdict.line
    report = run.shared.html.read_text()
    for shown in ("sysrq: Trigger a crash", "not run: the kernel panicked: sysrq triggered crash", "at nowhere"):
        assert shown in report


def test_a_guest_that_oopses_in_a_test_is_ended_soon(kernel: Path, tmp_path: Path) -> None:
    with run_of(tmp_path, kernel, *PATIENT, pytest=["-n", "1", f"{GUEST}/oopses.py"]) as run:
        assert run.ended() == DOES_NOT, run.said
        assert run.left_behind() == []
    skipped = dict.fromkeys(["test_stands_still", "test_after"], "skipped")
    assert run.outcomes() == {"test_before": "", "test_oops": "error", **skipped}
    report = run.shared.html.read_text()
    for shown in ("nowhere+0x12", "not run: the kernel oopsed: BUG: kernel NULL pointer dereference"):
        assert shown in report


def test_a_guest_that_hangs_in_a_test_is_ended(kernel: Path, tmp_path: Path) -> None:
    with run_of(tmp_path, kernel, *PATIENT, "--test-limit=30", pytest=["-n", "0", f"{GUEST}/hangs.py"]) as run:
        assert run.ended() == DOES_NOT, run.said
        assert run.left_behind() == []
    assert run.outcomes() == {"test_before": "", "test_hang": "error", "test_after": "skipped"}
    assert "the guest hangs: vm/tests/guest/hangs.py::test_hang has run for" in run.shared.html.read_text()


def test_a_guest_that_runs_out_of_memory_is_told_to_be_given_more(kernel: Path, tmp_path: Path) -> None:
    with run_of(tmp_path, kernel, *PATIENT, "--memory=768M", pytest=["-n", "0", f"{GUEST}/eats_memory.py"]) as run:
        assert not_tested(run, "not told").endswith("the guest ran out of memory: give it more with --memory")
        assert run.left_behind() == []
    assert run.outcomes() == {"test_before": "", "test_memory": "skipped", "test_after": "skipped"}


def test_a_kernel_for_another_processor_is_asked_by_the_program(tmp_path: Path) -> None:
    """With swap and files, for which it is given modules and a disk."""
    image = image_of(FOREIGN)
    for path in (*ARCHITECTURES["arm64"].compilers[0], ARCHITECTURES["arm64"].qemu[0]):
        if not shutil.which(path):
            pytest.skip(f"no {path}")
    with run_of(tmp_path, image, *PATIENT, "--program", "--memory=2G") as run:
        assert run.ended() == CONFORMS, run.said
        assert run.left_behind() == []
    outcomes = run.outcomes()
    for kind in ("anon-swapped", "file-shared", "thp"):
        name = f"test_registered_memory_has_exactly_the_categories_of_its_kind[{kind}]"
        assert outcomes[name] == "", "it was asked, and kept"
