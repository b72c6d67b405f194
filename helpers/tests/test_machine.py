"""The machine belongs to somebody: it is put back on every way out of a run."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from helpers import host, machine
from helpers.host import find_sizes
from helpers.journal import Journal, MachineError
from helpers.machine import JOURNAL, UNDO, Machine
from helpers.tests.needs import on_kernel

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
root = pytest.mark.skipif(os.geteuid() != 0, reason="changes the machine's settings: run as root")


def state_of_the_machine() -> dict[str, object]:
    """All that a run may not leave changed behind itself, but for its processes."""
    return {
        "swaps": Path("/proc/swaps").read_text(),
        "zram": machine.zram_devices(),
        "hugetlb": [path.read_text() for path in sorted(Path("/sys/kernel/mm/hugepages").glob("*/nr_hugepages"))],
        "thp": [path.read_text() for path in sorted(host.THP.glob("*")) if path.is_file()],
        "ksm": [path.read_text() for path in [host.KSM / "run"] if path.exists()],
        "loop devices": sorted(path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")),
        "mounts": Path("/proc/self/mounts").read_text(),
        "temporary files": [path for path in sorted(Path(tempfile.gettempdir()).iterdir()) if not of_pytest(path)],
        "files": [sorted(Path(where).glob("pagemap-scan*")) for where in ("/var/tmp", "/dev/shm", "/run")],
    }


def of_pytest(path: Path) -> bool:
    """Whether it is where pytest keeps the temporary files of its last runs, whatever it runs."""
    return path.name.startswith("pytest-of-")


def processes_of_session(session: int) -> list[int]:
    """The processes of a session, zombies aside (``/proc/PID/stat``: state and session)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(process.name))
    return found


def start_run(*arguments: str, **options: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True, **options)


