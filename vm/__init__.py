"""Boots a kernel in a virtual machine, runs the conformance suite in it, and brings the verdict back."""

from __future__ import annotations

from pathlib import Path

#: The directory of this suite: where pytest is started, here and in the guest.
CHECKOUT = Path(__file__).resolve().parents[1]


class CannotRun(Exception):
    """A kernel couldn't be had, built, booted or asked; the message is one sentence that says why.

    The exit status is then 125, which ``git bisect run`` takes for "skip this one".
    """
