"""How long a run takes to say that a kernel is broken: ``python -m helpers.tests.first_failure [FAULT…]``.

Each planted fault is a stub's, and the suite asks it as for somebody who wants to know soon: with two workers, up to
the first failure.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from helpers.tests.faults import FAULTS

ROOT = Path(__file__).parents[2]
#: Seconds after which a run that goes on is ended.
LIMIT = 600


def seconds_until_told(fault: str) -> float | None:
    """How long it took from the start of pytest to its end; None where it found nothing. Raises TimeoutExpired."""
    with tempfile.TemporaryDirectory() as kept:
        options = ["-q", "-x", "-n", "2", f"--stub={fault}", f"--failures={kept}"]
        begun = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, capture_output=True, timeout=LIMIT)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{fault}: pytest ended with status {done.returncode}")
        return time.monotonic() - begun if done.returncode else None


def main(faults: Sequence[str], told: Callable[[str], float | None] = seconds_until_told) -> None:
    """Prints a line for each fault, the slowest first, and behind them the median."""
    rows = {fault: told(fault) for fault in faults}
    never = [fault for fault, seconds in rows.items() if seconds is None]
    found = {fault: seconds for fault, seconds in rows.items() if seconds is not None}
    for fault in never:
        print(f"{fault}: not found")
    for fault, seconds in sorted(found.items(), key=lambda row: -row[1]):
        print(f"{fault}: {seconds:.1f} s")
    if found:
        print(f"median of {len(found)}: {statistics.median(found.values()):.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:] or list(FAULTS))
