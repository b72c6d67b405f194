"""A conformance run in a guest, from the boot to the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from helpers.interface import build
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
        build.ensure_built()
        write_script(shared, conformance_run(shared, setup, arguments))
        return boot(kernel, setup, shared, heard)

    return judged(kernel, directory, ending_of)
