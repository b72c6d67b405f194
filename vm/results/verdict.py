"""What came of a run: its statuses, and the verdict as it is kept beside the reports."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from vm.guest.shared_directory import Shared
from vm.kernels.table import Row

CONFORMS, DOES_NOT, NOT_ASKED = 0, 1, 125
#: Above 127 ``git bisect run`` stops instead of going on: that is what a person who presses Ctrl-C wants.
INTERRUPTED = 130


@dataclass(frozen=True)
class Verdict:
    """What came of a run: the exit status, the line that says why, the kernel, and how long it took.

    ``is_answer`` is whether a status of NOT_ASKED is the kernel's own answer: it lacks what is asked.
    """

    status: int
    line: str
    release: str
    origin: str
    seconds: float = 0.0
    is_answer: bool = False


def keep(shared: Shared, verdict: Verdict) -> None:
    """Writes the verdict beside the reports."""
    shared.verdict.write_text(json.dumps(asdict(verdict), indent=1) + "\n")


def directory_of(row: Row, results: Path) -> Shared:
    """Where a row's reports are."""
    return Shared(results / row.name)


def verdict_of(row: Row, results: Path) -> Verdict | None:
    """What came of the last run of a row; None when there was none."""
    try:
        return Verdict(**json.loads(directory_of(row, results).verdict.read_text()))
    except (OSError, ValueError, TypeError):
        return None
