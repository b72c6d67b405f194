"""The journal: how each change of the machine is undone, written down before the change is made.

Whoever holds its lock may change the machine. A run that is killed with all its processes leaves it, and the next run
undoes what it says.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from helpers.interface.native import SuiteError

#: With which a run says at the journal's beginning who it is.
RUN = "run"


class MachineError(SuiteError):
    """The machine can't be set up, or not be put back; the message says what was tried."""


class Journal:
    """The file, and its lock, which is gone with the last process that has the file open."""

    def __init__(self, path: Path, undo: Mapping[str, Callable[..., None]]) -> None:
        """``undo``: how each kind of note is undone; all may be done twice."""
        self.path = path
        self.undo: dict[str, Callable[..., None]] = {**undo, RUN: lambda process: None}
        self._file: TextIO | None = None

    def lock(self, patience: float, say: Callable[[str], None]) -> None:
        """Waits for the run that has it, when there is one, and says so at once.

        Raises OSError when there can't be a journal here, MachineError when the other isn't done in so many seconds.
        """
        deadline = time.monotonic() + patience
        waits = False
        while (found := self._locked()) is None:
            if time.monotonic() >= deadline:
                raise MachineError(f"{self._other()} has changed this machine, and isn't done after {patience:.0f} s")
            if not waits:
                until = time.strftime("%H:%M:%S", time.localtime(time.time() + patience))
                say(f"waiting for {self._other()}, which has changed this machine, until {until} at the latest")
                waits = True
            time.sleep(0.2)
        self._file = found

    def _locked(self) -> TextIO | None:
        """The file with its lock; None when another has it, or has just removed the file."""
        file = self.path.open("a+")
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is(file):
                return file
        file.close()
        return None

    def _is(self, file: TextIO) -> bool:
        """Whether a file is the one that others find under the path: the last run removed its own."""
        return os.stat(self.path).st_ino == os.fstat(file.fileno()).st_ino

    def _other(self) -> str:
        """Whoever has the lock, in words."""
        with suppress(OSError, ValueError, IndexError):
            action, process = json.loads(self.path.read_text().splitlines()[0])
            if action == RUN:
                return f"another run (process {process})"
        return "another run"

    def fileno(self) -> int:
        return self._open().fileno()

    def _open(self) -> TextIO:
        if self._file is None:
            raise MachineError("the machine is changed only while the journal is locked")
        return self._file

    def note(self, action: str, *arguments: Any) -> int:
        """Writes down, to the disk, how the next change is undone. Returns the note's place."""
        file = self._open()
        place = os.fstat(file.fileno()).st_size
        file.write(json.dumps([action, *arguments]) + "\n")
        file.flush()
        os.fsync(file.fileno())
        return place

    def withdraw(self, place: int) -> None:
        """Forgets a note, and what came after it: the change wasn't made."""
        self._open().truncate(place)

    def notes(self) -> list[tuple[str, list[Any]]]:
        """What has been changed, first to last: each action with its arguments. Nothing of one that is closed."""
        if (file := self._file) is None:
            return []
        file.seek(0)
        found = [json.loads(line) for line in file.read().splitlines()]
        return [(action, arguments) for action, *arguments in found if action != RUN]

    def undo_all(self) -> list[str]:
        """Undoes what the journal says, last first; returns what couldn't be undone, which stays in it."""
        file = self._open()
        file.seek(0)
        failed, kept = [], []
        for line in reversed(file.read().splitlines()):
            try:
                action, *arguments = json.loads(line)
                self.undo[action](*arguments)
            except (json.JSONDecodeError, KeyError):
                continue  # The run was killed while it wrote the note: the change wasn't made.
            except (OSError, SuiteError) as error:
                failed.append(f"{line}: {error}")
                kept.append(line)
        file.truncate(0)
        file.write("".join(f"{line}\n" for line in reversed(kept)))
        file.flush()
        return failed

    def empty(self) -> None:
        """Forgets what couldn't be undone."""
        self._open().truncate(0)

    def close(self) -> None:
        """Gives the lock back. The file is removed when there is nothing left in it."""
        if self._file is None:
            return
        with suppress(OSError):
            if os.fstat(self._file.fileno()).st_size == 0 and self._is(self._file):
                self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None
