"""Outcomes in KTAP, version 1 (Documentation/dev-tools/ktap.rst): a subtest for each file of tests.

``tools/testing/kunit/kunit.py parse`` of a kernel tree reads it, and whatever reads TAP.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from helpers.report.outcomes import Outcome

#: By what came of a test: whether it is ok, the directive, and the word in the totals.
_WORDS = {
    "passed": ("ok", "", "pass"),
    "failed": ("not ok", "", "fail"),
    "xfailed": ("ok", " # XFAIL", "xfail"),
    "skipped": ("ok", " # SKIP", "skip"),
    "untold": ("not ok", "", "fail"),
}
_TOTALS = ("pass", "fail", "xfail", "xpass", "skip", "error")


def ktap(outcomes: Iterable[Outcome], partial: str = "") -> str:
    """The text. ``partial``: why these aren't all that there would be; nothing if they are."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.nodeid.partition("::")[0]].append(outcome)
    lines = ["KTAP version 1", f"1..{len(groups)}"]
    for number, (file, tests) in enumerate(groups.items(), 1):
        lines += [f"  {line}" for line in _group(file, tests)]
        lines.append(_line(number, file, _of_all(tests)))
    lines += [f"# partial: {in_a_line(partial)}"] if partial else []
    count = Counter(_WORDS[test.outcome][2] for tests in groups.values() for test in tests)
    lines.append("# Totals: " + " ".join(f"{word}:{count[word]}" for word in _TOTALS))
    return "\n".join(lines) + "\n"


def _group(file: str, tests: Sequence[Outcome]) -> Iterator[str]:
    yield "KTAP version 1"
    yield f"# Subtest: {name_in_ktap(file)}"
    yield f"1..{len(tests)}"
    for number, test in enumerate(tests, 1):
        if test.outcome not in ("passed", "skipped") and test.reason:
            yield f"# {in_a_line(test.reason)}"
        why = f" {in_a_line(test.reason)}" if test.outcome == "skipped" else ""
        yield _line(number, test.nodeid.partition("::")[2] or test.nodeid, test.outcome) + why


def _of_all(tests: Sequence[Outcome]) -> str:
    """What came of a file: failed if a test of it has, or couldn't be told; skipped if all were."""
    found = {test.outcome for test in tests}
    if found & {"failed", "untold"}:
        return "failed"
    return "skipped" if found == {"skipped"} else "passed"


def _line(number: int, name: str, outcome: str) -> str:
    word, directive, _ = _WORDS[outcome]
    return f"{word} {number} {name_in_ktap(name)}{directive}"


def name_in_ktap(name: str) -> str:
    """A test's name as one word: a blank ends it, and a hash sign begins a directive."""
    return re.sub(r"[\s#]+", "-", name) or "-"


def in_a_line(text: str) -> str:
    """Without what would begin another line, or the directive of another test."""
    return re.sub(r"\s+", " ", text.replace("#", "")).strip()
