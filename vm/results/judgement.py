"""How a run is judged: by how its guest ended, and by what it left behind."""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.plugins.machine import NOT_TESTED
from helpers.plugins.verdict import NOT_TOLD
from helpers.report.replay import ENVIRONMENT
from vm import CHECKOUT, CannotBeAsked, CannotRun, NotTold, told
from vm.guest.boot import Ending
from vm.guest.console import EMULATOR_FAILED, Trouble
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel
from vm.outputs import say, tell
from vm.processes import carried_out, signal_name
from vm.results.directory import results_in
from vm.results.left_behind import Results, complaint_in, sentences_before_verdict
from vm.results.replay import command_line
from vm.results.verdict import CONFORMS, DOES_NOT, NOT_ASKED, Verdict, keep

#: How often a guest is booted, at most.
BOOTS = 3
#: A shell adds this to the signal that a program died of.
DIED_OF_SIGNAL = 128
#: Exit statuses of pytest that are about tests; and what others say.
ABOUT_TESTS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, NOT_TESTED)
PYTEST_FAILED = {2: "couldn't collect the tests", 3: "failed", 4: "doesn't take its arguments", 5: "found no tests"}
#: How the line begins that the pytest which makes the reports prints, by its exit status; and seconds for it.
WORDS = {
    CONFORMS: "pagemap-scan: conforms",
    DOES_NOT: "pagemap-scan: does not conform",
    NOT_TESTED: "pagemap-scan: not tested",
    NOT_TOLD: "pagemap-scan: not told",
}
LIMIT = 900
#: Errors of a file that was opened well.
_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
#: What is on the console when a kernel can't mount its root from the host.
_NO_9P = re.compile(
    r"mount: mounting \S+ on /newroot/ failed: No such device"
    r"|.*(?:unknown filesystem type '9p'|9pnet_virtio: no channels|VFS: Unable to mount root fs)"
)
#: The beginning of what QEMU and virtme-ng say when they can't start a guest.
_REFUSES = re.compile(r"(qemu-system-\w+|virtme-run|vng|[\w.]*Error): ")


def judged(kernel: Kernel, directory: Path, ending_of: Callable[[Shared], Ending]) -> Verdict:
    """Has a guest run with a results directory, judges by what it left there, and prints that. Raises CannotRun."""
    begun = time.monotonic()
    with results_in(directory) as shared:
        try:
            verdict, printed = judge(kernel, shared, ending_of, begun)
            keep(shared, verdict)
        except OSError as error:
            verdict = so_far(kernel, shared, cannot_write(directory, error), begun)
            printed = f"{verdict.line}\n"
        except CannotRun as reason:
            keep_reason(kernel, shared, reason)
            raise
    try:
        tell(printed)
    except CannotRun as reason:
        if verdict.status != DOES_NOT:
            raise NotTold(reason) from None
        say(f"{verdict.line}; {reason}")
    return verdict


def judge(kernel: Kernel, shared: Shared, ending_of: Callable[[Shared], Ending], begun: float) -> tuple[Verdict, str]:
    """The verdict on a guest, and what is to be printed of it. Raises CannotRun."""
    ending = unspoiled(lambda: ending_of(shared))
    if not ending.booted:
        raise CannotRun(why_not_booted(kernel, ending, Results(shared)))
    return render(kernel, ending, shared, begun)


def so_far(kernel: Kernel, shared: Shared, reason: CannotRun, begun: float, trouble: Trouble | None = None) -> Verdict:
    """The verdict when the run itself failed: what the kernel has failed in stays. Raises CannotRun without any."""
    results = Results(shared)
    failed = results.failed or ([trouble.says] if trouble and trouble.by_kernel else [])
    if not failed:
        raised = NotTold(reason) if results.reports else reason
        keep_reason(kernel, shared, raised)
        raise raised from None
    line = f"pagemap-scan: does not conform; kernel {kernel.release}; {len(failed)} failed ({failed[0]}); {reason}"
    verdict = Verdict(DOES_NOT, line, kernel.release, kernel.origin, time.monotonic() - begun)
    with suppress(OSError):
        keep(shared, verdict)
    return verdict


def keep_reason(kernel: Kernel, shared: Shared, reason: CannotRun) -> None:
    """Writes beside the reports why there is no verdict, where that can be written."""
    line = f"{reason.verdict}: {reason}"
    with suppress(OSError):
        keep(shared, Verdict(NOT_ASKED, line, kernel.release, kernel.origin, 0.0, isinstance(reason, CannotBeAsked)))


