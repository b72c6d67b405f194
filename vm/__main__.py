"""``python -m vm``: kernels in virtual machines, and what the suite says of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vm import CannotRun, archive, session
from vm.guest import Limits, Setup
from vm.kernels import Kernel, from_image


def find(text: str) -> Kernel:
    """The kernel that a person named. Raises CannotRun."""
    if text.startswith("deb:"):
        place, pattern = archive.archive_of(text.removeprefix("deb:"))
        cached = place.cached(pattern)
        return cached[0] if cached else place.fetch(pattern)
    return from_image(Path(text))


def main(arguments: Sequence[str]) -> int:
    kernel = find(arguments[0])
    run = session.run(kernel, Setup("tcg", limits=Limits().scaled(5)), Path("results"), arguments[1:], heard=print if 0 else (lambda l: None))
    print(run)
    return run.status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CannotRun as reason:
        print(f"pagemap-scan: not tested: {reason}", file=sys.stderr)
        sys.exit(session.NOT_ASKED)
