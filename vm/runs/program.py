"""The suite's C program as the only process of a guest, for kernels without 9p, and for those of other processors."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from vm import CHECKOUT, CannotRun, cache, temporary, told
from vm.architectures import Architecture
from vm.guest import initramfs
from vm.guest.boot import Ending, Setup
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel
from vm.processes import carried_out
from vm.results import ktap
from vm.results.judgement import judged
from vm.results.verdict import Verdict

FLAGS = ("-O2", "-pthread", "-static")
#: Directories of the checkout.
PRINTED_FROM = ("helpers", "suites")
#: Seconds: larger pages take a model longer.
PRINT_LIMIT = 1800.0


def run(
    kernel: Kernel,
    setup: Setup,
    machine: Architecture,
    directory: Path,
    heard: Callable[[str], None] = lambda line: None,
) -> Verdict:
    """Runs the program on a kernel; the reports and the verdict are in the directory. Raises CannotRun."""

    def ending_of(shared: Shared) -> Ending:
        ktap.plan(shared)
        with temporary.directory() as work:
            program = compiled(written(work, kernel), machine)
            ending = initramfs.boot(kernel, setup, machine, program, shared, heard)
        if ending.booted:
            ktap.report(kernel, machine, shared)
        return ending

    return judged(kernel, directory, ending_of)


def written(work: Path, kernel: Kernel) -> Path:
    """The program's source, for the kernel's sizes of pages: to print it takes minutes, so it is kept for the next run
    of the same suite. Raises CannotRun."""
    sizes = f"{kernel.page_size}x{kernel.pages_per_huge_page}"
    kept = cache.directory() / "programs" / f"{fingerprint()}-{sizes}.c"
    source = work / "pagemap_scan.c"
    try:
        with cache.locked(kept):
            if not kept.exists():
                print_suite(kept, sizes)
            shutil.copy(kept, source)
    except OSError as error:
        raise CannotRun(f"the C program of the suite can't be kept: {told(error)}") from None
    return source


def fingerprint() -> str:
    """Of all that a program is printed from."""
    found = hashlib.sha256()
    for part in PRINTED_FROM:
        for path in sorted((CHECKOUT / part).rglob("*")):
            if path.suffix in (".py", ".c", ".h", ".toml"):
                found.update(os.fsencode(path.relative_to(CHECKOUT)) + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def print_suite(kept: Path, sizes: str) -> None:
    """Has the suite print itself into a file that is there whole or not at all, and forgets what older ones printed."""
    aside = kept.with_suffix(".new")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--stub", "faithful", f"--stub-pages={sizes}"]
    done = carried_out([*command, f"--write-suite={aside}"], limit=PRINT_LIMIT, cwd=CHECKOUT)
    if done.returncode or not aside.exists():
        raise CannotRun(f"the C program of the suite can't be written: {done.stdout.strip()[-300:]}")
    for older in kept.parent.glob("*.c"):
        if not older.name.startswith(kept.name.partition("-")[0]):
            older.unlink(missing_ok=True)
    aside.replace(kept)


def compiled(source: Path, machine: Architecture) -> Path:
    """The program, static. Raises CannotRun when no compiler makes it."""
    said = ""
    for compiler in machine.compiler():
        program = source.with_suffix("")
        done = carried_out([*compiler, *FLAGS, "-o", program, source], limit=300)
        if done.returncode == 0:
            return program
        said = done.stderr.strip()[-300:]
    needed = f"{machine.compiler_package} has what it needs"
    raise CannotRun(f"the C program of the suite can't be linked statically for {machine.name} ({needed}): {said}")
