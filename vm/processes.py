"""Programs of the host: where they are found, how they are started and ended, and how this one is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from vm import CannotRun


def search_path() -> str:
    """PATH with the programs of this Python's environment first, and those of the administrator's directories."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def carried_out(
    command: Sequence[str | Path], limit: float, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command, done, in English, with more in its environment. Raises CannotRun past the limit of seconds."""
    environment = {**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8", **(environment or {})}
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=limit, cwd=cwd, env=environment
        )
    except subprocess.TimeoutExpired:
        words = " ".join([Path(command[0]).name, *map(str, command[1:3])])
        raise CannotRun(f"{words} isn't done after {limit:.0f} s") from None


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
def processes_of(command: list[str], home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own: when the context is left, the whole of it is ended.

    virtme-ng gets pipes, since QEMU truncates what is a file.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=private_environment(home),
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()
