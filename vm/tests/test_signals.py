"""Ctrl-C and kill(1) end the harness through all that it has to clean up, however often they come."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from vm import CHECKOUT

#: A program that is interrupted, again while it cleans up, when it is about to say so, and as Python exits.
PROGRAM = """\
import os, signal, sys
from vm.processes import ended_by_signals
again = lambda: os.kill(os.getpid(), {number})
try:
    with ended_by_signals():
        try:
            again()
        finally:
            again()
            print("cleaned up")
except KeyboardInterrupt as told:
    again()
    print("interrupted by", told, flush=True)
    class Last:
        def __del__(self, kill=os.kill, me=os.getpid()):
            kill(me, {number})
    sys.last = Last()
    sys.exit(3)
"""


def run_with(number: signal.Signals, *before: str) -> tuple[int, str]:
    done = subprocess.run(
        [*before, sys.executable, "-c", PROGRAM.format(number=int(number))],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_comes_after_the_first_signal_changes_nothing(number: signal.Signals) -> None:
    assert run_with(number) == (3, f"cleaned up\ninterrupted by {number.name}\n")


def test_what_is_ignored_stays_ignored() -> None:
    assert run_with(signal.SIGHUP, "nohup") == (0, "cleaned up\n")
