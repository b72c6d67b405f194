"""The suite on many kernels: in what order, and as many at once as the machine can hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vm import CHECKOUT, CannotRun
from vm.kernels.table import Row
from vm.processes import Kept
from vm.results.verdict import CONFORMS, DOES_NOT, NOT_ASKED, Verdict, directory_of, verdict_of

#: As QEMU reads a size of memory.
_UNITS = {"K": 1 << 10, "": 1 << 20, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: QEMU's own memory, and what the emulated guest's page tables and caches cost the host, in bytes.
OVERHEAD = 512 << 20
#: Seconds for a run to end in its own orderly way.
GRACE = 30.0


def jobs_for(cpus: int, memory: str) -> int:
    """How many guests of this size the machine can hold at once, at least one. Raises CannotRun."""
    return max(1, min(guests_in_memory(memory), len(os.sched_getaffinity(0)) // cpus))


def guests_in_memory(memory: str) -> int:
    """For how many guests of this size the machine has the memory now. Raises CannotRun."""
    if not (given := re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", memory.upper())):
        raise CannotRun(f"--memory={memory}: give a number of MiB, or one with K, M, G or T")
    needed = int(float(given[1]) * _UNITS[given[2]]) + OVERHEAD
    available = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    return int(available[1]) * 1024 // needed if available else 1


def longest_first(chosen: Sequence[Row], results: Path) -> list[Row]:
    """By how long they took the last time; what never ran may take longest."""

    def seconds(row: Row) -> float:
        verdict = verdict_of(row, results)
        return verdict.seconds if verdict else float("inf")

    return sorted(chosen, key=seconds, reverse=True)


def run(chosen: Sequence[Row], results: Path, jobs: int, arguments: Sequence[str], say: Callable[[str], None]) -> int:
    """Runs each row in a process of its own. Returns the exit status for all: DOES_NOT before NOT_ASKED before 0."""
    waiting = longest_first(chosen, results)
    running: dict[Row, Kept] = {}
    outcomes: set[int] = set()
    with ended_together(running):
        while waiting or running:
            while waiting and len(running) < jobs:
                row = waiting.pop(0)
                say(f"{row.name}: begun ({row.why})")
                running[row] = start(row, results, arguments)
            for row in [row for row, kept in running.items() if kept.process.poll() is not None]:
                kept = running.pop(row)
                kept.end()
                last = last_words(row, results)
                verdict = own_verdict(row, results, last)
                outcomes.add(outcome(row, kept.process.returncode, verdict))
                say(f"{row.name}: {last or f'ended with status {kept.process.returncode}'}")
            time.sleep(0.2)  # Between looks at processes that take minutes.
    return next((status for status in (DOES_NOT, NOT_ASKED) if status in outcomes), CONFORMS)


def outcome(row: Row, status: int, verdict: Verdict | None) -> int:
    """The status of a row as it counts: a kernel that lacks what is asked, and is to, is right to say so."""
    if not row.tested and status == NOT_ASKED and verdict and verdict.is_answer:
        return CONFORMS
    if not row.tested and status == CONFORMS:
        return DOES_NOT
    return status if status in (CONFORMS, DOES_NOT) else NOT_ASKED


def last_words(row: Row, results: Path) -> str:
    """The verdict that a row's run has told; what is beside its reports may be another run's."""
    try:
        said = log_of(row, results).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in reversed(said) if line.startswith("pagemap-scan: ")), "")


def own_verdict(row: Row, results: Path, last_words: str) -> Verdict | None:
    """What a row's run has kept of what it told."""
    verdict = verdict_of(row, results)
    return verdict if verdict and verdict.line and last_words.endswith(verdict.line) else None


def log_of(row: Row, results: Path) -> Path:
    """What a row's run prints is beside its reports."""
    return directory_of(row, results).directory / "run.log"


def start(row: Row, results: Path, arguments: Sequence[str]) -> Kept:
    """The run of a row."""
    directory = directory_of(row, results).directory
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "vm", "run", row.name, f"--results={directory.resolve()}", *arguments]
    with log_of(row, results).open("w") as log:
        return Kept(command, GRACE, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@contextmanager
def ended_together(running: dict[Row, Kept]) -> Iterator[None]:
    """Whatever ends this ends the runs too, each in its own orderly way."""
    try:
        yield
    finally:
        for kept in running.values():
            kept.let_go()
        for kept in running.values():
            kept.end()
