"""What a guest says on its console: kept in a file, and followed for what it tells of the run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from vm.guest.marks import MARK
from vm.guest.splats import Listener, is_oops
from vm.processes import signal_name

#: Once the kernel has panicked, QEMU ends by itself; seconds to wait for that.
LAST_WORDS = 10.0
#: Seconds from an oops to the guest's end. The task that it stopped may hold locks, and whatever takes them next waits
#: until some limit is over: nothing that is asked later says much of the kernel. Meanwhile the rest of the splat comes,
#: within a second even when emulated, and the reports of tests that are just ending are kept.
OOPS_GRACE = 10.0
_PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
#: The kernel looks for these every two minutes; what it finds doesn't go on any more.
_HUNG = re.compile(r"INFO: task (\S+):\d+ blocked for more than \d+ seconds")
#: After this QEMU stands still and never exits.
_KVM_BROKEN = "KVM internal error"


@dataclass(frozen=True)
class Trouble:
    """Why a guest was lost, or has to be ended: a sentence, and whether the kernel is to blame.

    A kernel that isn't, hasn't failed: it couldn't be asked.
    """

    says: str
    by_kernel: bool = True


#: Seen with QEMU 7.2, once in some eighty boots: of two emulated processors, one executes the breakpoint that the other
#: has put for an instant in the place of an instruction, as kernels do to change their own code (static keys), when
#: it isn't there any more.
EMULATOR_FAILED = Trouble("QEMU's emulation lost a change that the kernel made to its own code (int3)", by_kernel=False)
_BREAKPOINT = re.compile(r"int3: 0000 \[#1\]")


@dataclass(frozen=True)
class Limits:
    """Seconds: until the guest's script runs, without a word on the console, for one test, for the whole.

    A test that takes all of its time may be silent for as long, and pytest has to start before the first.
    """

    boot: float = 60
    silence: float = 180
    test: float = 120
    whole: float = 900

    def scaled(self, factor: float) -> Limits:
        """The same limits for a guest that is so many times slower."""
        return Limits(self.boot * factor, self.silence * factor, self.test * factor, self.whole * factor)


class Console:
    """Follows a guest: whether it has booted, what it runs, whether it panicked, oopsed or is past a limit."""

    def __init__(self, log: IO[str], limits: Limits, is_emulated: bool, heard: Callable[[str], None]) -> None:
        self.log = log
        self.limits = limits
        self.is_emulated = is_emulated
        self.heard = heard
        self.begun = self.last_word = time.monotonic()
        self.booted_at: float | None = None
        self.last_trouble: Trouble | None = None
        self.stops_at = 0.0
        self.oopsed_at_boot = ""
        self.running: dict[str, tuple[str, float]] = {}
        self.complaints = Listener()
        self._rest = ""

    def take(self, data: bytes) -> None:
        """Bytes as they come; lines are acted upon when they are whole."""
        self.last_word = time.monotonic()
        *lines, self._rest = (self._rest + data.decode(errors="replace")).split("\n")
        for line in lines:
            self.line(line.rstrip("\r"))

    def line(self, line: str) -> None:
        self.log.write(line + "\n")
        self.log.flush()
        self.heard(line)
        self.complaints.line(line)
        if MARK in line:
            self.mark(line.split(MARK, 1)[1].split())
        elif self.last_trouble is None:
            self.look_for_trouble(line)

    def look_for_trouble(self, line: str) -> None:
        if found := _PANIC.search(line):
            self.stop(Trouble(f"the kernel panicked: {found[1]}"), LAST_WORDS)
        elif found := _HUNG.search(line):
            self.stop(Trouble(f"the guest hangs: the kernel says that {found[1]} is blocked"), LAST_WORDS)
        elif self.booted_at is None and self.is_emulated and _BREAKPOINT.search(line):
            self.stop(EMULATOR_FAILED, 0)
        elif is_oops(line) and self.booted_at is not None:
            self.stop(Trouble(f"the kernel oopsed: {self.complaints.title}"), OOPS_GRACE)
        elif is_oops(line):  # A driver may do so at boot, and nobody need mind.
            self.oopsed_at_boot = self.oopsed_at_boot or f"; the kernel oopsed: {self.complaints.title}"
        elif _KVM_BROKEN in line:
            self.stop(Trouble("KVM can't run this guest (KVM internal error): give --accel=tcg", by_kernel=False), 0)

    def stop(self, trouble: Trouble, within: float) -> None:
        """The guest comes to its end: what it still says may be heard for so many seconds."""
        self.last_trouble, self.stops_at = trouble, time.monotonic() + within

    def mark(self, words: list[str]) -> None:
        match words:
            case ["booted"]:
                self.booted_at = time.monotonic()
            case ["start", process, *test]:
                self.running[process] = (" ".join(test), time.monotonic())
            case ["end", process, *_]:
                self.running.pop(process, None)
            case ["qemu", "died", number] if self.last_trouble is None:  # Said by vm/guest/qemu.
                self.stop(Trouble(f"QEMU was killed on the host ({signal_name(int(number))})", by_kernel=False), 0)

    def trouble(self) -> Trouble | None:
        """Why the guest has to be ended; None as long as it needn't."""
        now = time.monotonic()
        if self.last_trouble:
            return self.last_trouble if now >= self.stops_at else None
        if self.booted_at is None and now - self.begun > self.limits.boot:
            late = f"it hasn't booted within {self.limits.boot:.0f} s (--boot-limit)"
            return Trouble(late + self.oopsed_at_boot)
        for test, since in self.running.values():
            # pytest-timeout ends a test at the limit; a kernel that hangs doesn't let it.
            if now - since > 1.25 * self.limits.test:
                return Trouble(f"the guest hangs: {test} has run for {now - since:.0f} s (--test-limit)")
        if now - self.last_word > self.limits.silence:
            return Trouble(f"the guest hangs: not a word for {self.limits.silence:.0f} s (--silence-limit)")
        if now - self.begun > self.limits.whole:
            # Nothing hangs: there was more to do than time.
            words = f"the guest isn't done after {self.limits.whole:.0f} s: give it longer with --whole-limit"
            return Trouble(words, by_kernel=False)
        return None
