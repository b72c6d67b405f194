"""The suite's C program as the only process of a guest, for kernels that come without 9p and without modules."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from vm import CHECKOUT, CannotRun, temporary
from vm.guest import initramfs
from vm.guest.boot import Ending, Setup
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel
from vm.processes import carried_out
from vm.results import ktap
from vm.results.judgement import judged
from vm.results.verdict import Verdict

COMPILERS = (("musl-gcc",), ("cc",))
FLAGS = ("-O2", "-pthread", "-static")


def run(kernel: Kernel, setup: Setup, directory: Path, heard: Callable[[str], None] = lambda line: None) -> Verdict:
    """Runs the program on a kernel; the reports and the verdict are in the directory. Raises CannotRun."""

    def ending_of(shared: Shared) -> Ending:
        ktap.plan(shared)
        with temporary.directory() as work:
            ending = initramfs.boot(kernel, setup, compiled(written(work)), shared, heard)
        if ending.booted:
            ktap.report(kernel, shared)
        return ending

    return judged(kernel, directory, ending_of)


def written(work: Path) -> Path:
    """The program's source, printed by the suite. Raises CannotRun."""
    source = work / "pagemap_scan.c"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--stub", "faithful", f"--write-suite={source}"]
    done = carried_out(command, limit=600, cwd=CHECKOUT)
    if done.returncode or not source.exists():
        raise CannotRun(f"the C program of the suite can't be written: {done.stdout.strip()[-300:]}")
    return source


def compiled(source: Path) -> Path:
    """The program, static. Raises CannotRun when no compiler makes it."""
    said = "there is no C compiler"
    for compiler in COMPILERS:
        if shutil.which(compiler[0]):
            program = source.with_suffix("")
            done = carried_out([*compiler, *FLAGS, "-o", program, source], limit=300)
            if done.returncode == 0:
                return program
            said = done.stderr.strip()[-300:]
    raise CannotRun(f"the C program of the suite can't be linked statically (musl-tools has what it needs): {said}")