def unspoiled(boot: Callable[[], Ending]) -> Ending:
    """How a guest ended. A boot that the emulator spoils says nothing of the kernel, and is begun anew."""
    for _ in range(BOOTS):
        ending = boot()
        if ending.trouble != EMULATOR_FAILED:
            break
    return ending


def cannot_write(directory: Path, error: OSError) -> CannotRun:
    """The reason in a sentence. Data that couldn't be written have no name, and are the directory's."""
    if error.filename is None and error.errno in _NOT_WRITTEN:
        return CannotRun(f"the results directory {directory} can't be written: {error.strerror}")
    if error.filename and Path(os.fsdecode(error.filename)).is_relative_to(directory.resolve()):
        return CannotRun(f"the results directory {directory} can't be written: {error.strerror}")
    return CannotRun(told(error))


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
    """What keeps the results from being whole; None when they are.

    Of pytest's exit statuses, three are about tests: all passed, some failed, none could be asked. Any other says
    that the run itself failed.
    """
    status = results.status
    if results.out_of_memory and (ending.trouble or results.crashed or not results.finished):
        return Trouble("the guest ran out of memory: give it more with --memory", by_kernel=False)
    if ending.trouble:
        return ending.trouble
    if not results.shared.console.exists():
        return Trouble("its results directory was removed meanwhile", by_kernel=False)
    if status is None and results.unwritten:
        return Trouble("the guest couldn't write its results", by_kernel=False)
    if status is None:
        return Trouble("the guest ended without its results")
    if status > DIED_OF_SIGNAL:
        said = f"pytest was killed in the guest ({signal_name(status - DIED_OF_SIGNAL)})"
        return Trouble(said, by_kernel=False)
    if status == NOT_TOLD and results.sentences:
        return Trouble("; ".join(results.sentences), by_kernel=False)
    if status not in ABOUT_TESTS or (status == NOT_TESTED and not results.reports):
        said = PYTEST_FAILED.get(status, f"ended with status {status}")
        return Trouble(f"pytest {said} in the guest: {results.complaint}", by_kernel=False)
    if not results.finished:
        return Trouble("pytest ended in the guest before its session did")
    if status == pytest.ExitCode.TESTS_FAILED and not results.failed:
        return Trouble("pytest failed in the guest, and not by what its results tell", by_kernel=False)
    return None


def render(kernel: Kernel, ending: Ending, shared: Shared, begun: float) -> tuple[Verdict, str]:
    """Makes the reports; the verdict, and what pytest prints at a session's end.

    Raises CannotRun when nothing was asked, or when what was asked tells nothing of the kernel.
    """
    results = Results(shared)
    if results.reason_not_tested:
        raise CannotBeAsked(f"{kernel.name}: {results.reason_not_tested}")
    trouble = lost(ending, results)
    command = [sys.executable, "-m", "pytest", *command_line(shared, kernel.release, trouble, begun)]
    try:
        done = carried_out(command, LIMIT, CHECKOUT, ENVIRONMENT)
    except CannotRun as reason:
        return only_told(so_far(kernel, shared, reason, begun, trouble))
    lines = done.stdout.splitlines()
    line = next((line for line in reversed(lines) if line.startswith("pagemap-scan: ")), "")
    if not line.startswith(WORDS.get(done.returncode, "nothing")):
        said = complaint_in([*lines, *done.stderr.splitlines()])
        not_made = CannotRun(f"the reports couldn't be made in {shared.directory}: {said}")
        return only_told(so_far(kernel, shared, not_made, begun, trouble))
    status = done.returncode if done.returncode in (CONFORMS, DOES_NOT) else NOT_ASKED
    if trouble and status == NOT_ASKED:
        raise (NotTold if results.reports else CannotRun)(f"{kernel.name}: {trouble.says}")
    if done.returncode == NOT_TOLD:
        raise NotTold(f"{kernel.name}: {'; '.join(sentences_before_verdict(lines))}")
    return Verdict(status, line, kernel.release, kernel.origin, time.monotonic() - begun), done.stdout


def only_told(verdict: Verdict) -> tuple[Verdict, str]:
    """A verdict without more to print."""
    return verdict, f"{verdict.line}\n"
