"""What a person sees while a guest runs."""

from __future__ import annotations

import time
from typing import TextIO

from vm.guest.boot import Setup
from vm.guest.marks import MARK
from vm.kernels.kernel import Kernel


class Progress:
    """Listens to a console: each stage is a line, and a terminal is told which test runs."""

    def __init__(self, kernel: Kernel, setup: Setup, out: TextIO) -> None:
        self.out = out
        self.done = 0
        self.has_begun = False
        self.begun = time.monotonic()
        self.say(f"booting {kernel.name} ({setup.accel}, {setup.cpus} CPUs, {setup.memory})")

    def say(self, words: str, end: str = "\n") -> None:
        self.out.write(words + end)
        self.out.flush()

    def heard(self, line: str) -> None:
        """A line of the console."""
        match line.partition(MARK)[2].split():
            case ["booted"]:
                self.say(f"booted after {time.monotonic() - self.begun:.1f} s")
            case ["start", _, *test]:
                self.started(" ".join(test))
            case ["end", *_]:
                self.done += 1

    def started(self, test: str) -> None:
        if not self.has_begun:
            self.has_begun = True
            self.say(f"first test after {time.monotonic() - self.begun:.1f} s")
        if self.out.isatty():
            self.say(f"\r\x1b[K{self.done} done, {test[-60:]}", end="")
