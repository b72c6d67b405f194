"""What is started ends with the run that started it, a run that is killed included, and so do its temporary files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vm import CHECKOUT, CannotRun, temporary
from vm.processes import Kept, carried_out

#: A run with a temporary directory and a command, that says when the command runs, and waits.
RUN = """\
import sys, time
from vm import temporary
from vm.processes import Kept
with temporary.directory() as work, Kept(["sh", "-c", sys.argv[1], str(work)], grace={grace}) as kept:
    time.sleep(100)
"""
#: A shell with a child, a grandchild whose parent is gone, and one in a session of its own, all of one age.
FAMILY = "sleep {age} & (sleep {age} &) ; setsid sleep {age} & echo $$ >$0/began; sleep {age}; true"
#: Asked to end, it takes a moment to say that it did.
ORDERLY = "trap 'sleep 0.5; echo ended >{told}; exit' TERM; echo >$0/began; while :; do sleep 0.1; done"


def wait_until(told: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_with(word: str) -> list[str]:
    """The command lines of the processes that have this word."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            found.append(b" ".join(words).decode())
    return found


@pytest.fixture
def age() -> str:
    """Seconds that no other process sleeps."""
    return f"300.{os.getpid()}"


def begun(tmp_path: Path, command: str, grace: float = 0) -> subprocess.Popen[bytes]:
    """A run whose command has begun."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN.format(grace=grace), command],
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    wait_until(lambda: list(tmp_path.glob("pagemap-scan-vm-*/began")))
    return run


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path, age: str, number: signal.Signals) -> None:
    run = begun(tmp_path, FAMILY.format(age=age))
    wait_until(lambda: len(processes_with(age)) == 4)
    os.killpg(run.pid, number)
    run.wait()
    wait_until(lambda: not processes_with(age))
    wait_until(lambda: not list(tmp_path.iterdir()))


def test_nothing_outlives_a_context_that_is_left(tmp_path: Path, age: str) -> None:
    with Kept(["sh", "-c", FAMILY.format(age=age), str(tmp_path)]):
        wait_until(lambda: len(processes_with(age)) == 4)
    assert processes_with(age) == []


def test_what_a_command_leaves_running_does_not_outlive_it(age: str) -> None:
    carried_out(["sh", "-c", f"sleep {age} >&- 2>&- & setsid sleep {age} >&- 2>&- &"], limit=30)
    assert processes_with(age) == []


def test_a_command_has_the_time_to_end_in_order(tmp_path: Path) -> None:
    told = tmp_path / "told"
    run = begun(tmp_path, ORDERLY.format(told=told), grace=10)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_until(told.exists)
    wait_until(lambda: list(tmp_path.iterdir()) == [told])


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    with temporary.directory(tmp_path) as alive:
        dead = tmp_path / f"{temporary.PREFIX}dead"
        (dead / "directory").mkdir(parents=True)
        others = tmp_path / "of-somebody-else"
        others.mkdir()
        (tmp_path / f"{temporary.PREFIX}link").symlink_to(others)
        with temporary.directory(tmp_path) as found:
            assert alive.exists() and found.exists() and others.exists()
            assert not dead.exists()
        assert not found.exists()
    assert not alive.exists()


@pytest.mark.parametrize(
    ("command", "status", "out", "err"),
    [
        ("echo out; echo err >&2", 0, "out\n", "err\n"),
        ("exit 3", 3, "", ""),
        ("kill -SEGV $$", 139, "", ""),
        ("grep -E 'Sig(Ign|Blk)' /proc/self/status | tr -d '\\n'", 0, "SigBlk:\t{blocked}SigIgn:\t{ignored}", ""),
        ("ls /proc/self/fd | wc -l", 0, "4\n", ""),
    ],
    ids=["prints", "fails", "dies", "signals", "descriptors"],
)
def test_a_command_is_as_if_nobody_kept_it(command: str, status: int, out: str, err: str) -> None:
    """It ignores what is ignored here, but for what Python ignores for itself alone."""
    told = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if line[:3] == "Sig")
    of_python = sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))
    ignored = f"{int(told['SigIgn'], 16) & ~of_python:016x}"
    done = carried_out(["sh", "-c", command], limit=30)
    out = out.format(blocked=told["SigBlk"], ignored=ignored)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


def test_a_program_that_is_missing_is_said() -> None:
    with pytest.raises(CannotRun, match=r"^no-such-program is missing$"):
        carried_out(["no-such-program"], limit=30)
