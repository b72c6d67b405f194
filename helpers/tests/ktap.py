"""KTAP of two levels, read strictly: where a line isn't what the format says, reading ends with an AssertionError."""

from __future__ import annotations

import glob
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_RESULT = re.compile(r"(ok|not ok) (\d+) ([^\s#]+)(?: # (SKIP|XFAIL)\b.*)?")
_OUTCOMES = {"SKIP": "skip", "XFAIL": "xfail"}


@dataclass
class Ktap:
    """What a program said: the outcome of each test by name, in groups."""

    groups: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, str]:
        return {name: outcome for tests in self.groups.values() for name, outcome in tests.items()}

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.outcomes.values())


class _Lines:
    """Lines, one after the other; ``level`` is how deep they are indented."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()[::-1]

    def next(self, level: int) -> str:
        line = self.lines.pop()
        assert line.startswith("  " * level) and not line[2 * level :].startswith(" "), line
        return line[2 * level :]

    def plan(self, level: int) -> int:
        planned = re.fullmatch(r"1\.\.(\d+)", self.next(level))
        assert planned
        return int(planned[1])

    def result(self, level: int, number: int) -> tuple[str, str]:
        """The name and the outcome of the result that is next, with this number; diagnostics may come before it."""
        while (line := self.next(level)).startswith("# "):
            assert not line.startswith("# Subtest"), line
        found = _RESULT.fullmatch(line)
        assert found and int(found[2]) == number, line
        outcome = _OUTCOMES.get(found[4], "pass" if found[1] == "ok" else "fail")
        assert (outcome == "fail") == (found[1] == "not ok"), line
        return found[3], outcome


def kunit(said: Path) -> str:
    """What the kernel's own parser says of a file. Skips the test where there is no kernel tree."""
    places = ("/usr/src/linux*", "/lib/modules/*/source", os.environ.get("KERNEL_TREE", "/nowhere"))
    found = [path for place in places for path in glob.glob(f"{place}/tools/testing/kunit/kunit.py")]
    if not found:
        pytest.skip("no kernel tree with tools/testing/kunit in /usr/src: unpack one, or name it in KERNEL_TREE")
    parse = [sys.executable, found[0], "parse", str(said)]
    tree = Path(found[0]).parents[3]
    return subprocess.run(parse, capture_output=True, text=True, timeout=200, cwd=tree).stdout


def read(text: str) -> Ktap:
    """What a program said from its first line to its last."""
    lines, told = _Lines(text), Ktap()
    assert lines.next(0) == "KTAP version 1"
    for place in range(lines.plan(0)):
        assert lines.next(1) == "KTAP version 1"
        group = lines.next(1).removeprefix("# Subtest: ")
        results = [lines.result(1, number + 1) for number in range(lines.plan(1))]
        tests = dict(results)
        # A result with the name of the group would be the group's own: parsers look for that.
        assert len(tests) == len(results) and group not in tests and group not in told.groups
        due = "fail" if "fail" in tests.values() else "skip" if set(tests.values()) == {"skip"} else "pass"
        assert lines.result(0, place + 1) == (group, due)
        told.groups[group] = tests
    count = told.counts
    totals = " ".join(f"{outcome}:{count[outcome]}" for outcome in ("pass", "fail", "xfail", "xpass", "skip", "error"))
    assert lines.next(0) == f"# Totals: {totals}"
    assert not lines.lines
    return told
