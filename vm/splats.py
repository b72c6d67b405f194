"""Complaints of the kernel in its own log: found by their first lines, with what was running at the time.

The patterns are anchored at the beginning of a message, so that a test's name or a quoted word is none. Every
entry of ALLOWED is a hole in the net, and has its reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vm.shared import MARK

#: What stands before a message: a level, the time, with CONFIG_PRINTK_CALLER the task or processor.
_PREFIX = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
SPLATS = re.compile(
    r"(?:------------\[ cut here \]"
    r"|WARNING: (?!.*\bspeculat)"
    r"|(?:kernel )?BUG[: ]"
    r"|Oops(?:: |\[)"
    r"|Unable to handle kernel "
    r"|general protection fault"
    r"|UBSAN: "
    r"|INFO: (?:task .* blocked for more than|possible |suspicious |inconsistent |lockdep|rcu.*(?:stall|self-detected))"
    r"|rcu: INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stalls?"
    r"|watchdog: BUG: "
    r"|Bad page (?:state|map)"
    r"|list_(?:add|del) corruption"
    r"|page:[0-9a-f]+ .*dumped because"
    r"|irq \d+: nobody cared"
    r"|stack segment: "
    r"|unchecked MSR access error)"
)
#: First lines that aren't the kernel's fault, with the reason why not.
ALLOWED = {
    r"INFO: task .* blocked for more than .*virtiofs|9p": "the host was slow to serve a file",
    r"WARNING: .*check_tsc_sync|WARNING: .*clocksource": "emulated processors' clocks don't agree",
}
_ALLOWED = re.compile("|".join(f"(?:{pattern})" for pattern in ALLOWED))
_END = re.compile(r"---\[ end (?:trace|Kernel panic)")
LONGEST = 80


@dataclass(frozen=True)
class Splat:
    """One complaint: its first telling line, all of its lines, and the tests that were running."""

    title: str
    lines: tuple[str, ...]
    tests: tuple[str, ...]


def splats(console: Iterable[str]) -> list[Splat]:
    """The complaints in a console's log, in order."""
    found: list[Splat] = []
    running: dict[str, str] = {}
    taken: list[str] | None = None
    for line in [*console, ""]:
        if MARK in line:
            _mark(running, line.split(MARK, 1)[1].split())
            continue
        message, is_kernels = _PREFIX.subn("", line)
        if taken is None and is_kernels and SPLATS.match(message) and not _ALLOWED.match(message):
            taken = []
        if taken is not None:
            taken.append(line)
            if _END.search(message) or len(taken) >= LONGEST or not line:
                found.append(_splat(taken, running))
                taken = None
    if taken:
        found.append(_splat(taken, running))
    return found


def _mark(running: dict[str, str], words: list[str]) -> None:
    match words:
        case ["start", process, *test]:
            running[process] = " ".join(test)
        case ["end", process, *_]:
            running.pop(process, None)


def _splat(lines: list[str], running: dict[str, str]) -> Splat:
    """The tests whose process the splat names, or all that ran when it names none of them."""
    messages = [_PREFIX.sub("", line) for line in lines]
    title = next((message for message in messages if "cut here" not in message and message), messages[0])
    processes = set(re.findall(r"(?:PID|pid): ?(\d+)", "\n".join(messages)))
    named = [test for process, test in running.items() if process in processes]
    return Splat(title, tuple(line for line in lines if line), tuple(named or running.values()))
