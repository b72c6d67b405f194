"""What a person sees while a guest runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from vm.guest.boot import Setup
from vm.guest.marks import MARK
from vm.kernels.kernel import Kernel


class Progress:
    """Listens to a console: each stage is a line, and a terminal is told which test runs."""

    def __init__(self, kernel: Kernel, setup: Setup, say: Callable[..., None], is_terminal: bool) -> None:
        self.say = say
        self.is_terminal = is_terminal
        self.done = 0
        self.has_begun = False
        self.begun = time.monotonic()
        self.say(f"booting {kernel.name} ({setup.accel}, {setup.cpus} CPUs, {setup.memory})")

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
        if self.is_terminal:
            self.say(f"\r\x1b[K{self.done} done, {test[-60:]}", end="")
