"""A conformance run in a guest, from the boot to the verdict."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from helpers.interface import build
from vm import CannotRun, told
from vm.guest.boot import Ending, Setup, boot
from vm.guest.shared_directory import Shared
from vm.inside.script import conformance_run, write_script
from vm.kernels.kernel import Kernel
from vm.results.judgement import judged
from vm.results.verdict import Verdict


def run(
    kernel: Kernel,
    setup: Setup,
    directory: Path,
    arguments: Sequence[str] = (),
    heard: Callable[[str], None] = lambda line: None,
) -> Verdict:
    """Runs the suite on a kernel; the reports and the verdict are in the directory. Raises CannotRun."""

    def ending_of(shared: Shared) -> Ending:
        require_native()
        write_script(shared, conformance_run(shared, setup, arguments))
        return boot(kernel, setup, shared, heard)

    return judged(kernel, directory, ending_of)


def require_native() -> None:
    """Builds the suite's native part, which the guest only reads. Raises CannotRun."""
    try:
        build.ensure_built()
    except (build.BuildError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"the suite's native part can't be built: {error}") from None
    except OSError as error:
        raise CannotRun(f"the suite's native part can't be built: {told(error)}") from None
