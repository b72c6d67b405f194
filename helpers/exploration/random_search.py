"""The search among random programs: one that differs is shrunk, and kept for the next run."""

from __future__ import annotations

import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.strategies import SearchStrategy

from helpers.exploration.judge import Judge, Tally
from helpers.exploration.random_programs import Program
from helpers.lab import KernelDiffers

#: So many programs are drawn from one seed: between such batches it is seen whether time is over.
BATCH = 25


class RandomSearch:
    """Runs programs that are drawn, as a :class:`Judge` does. ``kept``: the directory in which those that differ are
    kept. ``replays``: those that were kept before are run first; of searches that share a directory, one is to do it,
    or each would end at the first that still differs."""

    def __init__(self, judge: Judge, drawn: SearchStrategy[Program], kept: Path, replays: bool = True) -> None:
        self.judge = judge
        self.drawn = drawn
        self.kept = kept
        self.replays = replays
        self.tally = judge.tally
        self.difference: KernelDiffers | None = None

    def run(self, first_seed: int, programs: int, seconds: float | None = None) -> Tally:
        """So many programs; with ``seconds`` as many as there is time for. Raises KernelDiffers for the shortest found
        that is told otherwise than it is known."""
        end = None if seconds is None else time.monotonic() + seconds
        number = first_seed
        while self.tally.programs < programs if end is None else time.monotonic() < end:
            self.run_batch(number, BATCH if end else min(BATCH, programs - self.tally.programs))
            number += 1
        return self.tally

    def run_batch(self, number: int, programs: int) -> None:
        # In this order: a seed takes the database away, since what it gives it gives again.
        ask = settings(
            max_examples=programs,
            deadline=None,
            database=DirectoryBasedExampleDatabase(self.kept),
            report_multiple_bugs=False,
            phases=(*([Phase.reuse] if self.replays else []), Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )(seed(number)(given(self.drawn)(self.ask)))
        self.replays = False
        try:
            ask()
        except KernelDiffers:
            if self.difference is None:
                raise
            # What hypothesis adds is the program once more, and longer than anybody reads.
            told = KernelDiffers(*self.difference.args)
            told.add_note(self.difference.__notes__[0])
            raise told from None

    def ask(self, program: Program) -> None:
        self.tally.programs += 1
        self.tally.unspecified += program.unspecified
        self.tally.passed_over += program.passed_over
        try:
            self.judge.judge(program.operations, program.expected, program.predicted)
        except KernelDiffers as difference:
            self.difference = difference
            raise
