"""Programs of the host: where they are found, how they are started and ended, and how this one is ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from vm import CannotRun, locks, temporary

KEEPER = Path(__file__).with_name("keeper.py")
#: Seconds that a keeper is given beyond the command's own, before it is killed itself.
KEEPERS_OWN = 20.0


def search_path() -> str:
    """PATH with the programs of this Python's environment first, and those of the administrator's directories."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH") or os.defpath, "/usr/sbin", "/sbin"]
    return os.pathsep.join(places)


class Kept:
    """A command with a keeper (vm/keeper.py): it ends when it is to, or with this process, however that ends.

    It has ``grace`` seconds after SIGTERM; without, it is killed. It leads a session of its own, unless it has to do
    with a terminal. The options are those of Popen.
    """

    def __init__(self, command: Sequence[str | Path], grace: float = 0, session: bool = True, **options: Any) -> None:
        self.grace = grace
        theirs, self.pipe = os.pipe()
        try:
            kept = [str(theirs), str(os.getpid()), str(grace), *temporary.directories, "--", *command]
            self.process: subprocess.Popen[Any] = subprocess.Popen(
                [sys.executable, "-I", "-S", KEEPER, *kept],
                pass_fds=[theirs, *locks.held],
                start_new_session=session,
                **options,
            )
        except BaseException:
            os.close(self.pipe)
            raise
        finally:
            os.close(theirs)

    def let_go(self) -> None:
        """Has the command ended, without waiting for it."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def end(self) -> None:
        """Ends the command, and waits until all of it is gone."""
        self.let_go()
        try:
            self.process.wait(self.grace + KEEPERS_OWN)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()


def carried_out(
    command: Sequence[str | Path], limit: float, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command, done, in English, with more in its environment.

    Raises CannotRun past the limit of seconds, and when there is no such program.
    """
    environment = {**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8", **(environment or {})}
    environment.pop("PYTHONSAFEPATH", None)  # Programs in Python are started in the checkout, and find it there.
    program = Path(command[0]).name
    if not shutil.which(command[0], path=environment["PATH"]):
        raise CannotRun(f"{program} is missing")
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Kept(command, cwd=cwd, env=environment, encoding="utf-8", errors="replace", **options) as kept:
        try:
            out, err = kept.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            told = " ".join([program, *map(str, command[1:3])])
            raise CannotRun(f"{told} isn't done after {limit:.0f} s") from None
    return subprocess.CompletedProcess(command, kept.process.returncode, out, err)


def signal_name(number: int) -> str:
    """What a signal is called; a number that is none, too."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the program as Ctrl-C does: through every ``finally``.

    After the first, no other disturbs what is cleaned up, nor how the program ends. What was ignored stays ignored,
    as nohup(1) wants it.
    """
    before: dict[signal.Signals, Any] = {}
    came: list[str] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)
        if len(came) == 1:
            raise KeyboardInterrupt(*came)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if came else handler)  # Python gives up other handlers as it exits.


def private_environment(home: Path) -> dict[str, str]:
    """The environment for virtme-ng: whatever is in the user's home must not matter.

    Its temporary files are there too, since it is ended before it can remove them.
    """
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "TMPDIR"), str(home))
    return {**os.environ, **places, "PATH": search_path()}


@contextmanager
def processes_of(command: Sequence[str], home: Path, grace: float = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own: when the context is left, the whole of it is ended.

    virtme-ng gets pipes, since QEMU truncates what is a file.
    """
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with Kept(command, grace, env=private_environment(home), **options) as kept:
        yield kept.process
