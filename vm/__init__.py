"""Boots a kernel in a virtual machine, runs the conformance suite in it, and brings the verdict back."""

from __future__ import annotations

import os
from pathlib import Path

#: The directory of this suite: where pytest is started, here and in the guest.
CHECKOUT = Path(__file__).resolve().parents[1]


class CannotRun(Exception):
    """A kernel couldn't be had, built, booted or asked; the message is one sentence that says why.

    The exit status is then 125, which ``git bisect run`` takes for "skip this one".
    """

    verdict = "not tested"


class NotTold(CannotRun):
    """The run itself failed, after something had been asked: what came of that says nothing of the whole."""

    verdict = "not told"


class CannotBeAsked(CannotRun):
    """The kernel booted, and the suite found that it lacks what is asked."""


def told(error: OSError) -> str:
    """What the system says, in a sentence: of which file, if it says so."""
    said = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {said}" if error.filename and error.strerror else said
