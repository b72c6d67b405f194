"""What a failure shows: every operation so far, the argument decoded, both answers and where they part."""

from __future__ import annotations

import enum
import errno
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from helpers.interface.uapi import PM_SCAN_ARG_FIELDS
from helpers.operations import Region, Scan, ScanResult, len_of, names_of
from helpers.steps import Step

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STRIP_WIDTH = 64
_MOST_REGIONS = 24


def story(memory: Sequence[str], steps: Sequence[Step]) -> str:
    """The kinds of memory and every operation so far, numbered."""
    lines = ["memory:", *(f"  {kind}" for kind in memory or ["as mapped below"]), "operations:"]
    lines += [f"  {number:3} {step.operation}" for number, step in enumerate(steps, 1)]
    return "\n".join(lines)


def difference(
    memory: Sequence[str],
    steps: Sequence[Step],
    errata: Sequence[str] = (),
    suspicion: tuple[str, Any] | None = None,
) -> str:
    """The story, and how the last answer differs from what the contract says.

    ``errata``: the names of those that predict another answer here, which is shown as well. ``suspicion``: the name of
    one that the kernel might have, and the answer it predicts.
    """
    step = steps[-1]
    kept = step.observed == step.expected
    lines = [
        f"the kernel keeps the contract, where {', '.join(errata)} should show in operation {len(steps)}: "
        f"{step.operation}"
        if kept
        else f"the kernel differs from the contract in operation {len(steps)}: {step.operation}",
        story(memory, steps),
    ]
    if isinstance(step.operation, Scan):
        lines += [argument(step.operation), *answers(step.operation, step.expected, step.observed)]
    else:
        lines += other_answers(step.expected, step.observed)
    if step.deviates:
        lines.append(f"with {', '.join(errata)}, which this kernel has, it should be: {answer(step.predicted)}")
    if suspicion:
        lines.append(f"with {suspicion[0]}, which is asked for here, it would be: {answer(suspicion[1])}")
    return "\n".join(lines)


def picture(memory: Sequence[str], steps: Sequence[Step]) -> dict[str, Any]:
    """The same for a page to draw, in words, numbers and lists of them that JSON takes: ``memory``, ``operations``, the
    last of which is the one that differs, ``argument`` and ``strip`` of a scan, ``expected`` and ``observed``."""
    step = steps[-1]
    found: dict[str, Any] = {"memory": list(memory), "operations": [str(one.operation) for one in steps]}
    found |= {"expected": answer(step.expected), "observed": answer(step.observed)}
    if isinstance(step.operation, Scan):
        drawn = strip(step.operation, step.expected.regions, step.observed.regions)
        found |= {"argument": {name: str(value) for name, value in decoded(step.operation).items()}}
        found |= {"strip": asdict(drawn)} if drawn else {}
    return found


def answer(told: Any) -> str:
    """Any answer, with the regions of a scan a line each."""
    return "\n".join([outcome(told), *regions(told.regions)]) if isinstance(told, ScanResult) else _runs(told)


def decoded(scan: Scan) -> dict[str, Any]:
    """The ``pm_scan_arg`` field by field, names rather than numbers."""
    values: dict[str, Any] = {
        "size": 8 * len(PM_SCAN_ARG_FIELDS),
        "flags": names_of(scan.flags),
        "start": f"page {scan.span.start}",
        "end": f"page {scan.span.end}",
        "walk_end": "(output)",
        "vec": "NULL" if scan.vec_len is None else "a buffer",
        "vec_len": scan.vec_len or 0,
        "max_pages": scan.max_pages,
        "category_inverted": names_of(scan.inverted),
        "category_mask": names_of(scan.mask),
        "category_anyof_mask": names_of(scan.anyof),
        "return_mask": names_of(scan.returned),
    }
    for name, value in scan.raw:
        values[name] = hex(value) if isinstance(value, int) and not isinstance(value, tuple) else value
    return values


def argument(scan: Scan) -> str:
    """The same as text."""
    values = decoded(scan)
    return "\n".join(["struct pm_scan_arg:", *(f"  .{name} = {value}" for name, value in values.items())])


