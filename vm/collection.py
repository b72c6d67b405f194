"""The suites' tests as pytest collects them on the host."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from vm import CannotRun
from vm.mounts import CHECKOUT


def collect(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Has pytest collect the suites, with further arguments. Raises CannotRun when it can't."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--collect-only", "-p", "vm.inside", *arguments]
    done = subprocess.run(
        [*command, "suites"], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise CannotRun(f"the suites can't be collected: {(done.stdout + done.stderr).strip()[-300:]}")