def keeper_of(run: "subprocess.Popen[str]") -> int:
    """The process that puts the machine back for a run."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    [keeper] = [child for child in children if Path(f"/proc/{child}/comm").read_text() == "pagemap-keeper\n"]
    return int(keeper)


def wait_until_put_back() -> None:
    """What a run has left is put back without it; a test has a time limit."""
    while JOURNAL.exists():
        time.sleep(0.05)


def wait_for_first_results(run: "subprocess.Popen[str]") -> None:
    assert run.stdout is not None
    while (character := run.stdout.read(1)) != ".":
        assert character, "the run ended before it began"


def ended(run: "subprocess.Popen[str]") -> int:
    """Waits for the run and all its processes; returns the exit status."""
    run.communicate(timeout=60)
    while processes_of_session(run.pid):  # What was orphaned dies by itself; a test has a time limit.
        os.sched_yield()
    return run.returncode


@on_kernel
@root
def test_a_run_that_succeeds_puts_the_machine_back(alone: None) -> None:
    before = state_of_the_machine()
    assert ended(start_run("suites/test_witness.py")) == 0
    assert state_of_the_machine() == before


@on_kernel
@root
def test_what_is_set_up_is_said_with_what_it_was(alone: None) -> None:
    with Machine(1, find_sizes()) as machine:
        told = machine.changes()
    assert machine.changes() == [], "it is put back"
    pool = [line for line in told if re.fullmatch(r"/sys/\S+/nr_hugepages \(it was \d+\)", line)]
    assert len(pool) == ("hugetlb" not in machine.refused)
    others = [line for line in told if line not in pool]
    assert all(re.fullmatch(r"/sys/\S+ \(it was \w+\)|swap on /\S+", line) for line in others)


@on_kernel
@root
def test_a_run_that_fails_puts_the_machine_back(alone: None, tmp_path: Path) -> None:
    failing = tmp_path / "test_that_fails.py"
    failing.write_text("def test_that_fails(): assert 0\n")
    before = state_of_the_machine()
    assert ended(start_run("suites/test_witness.py", str(failing))) == 1
    assert state_of_the_machine() == before


@on_kernel
@root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("whom", ["run", "all"])
def test_a_run_that_is_interrupted_puts_the_machine_back(alone: None, number: signal.Signals, whom: str) -> None:
    """Ctrl-C in a terminal reaches every process of the run, kill(1) only the one that was named."""
    before = state_of_the_machine()
    run = start_run("suites")
    wait_for_first_results(run)
    (os.kill if whom == "run" else os.killpg)(run.pid, number)
    assert ended(run) == pytest.ExitCode.INTERRUPTED
    assert state_of_the_machine() == before


@on_kernel
@root
def test_no_further_signal_disturbs_the_way_back(alone: None) -> None:
    before = state_of_the_machine()
    run = start_run("suites")
    wait_for_first_results(run)
    for _ in range(6):
        os.killpg(run.pid, signal.SIGINT)
        time.sleep(0.05)
    assert ended(run) == pytest.ExitCode.INTERRUPTED
    assert state_of_the_machine() == before


@on_kernel
@root
def test_a_run_that_does_not_hear_hang_ups_goes_on(alone: None) -> None:
    before = state_of_the_machine()
    run = start_run("suites/test_witness.py", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for_first_results(run)
    os.killpg(run.pid, signal.SIGHUP)
    assert ended(run) == 0
    assert state_of_the_machine() == before


@on_kernel
@root
def test_a_run_that_is_killed_is_put_back_at_once(alone: None) -> None:
    before = state_of_the_machine()
    run = start_run("suites")
    wait_for_first_results(run)
    run.kill()
    assert ended(run) == -signal.SIGKILL
    wait_until_put_back()
    assert state_of_the_machine() == before


@on_kernel
@root
def test_a_run_that_is_killed_with_all_its_processes_is_put_back_by_the_next(alone: None) -> None:
    before = state_of_the_machine()
    run = start_run("suites")
    wait_for_first_results(run)
    os.kill(keeper_of(run), signal.SIGKILL)
    run.kill()
    assert ended(run) == -signal.SIGKILL
    assert state_of_the_machine() != before
    assert ended(start_run("suites/test_witness.py")) == 0
    assert state_of_the_machine() == before


@on_kernel
@root
def test_a_run_whose_keeper_is_killed_puts_the_machine_back_itself(alone: None) -> None:
    before = state_of_the_machine()
    run = start_run("suites/test_witness.py")
    wait_for_first_results(run)
    os.kill(keeper_of(run), signal.SIGKILL)
    assert ended(run) == 0
    assert state_of_the_machine() == before


@on_kernel
@root
def test_a_second_run_says_what_it_waits_for_and_until_when(alone: None) -> None:
    with Machine(1, find_sizes()):
        second = start_run("suites/test_witness.py", "--wait=1", stderr=subprocess.PIPE)
        said, complaint = second.communicate(timeout=60)
        assert re.match(
            rf"pagemap-scan: waiting for another run \(process {os.getpid()}\), which has changed this machine, until "
            r"\d\d:\d\d:\d\d at the latest\n",
            complaint,
        )
        assert second.returncode == 5 and "pagemap-scan: not tested: another run (process" in complaint
        assert "Traceback" not in said + complaint
        third = start_run("suites/test_witness.py", "-k", "anon-protected", "--no-machine-setup", "--wait=0")
        assert ended(third) == 0


@pytest.mark.parametrize("is_alone", [False, True], ids=["beside-others", "alone"])
def test_ksm_runs_for_a_run_that_has_the_machine_for_itself(alone: None, is_alone: bool) -> None:
    before = state_of_the_machine()
    if os.geteuid() != 0 or before["ksm"] != ["0\n"]:
        pytest.skip("KSM isn't there to be switched on: run as root on a machine where it's off")
    with machine.Machine(1, host.find_sizes(), is_alone=is_alone):
        assert state_of_the_machine()["ksm"] == (["1\n"] if is_alone else ["0\n"])
    assert state_of_the_machine() == before


def locked(path: Path) -> Journal:
    journal = Journal(path, UNDO)
    journal.lock(0, lambda sentence: None)
    return journal


def test_a_note_that_was_not_finished_is_passed_over(tmp_path: Path) -> None:
    path, knob = tmp_path / "journal", tmp_path / "knob"
    path.write_text(json.dumps(["write", str(knob), "old"]) + '\n["write", "/nowh')
    journal = locked(path)
    assert journal.undo_all() == [] and knob.read_text() == "old"
    journal.close()
    assert not path.exists()


def test_what_cannot_be_put_back_is_said_and_tried_again_by_the_next_run(tmp_path: Path) -> None:
    path, knob = tmp_path / "journal", tmp_path / "directory" / "knob"
    note = json.dumps(["write", str(knob), "old"]) + "\n"
    path.write_text(note)
    journal = locked(path)
    assert len(journal.undo_all()) == 1
    journal.close()
    assert path.read_text() == note
    knob.parent.mkdir()
    again = locked(path)
    assert again.undo_all() == [] and knob.read_text() == "old"


def test_a_change_that_is_refused_leaves_nothing_to_undo(tmp_path: Path) -> None:
    machine = Machine(1, find_sizes(), tmp_path / "journal")
    machine.journal.lock(0, lambda sentence: None)
    with pytest.raises(OSError, match="No such file"):
        machine.change(tmp_path / "no" / "where", "new", "old")
    assert machine.journal.undo_all() == []


def test_what_cannot_be_put_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Machine(1, find_sizes(), tmp_path / "journal")
    monkeypatch.setattr(found, "set_up", lambda: found.journal.note("write", "/no/where", "old") and {})
    found.__enter__()
    with pytest.raises(MachineError, match="not put back: "):
        found.put_back()
    found.put_back()
