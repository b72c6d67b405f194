"""What a guest left behind: the plan, the reports of its tests, and what became of the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Any

from helpers.plugins.verdict import UNTOLD
from helpers.report.outcomes import CRASHED
from vm.guest.marks import MARK, follow
from vm.guest.shared_directory import Shared
from vm.guest.splats import Splat, splats

#: What helpers/plugins/machine.py says when nothing can be asked.
_NOT_TESTED = re.compile(r"pagemap-scan: not tested: (.*)")
#: The whole guest's memory: a control group that is at its limit is a test's own doing.
_OUT_OF_MEMORY = re.compile(r"\] (?:Kernel panic - not syncing: )?(?:Out of memory: |System is deadlocked on memory)")
#: What pytest says is wrong, before it says what of it was its last word.
_COMPLAINT = re.compile(r"(?:E  +|ERROR:? |INTERNALERROR> (?=\w+(?:Error|Exception)\b)|.*: error: )(.*)")
#: With which the suite begins what it says of a run.
_SUITE = "pagemap-scan: "
LAST_LINES = 100


@dataclass
class Results:
    """The results directory, read. A line that was cut off is left out: its test counts as running."""

    shared: Shared
    reports: list[dict[str, Any]] = field(default_factory=list)
    #: Whether pytest's session came to its end.
    finished: bool = False
    #: What couldn't be told, if the session came to say so in its log.
    told: list[str] | None = None

    def __post_init__(self) -> None:
        for line in _lines(self.shared.log):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            match entry.get("$report_type"):
                case "TestReport":
                    self.reports.append(entry)
                case "SessionFinish":
                    self.finished = True
                case "Verdict":
                    self.told = entry["sentences"]

    @property
    def status(self) -> int | None:
        """pytest's exit status; None when the guest didn't get that far."""
        told = "".join(_lines(self.shared.status))
        return int(told) if told.isdecimal() else None

    @property
    def subject(self) -> dict[str, Any] | None:
        """What the run was about; None when pytest didn't get as far as asking."""
        return json.loads(self.shared.subject.read_text()) if self.shared.subject.exists() else None

    @property
    def reason_not_tested(self) -> str:
        """Why nothing could be asked, in the suite's own words."""
        found = _NOT_TESTED.search("\n".join(_lines(self.shared.output)))
        return found[1] if found else ""

    @property
    def sentences(self) -> list[str]:
        """Why pytest couldn't tell everything that was asked, when it came to its end."""
        return sentences_before_verdict(_lines(self.shared.output)) if self.told is None else self.told

    @property
    def complaint(self) -> str:
        """What pytest said was wrong, when it couldn't run."""
        return complaint_in(_lines(self.shared.output))

    @cached_property
    def clauses(self) -> dict[str, tuple[str, ...]]:
        """The plan: every test that was selected, with the clauses that it proves."""
        entries = map(json.loads, _lines(self.shared.plan))
        return {entry["nodeid"]: tuple(entry["clauses"]) for entry in entries}

    @property
    def plan(self) -> list[str]:
        return list(self.clauses)

    @cached_property
    def console(self) -> list[str]:
        return _lines(self.shared.console)

    @cached_property
    def running_at_the_end(self) -> list[str]:
        """The tests that had begun, and of whose end nothing is known."""
        running: dict[str, str] = {}
        for line in self.console:
            follow(running, line)
        return [test for test in running.values() if test not in self._finished]

    @cached_property
    def _finished(self) -> set[str]:
        return {report["nodeid"] for report in self.reports if report["when"] in ("teardown", CRASHED)}

    @property
    def not_reached(self) -> list[str]:
        """The tests of the plan that never began."""
        reached = {report["nodeid"] for report in self.reports}.union(self.running_at_the_end)
        return [test for test in self.plan if test not in reached]

    @property
    def crashed(self) -> list[str]:
        """The tests in which their workers died."""
        return [report["nodeid"] for report in self.reports if report["when"] == CRASHED]

    @property
    def failed(self) -> list[str]:
        """The tests that failed, or during which the kernel complained. What was killed for memory says nothing."""
        excused = set(self.crashed) if self.out_of_memory else set()
        failed = [
            report["nodeid"] for report in self.reports if report["outcome"] == "failed" and not is_untold(report)
        ]
        complained = [test for splat in self.splats for test in splat.tests or ("kernel log",)]
        return [test for test in dict.fromkeys([*failed, *complained]) if test not in excused]

    @property
    def unwritten(self) -> bool:
        """Whether the guest said that it couldn't write its status."""
        return any(line.partition(MARK)[2].split() == ["unwritten"] for line in self.console)

    @property
    def out_of_memory(self) -> bool:
        return any(_OUT_OF_MEMORY.search(line) for line in self.console)

    @property
    def splats(self) -> list[Splat]:
        return splats(self.console)

    @property
    def last_words(self) -> str:
        """The end of the console, without our own marks."""
        return "\n".join([line for line in self.console if MARK not in line][-LAST_LINES:])


def is_untold(report: dict[str, Any]) -> bool:
    """Whether a test failed by no fault of the kernel's (helpers/plugins/blame.py)."""
    return any(name == UNTOLD for name, _ in report["user_properties"])


def sentences_before_verdict(printed: Sequence[str]) -> list[str]:
    """What the suite says right before its last line."""
    before = list(takewhile(lambda line: line.startswith(_SUITE), reversed(printed)))[1:]
    return [line.removeprefix(_SUITE) for line in reversed(before)]


def complaint_in(printed: Sequence[str]) -> str:
    """What pytest said is wrong."""
    said = [line for line in printed if line.strip()]
    found = [match[1] for line in said if (match := _COMPLAINT.match(line))]
    return (found[:1] or said[-1:] or ["it doesn't say why"])[0]


def _lines(path: Any) -> list[str]:
    try:
        text: str = path.read_text(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()