def outcome(result: ScanResult) -> str:
    """Return value and walk_end in words."""
    if result.result < 0:
        returned = f"-1, errno {errno.errorcode.get(-result.result, -result.result)}"
    else:
        returned = f"{result.result} region{'s' * (result.result != 1)}"
    end = "untouched" if result.walk_end is None else f"page {result.walk_end}"
    return f"returns {returned}; walk_end {end}"


def regions(found: tuple[Region, ...]) -> list[str]:
    """The regions a line each, in page numbers; a long list is cut."""
    lines = [f"    pages {start:5}-{end - 1:<5} {names_of(told)}" for start, end, told in found[:_MOST_REGIONS]]
    if len(found) > _MOST_REGIONS:
        lines.append(f"    … and {len(found) - _MOST_REGIONS} more")
    return lines or ["    none"]


def answers(scan: Scan, expected: ScanResult, observed: ScanResult) -> list[str]:
    """Both region lists, and a strip of the pages in which the first difference is marked."""
    lines = [f"expected: {outcome(expected)}", *regions(expected.regions)]
    lines += [f"observed: {outcome(observed)}", *regions(observed.regions)]
    drawn = strip(scan, expected.regions, observed.regions)
    return lines + (drawn.lines() if drawn else [])


@dataclass(frozen=True)
class Strip:
    """Pages side by side, a letter for each, a dot where it isn't reported: from ``start`` on, in the scan's pages.

    ``first``: the first page that differs. ``names``: the categories that each letter stands for.
    """

    start: int
    first: int
    expected: str
    observed: str
    names: dict[str, str]

    def lines(self) -> list[str]:
        """It as text, with the first difference marked."""
        named = ", ".join(f"{letter} {name}" for letter, name in self.names.items())
        return [
            f"pages from {self.start} on, first difference at page {self.first}:",
            f"  expected {self.expected}",
            f"  observed {self.observed}",
            f"           {' ' * (self.first - self.start)}^",
            f"  {named}, . not reported",
        ]


def strip(scan: Scan, expected: tuple[Region, ...], observed: tuple[Region, ...]) -> Strip | None:
    """The pages around the first difference; None when no page differs."""
    per_page = [_per_page(scan, found) for found in (expected, observed)]
    pairs = list(zip(*per_page, strict=True))
    first = next((index for index, (left, right) in enumerate(pairs) if left != right), None)
    if first is None:
        return None
    begin = max(0, min(first - _STRIP_WIDTH // 2, len(pairs) - _STRIP_WIDTH))
    window = [told[begin : begin + _STRIP_WIDTH] for told in per_page]
    letters: dict[int, str] = {}
    for told in itertools.chain(*window):
        if told is not None and told not in letters:
            letters[told] = _LETTERS[len(letters) % len(_LETTERS)]
    rows = ["".join("." if told is None else letters[told] for told in row) for row in window]
    names = {letter: names_of(told) for told, letter in letters.items()}
    return Strip(scan.span.start + begin, scan.span.start + first, rows[0], rows[1], names)


def _per_page(scan: Scan, found: tuple[Region, ...]) -> list[Any]:
    told: list[Any] = [None] * len_of(scan.span)
    for start, end, categories in found:
        for page in range(max(start, scan.span.start), min(end, scan.span.end)):
            told[page - scan.span.start] = categories
    return told


def other_answers(expected: Any, observed: Any) -> list[str]:
    """Answers that aren't a scan's: runs of equal entries, or what an operation says."""
    return [f"expected: {_runs(expected)}", f"observed: {_runs(observed)}"]


def _runs(entries: Any) -> str:
    if entries is None:
        return "it is done"
    if not isinstance(entries, tuple) or not all(isinstance(entry, enum.Flag) for entry in entries):
        return str(entries)
    groups = ((len(list(run)), names_of(told)) for told, run in itertools.groupby(entries))
    return ", ".join(f"{count} x {told}" for count, told in groups)
