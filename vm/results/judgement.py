"""How a run is judged: by how its guest ended, and by what it left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from vm import CHECKOUT, CannotRun
from vm.guest.boot import Ending, new_script
from vm.guest.console import EMULATOR_FAILED, Trouble
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel
from vm.results.left_behind import Results
from vm.results.replay import command_line
from vm.results.verdict import CONFORMS, DOES_NOT, NOT_ASKED, Verdict, keep

#: How often a guest is booted, at most.
BOOTS = 3
#: A shell adds this to the signal that a program died of.
DIED_OF_SIGNAL = 128
#: Exit statuses of pytest, when it has no results.
PYTEST_FAILED = {2: "couldn't collect the tests", 3: "failed", 4: "doesn't take its arguments", 5: "found no tests"}
#: What is on the console when a kernel can't mount its root from the host.
_NO_9P = re.compile(
    r"mount: mounting \S+ on /newroot/ failed: No such device"
    r"|.*(?:unknown filesystem type '9p'|9pnet_virtio: no channels|VFS: Unable to mount root fs)"
)
#: The beginning of what QEMU and virtme-ng say when they can't start a guest.
_REFUSES = re.compile(r"(qemu-system-\w+|virtme-run|vng|[\w.]*Error): ")


def new_results(directory: Path) -> Shared:
    """An empty results directory; what an earlier run left there is removed. Raises CannotRun."""
    shared = Shared(directory.resolve())
    try:
        shared.directory.mkdir(parents=True, exist_ok=True)
        for path in shared.files():
            path.unlink(missing_ok=True)
        if shared.failures.exists():
            shutil.rmtree(shared.failures)
        new_script(shared, "")
    except OSError as error:
        raise CannotRun(f"the results directory {directory} can't be written: {error.strerror}") from None
    return shared


def judged(kernel: Kernel, directory: Path, ending_of: Callable[[Shared], Ending]) -> Verdict:
    """Has a guest run with a results directory, and judges by what it left there. Raises CannotRun."""
    begun = time.monotonic()
    shared = new_results(directory)
    try:
        ending = unspoiled(lambda: ending_of(shared))
        if not ending.booted:
            raise CannotRun(why_not_booted(kernel, ending, Results(shared)))
        verdict = render(kernel, ending, shared, begun)
        keep(shared, verdict)
        return verdict
    except OSError as error:
        raise cannot_write(directory, error) from None
    except CannotRun as reason:
        with suppress(OSError):
            keep(shared, Verdict(NOT_ASKED, f"not tested: {reason}", kernel.release, kernel.origin))
        raise


def unspoiled(boot: Callable[[], Ending]) -> Ending:
    """How a guest ended. A boot that the emulator spoils says nothing of the kernel, and is begun anew."""
    for _ in range(BOOTS):
        ending = boot()
        if ending.trouble != EMULATOR_FAILED:
            break
    return ending


def cannot_write(directory: Path, error: OSError) -> CannotRun:
    """The reason in a sentence. Data that couldn't be written have no name, and are the directory's."""
    if error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(directory.resolve()):
        return CannotRun(f"the results directory {directory} can't be written: {error.strerror}")
    return CannotRun(str(error))


def why_not_booted(kernel: Kernel, ending: Ending, results: Results) -> str:
    """The reason in a sentence."""
    if any(_NO_9P.match(line) for line in results.console):
        return (
            f"{kernel.name} can't mount the host's files: it has no 9p (CONFIG_9P_FS, CONFIG_NET_9P_VIRTIO), built in "
            "or as a module beside it; Debian's cloud flavour has none, its plain one has"
        )
    if results.out_of_memory:
        return f"{kernel.name} didn't boot: its memory wasn't enough: give it more with --memory"
    if ending.trouble:
        return f"{kernel.name} didn't boot: {ending.trouble.says} (console: {results.shared.console})"
    return f"{kernel.name} didn't boot: the guest ended before its script began: {complaint_of(results.console)}"


def complaint_of(console: Sequence[str]) -> str:
    """What QEMU or virtme-ng complains of, or else the last that was said."""
    complaints = [line for line in console if _REFUSES.match(line)]
    return (complaints or list(console)[-1:] or ["it said nothing"])[0].strip()


def lost(ending: Ending, results: Results) -> Trouble | None:
    """What keeps the results from being whole; None when they are."""
    status = results.status
    if results.out_of_memory and (ending.trouble or results.crashed or not results.finished):
        return Trouble("the guest ran out of memory: give it more with --memory", by_kernel=False)
    if ending.trouble:
        return ending.trouble
    if status is None:
        return Trouble("the guest ended without its results")
    if status > DIED_OF_SIGNAL:
        return Trouble(f"pytest was killed in the guest ({signal.Signals(status - DIED_OF_SIGNAL).name})")
    if status in PYTEST_FAILED and not results.reports:
        return Trouble(f"pytest {PYTEST_FAILED[status]} in the guest: {results.complaint}", by_kernel=False)
    if not results.finished:
        return Trouble("pytest ended in the guest before its session did")
    return None


def render(kernel: Kernel, ending: Ending, shared: Shared, begun: float) -> Verdict:
    """Makes the reports, and prints what pytest prints at a session's end. Raises CannotRun when nothing was asked."""
    results = Results(shared)
    if results.reason_not_tested:
        raise CannotRun(f"{kernel.name}: {results.reason_not_tested}")
    trouble = lost(ending, results)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command_line(shared, kernel.release, trouble, begun)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    sys.stdout.write(done.stdout)
    line = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("pagemap-scan: ")), "")
    if not line:
        raise CannotRun(f"the reports couldn't be made: {done.stdout.strip()[-300:]}")
    status = done.returncode if done.returncode in (CONFORMS, DOES_NOT) else NOT_ASKED
    if trouble and status == NOT_ASKED:
        raise CannotRun(f"{kernel.name}: {trouble.says}")
    return Verdict(status, line, kernel.release, kernel.origin, time.monotonic() - begun)
