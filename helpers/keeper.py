"""The keeper: a process that changes the machine for a run, and puts it back when the run is over or gone.

It is in a session of its own and ignores every signal that can be ignored, so that neither Ctrl-C nor the run's death,
however it came about, keeps it from putting the machine back.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

Work = Callable[[], object]


class Keeper:
    """The process as its parent sees it: what it does first, and what it does in the end."""

    def __init__(self, first: Work, last: Work, keeps: Iterable[int]) -> None:
        """Starts it. What ``first`` and ``last`` return is passed on as JSON; it keeps those descriptors open.

        Raises ChildProcessError when no process can be had.
        """
        answers, answering = os.pipe()
        hearing, self._wish = os.pipe()
        try:
            self.process = os.fork()
        except OSError as error:
            raise ChildProcessError(f"no process that changes the machine for this run: {error.strerror}") from None
        if self.process == 0:
            try:
                detach({answering, hearing, *keeps})
                keep(first, last, answering, hearing)
            finally:
                os._exit(1)
        os.close(answering)
        os.close(hearing)
        self._answers = os.fdopen(answers)
        #: How many answers are still to come.
        self._due = 2

    def answer(self) -> object:
        """What came of the next of its two deeds. Raises ChildProcessError when it died before it was done."""
        line = self._answers.readline()
        self._due -= 1
        if not line:
            raise ChildProcessError("the process that changes the machine for this run died")
        return json.loads(line)

    def end(self) -> object:
        """Has it do the last thing; returns what came of that. Raises ChildProcessError when it died before."""
        try:
            with suppress(BrokenPipeError):
                os.write(self._wish, b"!")
            while self._due > 1:  # What came of the first, when nobody waited for it.
                self.answer()
            return self.answer()
        finally:
            self._answers.close()
            os.close(self._wish)
            with suppress(ChildProcessError):
                os.waitpid(self.process, 0)


def detach(keeps: set[int]) -> None:
    """Has nothing any more that others wait for or that reaches it, but for these descriptors."""
    os.setsid()
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        if standard not in keeps:
            os.dup2(nowhere, standard)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor not in keeps:
            with suppress(OSError):
                os.close(descriptor)
    for file, text in (("oom_score_adj", "-1000"), ("comm", "pagemap-keeper")):
        with suppress(OSError):  # What is out of memory is not to be helped by ending this.
            Path("/proc/self", file).write_text(text)


def keep(first: Work, last: Work, answering: int, hearing: int) -> NoReturn:
    """What the process does."""
    for work in (first, last):
        try:
            said = work()
        except BaseException as error:
            said = [f"{type(error).__name__}: {error}"]
        with suppress(BrokenPipeError):
            os.write(answering, (json.dumps(said) + "\n").encode())
        if work is first:
            os.read(hearing, 1)  # Nothing comes when the run is gone.
    os._exit(0)
