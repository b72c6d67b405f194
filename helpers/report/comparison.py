"""What changed from one run to another: between two kernels, or two states of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from helpers.report.defects import name_in
from helpers.report.log import Log
from helpers.report.outcomes import Outcome

#: A test is slower when it takes so many times as long, and so many seconds more: less is noise.
TIMES, SECONDS = 3.0, 2.0
#: So many tests of a kind are named.
NAMED = 20


@dataclass(frozen=True)
class Change:
    """A kind of change, with the tests or errata that it is of; whether it is a regression."""

    what: str
    names: Sequence[str]
    is_regression: bool = False


def changes(before: Log, after: Log) -> Iterator[Change]:
    """All changes of which there are any. A test that failed, or met an erratum that the other run didn't have, is a
    regression; so is one that was told and isn't any more."""
    old = {outcome.nodeid: outcome for outcome in before.outcomes}
    new = {outcome.nodeid: outcome for outcome in after.outcomes}
    both = [(old[test], new[test]) for test in new if test in old]
    yield from _of_outcomes(both)
    had, has = (dict.fromkeys(name_in(told) for one in log.outcomes for told in one.errata) for log in (before, after))
    yield Change("known defects that have come", [name for name in has if name not in had], is_regression=True)
    yield Change("known defects that are gone", [name for name in had if name not in has])
    yield Change(
        "failing, and not in the other run", [test for test in new if test not in old and _is_bad(new[test])], True
    )
    yield Change("new", [test for test in new if test not in old and not _is_bad(new[test])])
    yield Change("not in this run any more", [test for test in old if test not in new], is_regression=True)
    slower = [(one, other) for one, other in both if _is_slower(one, other)]
    yield Change("slower", [f"{one.nodeid}: {one.seconds:.1f} s, now {other.seconds:.1f} s" for one, other in slower])


def _of_outcomes(both: Sequence[tuple[Outcome, Outcome]]) -> Iterator[Change]:
    def those(*now: str, before: Sequence[str]) -> list[str]:
        return [other.nodeid for one, other in both if other.outcome in now and one.outcome in before]

    kept, other = ("passed", "xfailed"), ("skipped", "untold")
    yield Change("newly failing", those("failed", before=(*kept, *other)), is_regression=True)
    yield Change(
        "couldn't be told any more", those("untold", before=("passed", "xfailed", "failed")), is_regression=True
    )
    yield Change("newly passing", those("passed", before=("failed", "xfailed")))
    yield Change("newly a known defect", those("xfailed", before=("passed", "failed")))
    yield Change("newly skipped", those("skipped", before=(*kept, "failed")), is_regression=True)
    yield Change("newly asked", those(*kept, before=other))


def _is_bad(outcome: Outcome) -> bool:
    return outcome.outcome in ("failed", "untold")


def _is_slower(before: Outcome, after: Outcome) -> bool:
    return after.seconds > before.seconds * TIMES and after.seconds > before.seconds + SECONDS


def told(before: Log, after: Log) -> tuple[str, bool | None]:
    """The comparison in words, and whether there is a regression in it: None where that can't be told."""
    found = [change for change in changes(before, after) if change.names]
    lines = [f"from {before.kernel} ({_verdict(before)})", f"to   {after.kernel} ({_verdict(after)})"]
    for log in (before, after):
        lines += [f"{log.path} is partial: {log.partial}"] * bool(log.partial)
    for change in found:
        mark = "regression: " if change.is_regression else ""
        lines.append(f"\n{mark}{change.what}: {len(change.names)}")
        lines += [f"  {name}" for name in change.names[:NAMED]]
        lines += [f"  and {len(change.names) - NAMED} more"] * (len(change.names) > NAMED)
    has_regression = any(change.is_regression for change in found)
    is_open = bool(after.partial) or not {one.nodeid for one in before.outcomes} & {
        one.nodeid for one in after.outcomes
    }
    end = "a regression" if has_regression else "no regression" if not is_open else "not told: too little was asked"
    lines.append(f"\n{end}")
    return "\n".join(lines), None if is_open and not has_regression else has_regression


def _verdict(log: Log) -> str:
    return log.verdict["verdict"] if log.verdict else "no verdict"
