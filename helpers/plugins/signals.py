"""How a run is ended by signals: the first ends it through every ``finally``, and none disturbs the way back."""

from __future__ import annotations

import signal
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_came: list[int] = []


def _interrupt(number: int, frame: FrameType | None) -> None:
    _came.append(number)
    if len(_came) == 1:
        raise KeyboardInterrupt(signal.Signals(number).name)


def listen() -> None:
    """What is ignored stays ignored, as nohup(1) wants it, and a shell for what it starts in the background."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def turn_back() -> None:
    """From now on nothing but SIGKILL and SIGQUIT ends this process."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def leave_to_parent() -> None:
    """Ctrl-C reaches every process of a run, and its first one tells the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def hear_of_children() -> None:
    """Where whoever started this ignores SIGCHLD, nobody is told what became of a process."""
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
