"""Complaints of the kernel in its own log: found by their first lines, with what was running at the time.

The patterns are anchored at the beginning of a message, so that a test's name or a quoted word is none. Every
entry of ALLOWED is a hole in the net, and has its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vm.guest.marks import MARK, follow

#: What stands before a message: a level, the time, with CONFIG_PRINTK_CALLER the task or processor.
_PREFIX = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
#: The line in every oops that counts them: the kernel stops the task where it stood, with the locks that it held. After
#: other complaints, however alike they begin (BUG: Bad page, BUG: KASAN, BUG: sleeping function), it goes on.
_OOPS = r"(?:.*: [0-9a-f]{4,}|Oops.*) \[#\d+\]"
OOPS = re.compile(_OOPS)
SPLATS = re.compile(
    r"(?:-{12}\[ cut here \]"
    r"|WARNING: (?!.*\bspeculat)"
    r"|(?:kernel )?BUG[: ]"
    r"|Oops(?:: |\[)"
    r"|Unable to handle kernel "
    r"|general protection fault"
    r"|UBSAN: "
    r"|INFO: (?:task .* blocked for more than|possible |suspicious |inconsistent |trying to register non-static key)"
    r"|(?:rcu: )?INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls?"
    r"|(?:NMI )?watchdog: (?:BUG: |Watchdog detected hard LOCKUP)"
    r"|Bad page (?:state|map)"
    r"|list_(?:add|del) corruption"
    r"|page:[0-9a-f]+ .*dumped because"
    r"|kmemleak: \d+ new suspected memory leaks"
    r"|irq \d+: nobody cared"
    r"|stack segment: "
    r"|unchecked MSR access error"
    rf"|{_OOPS})"
)
#: Complaints that aren't the kernel's fault, from their titles on, with the reason why not.
ALLOWED = {
    r"INFO: task [^\n]* blocked for (?:(?!</TASK>).)*\bp9_(?:client_rpc|virtio_\w+)\+": "the host is slow with a file",
    r"WARNING: [^\n]*(?:check_tsc_sync|clocksource)": "emulated processors' clocks don't agree",
}
_ALLOWED = re.compile("|".join(f"(?:{pattern})" for pattern in ALLOWED), re.DOTALL)
_CUT = re.compile(r"-{12}\[ cut here \]")
_END = re.compile(r"---\[ end (?:trace|Kernel panic)")
#: Lines of a complaint that are kept, and how many of the first may look like the beginning of one themselves.
LONGEST, HEAD = 80, 8


@dataclass(frozen=True)
class Splat:
    """One complaint: its first telling line, all of its lines, and the tests that were running."""

    title: str
    lines: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def is_oops(self) -> bool:
        return any(is_oops(line) for line in self.lines)


def is_oops(line: str) -> bool:
    """Whether a line of the console is the one that tells an oops from what the kernel merely complains of."""
    message, is_kernels = _PREFIX.subn("", line)
    return bool(is_kernels and OOPS.match(message))


class Listener:
    """Goes through a console's log."""

    def __init__(self) -> None:
        self.found: list[Splat] = []
        self.running: dict[str, str] = {}
        self.lines: list[str] = []
        self.ran_then: dict[str, str] = {}
        self.marks_since = 0

    def line(self, line: str) -> None:
        if MARK in line:
            self.marks_since += 1
            follow(self.running, line)
            return
        message, is_kernels = _PREFIX.subn("", line)
        if is_kernels and SPLATS.match(message) and not self.goes_on:
            self.end()
            self.ran_then, self.marks_since = dict(self.running), 0
        elif not self.lines:
            return
        self.lines.append(line)
        if _END.search(message) or len(self.lines) >= LONGEST:
            self.end()

    @property
    def goes_on(self) -> bool:
        """Whether what looks like a beginning is a part of what is being told: an oops follows a BUG."""
        return 0 < len(self.lines) < HEAD and not self.marks_since

    @property
    def title(self) -> str:
        """What the complaint is called that is being told."""
        return _title([_PREFIX.sub("", line) for line in self.lines])

    def end(self) -> None:
        if self.lines:
            splat = _splat(self.lines, self.ran_then)
            messages = "\n".join(_PREFIX.sub("", line) for line in splat.lines)
            if not _ALLOWED.match(messages[messages.index(splat.title) :]):
                self.found.append(splat)
        self.lines = []


def splats(console: Iterable[str]) -> list[Splat]:
    """The complaints in a console's log, in order."""
    listener = Listener()
    for line in console:
        listener.line(line)
    listener.end()
    return listener.found


def _splat(lines: list[str], running: dict[str, str]) -> Splat:
    """The tests whose process the splat names, or all that ran when it names none of them."""
    messages = [_PREFIX.sub("", line) for line in lines]
    processes = set(re.findall(r"(?:PID|pid|[Tt]ask)[: ] ?(?:\w+[:/])?(\d+)", "\n".join(messages)))
    named = [test for process, test in running.items() if process in processes]
    return Splat(_title(messages), tuple(line for line in lines if line), tuple(named or running.values()))


def _title(messages: list[str]) -> str:
    """The first line that says something."""
    return next((message for message in messages if SPLATS.match(message) and not _CUT.match(message)), messages[0])
