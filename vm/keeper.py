"""Keeps a command: nothing of it outlives the process that asked for it, however that one ends.

    keeper.py PIPE PARENT GRACE [DIRECTORY ...] -- COMMAND ...

The process that asks holds the other end of a pipe, and writes nothing to it. When that end is closed, by the process
or by the kernel after SIGKILL, all of the command is ended: its process group is asked to, for GRACE seconds, and what
is left then is killed, also what has put itself into a session of its own. A process that is gone can't remove its
temporary DIRECTORIES: the keeper does. Its exit status is the command's, as a shell tells it.

A program by itself, with nothing but Python's own library, so that it starts at once.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
#: What Python ignores, and a command must not; and what ends a command, but not its keeper.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: A shell's exit status for a command that can't be started; what it adds to a signal.
NOT_STARTED, DIED_OF_SIGNAL = 127, 128
#: Seconds for killed processes to be gone; one that the kernel doesn't let go is left.
GONE = 10.0
#: Seconds for what a command leaves running when it ends.
LEFT_RUNNING = 1.0


def start(command: list[str]) -> int:
    """The command's process."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    process = os.fork()
    if process:
        return process
    try:
        for number in (*IGNORED_BY_PYTHON, *(number for number in ENDING if before[number] != signal.SIG_IGN)):
            signal.signal(number, signal.SIG_DFL)
        os.closerange(3, 1 << 20)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="replace"))
    finally:
        os._exit(NOT_STARTED)


class Keeper:
    """The processes below this one: a process whose parent ends becomes this one's child."""

    def __init__(self, command: list[str]) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.woken, wakes = os.pipe()
        for end in (self.woken, wakes):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self.status: int | None = None
        self.process = start(command)

    def reap(self) -> bool:
        """Whether any are left."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not process:
                return True
            if process == self.process:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else DIED_OF_SIGNAL - code

    def follow(self, pipe: int) -> None:
        """Waits until the command ends, or has to."""
        ready: list[int] = []
        while self.reap() and self.status is None and pipe not in ready:
            ready, _, _ = select.select([self.woken, pipe], [], [])
            if self.woken in ready:
                os.read(self.woken, 1 << 10)

    def wait(self, seconds: float) -> None:
        """Waits until none are left, at most so long."""
        deadline = time.monotonic() + seconds
        while self.reap() and (left := deadline - time.monotonic()) > 0:
            select.select([self.woken], [], [], left)
            with contextlib.suppress(BlockingIOError):
                os.read(self.woken, 1 << 10)

    def end(self, grace: float) -> None:
        """Ends all of them."""
        leads = os.getpgrp() == os.getpid()
        if grace and leads:
            os.killpg(0, signal.SIGTERM)
            self.wait(grace)
        deadline = time.monotonic() + GONE
        while self.reap() and time.monotonic() < deadline:
            for process in below(leads):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self.wait(0.02)


def below(leads: bool) -> list[int]:
    """This process's children, and those of its group when it leads it."""
    me, found = os.getpid(), []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            process, _, told = path.read_text(errors="replace").rpartition(") ")
        except OSError:
            continue
        _, parent, group, *_ = told.split()
        number = int(process.split()[0])
        if number != me and (int(parent) == me or (leads and int(group) == me)):
            found.append(number)
    return found


def main(pipe: int, parent: int, grace: float, directories: list[str], command: list[str]) -> int:
    keeper = Keeper(command)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)  # Whoever reads what the command prints, reads until all of it is gone.
    keeper.follow(pipe)
    if keeper.status is not None:
        keeper.wait(LEFT_RUNNING)
    keeper.end(grace)
    if os.getppid() != parent:
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
    return DIED_OF_SIGNAL + signal.SIGKILL if keeper.status is None else keeper.status


if __name__ == "__main__":
    split = sys.argv.index("--")
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:split], sys.argv[split + 1 :]))
