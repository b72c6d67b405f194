"""A conformance run in a guest: its script, its limits, and what became of it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.interface import build
from vm import CannotRun
from vm.guest import Ending, Setup, boot, ended_by_signals
from vm.kernels import Kernel
from vm.replay import command_line
from vm.results import Results
from vm.shared import MARK, Shared

CHECKOUT = Path(__file__).resolve().parents[1]
CONFORMS, DOES_NOT, NOT_ASKED = 0, 1, 125
#: What is on the console when a kernel can't mount its root from the host.
_NO_9P = ("unknown filesystem type '9p'", "9pnet_virtio: no channels", "VFS: Unable to mount root", "No such device")

_SCRIPT = """\
#!/bin/sh
# Runs in the guest, as root: a real file system and zram to be had, the suite, and its status last of all.
echo '{mark} booted' >/dev/kmsg
modprobe -q -a virtio_blk virtio_scsi sd_mod ext4 zram loop 2>/dev/null
mkdir -p /run/scratch
for disk in /dev/vda /dev/sda; do
	mount -t ext4 "$disk" /run/scratch 2>/dev/null && break
done
cd {checkout} || exit
export PYTHONDONTWRITEBYTECODE=1 HOME=/run
{command} >{output} 2>&1
status=$?
dmesg >{dmesg}
echo $status >{status}.new && mv {status}.new {status}
"""


@dataclass(frozen=True)
class Run:
    """What came of a run: the exit status, and the verdict's line."""

    status: int
    line: str


def pytest_command(shared: Shared, setup: Setup, arguments: Sequence[str]) -> list[str]:
    """The conformance run as the guest starts it. In a virtual machine, everything may be asked."""
    return [
        *(sys.executable, "-m", "pytest", "-q", "-n", str(setup.cpus), "-p", "vm.inside", f"--tell={shared.directory}"),
        *(f"--report-log={shared.log}", f"--failures={shared.failures}", "--scratch=/run/scratch", "--dangerous"),
        *("-o", f"timeout={setup.limits.test:.0f}", *arguments),
    ]


def write_script(shared: Shared, command: Sequence[str]) -> None:
    shared.script.write_text(
        _SCRIPT.format(
            mark=MARK,
            checkout=shlex.quote(str(CHECKOUT)),
            command=shlex.join(command),
            **{name: shlex.quote(str(getattr(shared, name))) for name in ("output", "dmesg", "status")},
        )
    )


def new_results(directory: Path) -> Shared:
    """An empty results directory; what an earlier run left there is removed. Raises CannotRun."""
    shared = Shared(directory.resolve())
    try:
        shared.directory.mkdir(parents=True, exist_ok=True)
        for name in ("plan", "log", "subject", "output", "status", "console", "dmesg", "html", "junit"):
            getattr(shared, name).unlink(missing_ok=True)
        shared.script.write_text("")
    except OSError as error:
        raise CannotRun(f"the results directory {directory} can't be written: {error.strerror}") from None
    return shared


def run(
    kernel: Kernel,
    setup: Setup,
    directory: Path,
    arguments: Sequence[str] = (),
    heard: Callable[[str], None] = lambda line: None,
) -> Run:
    """Runs the suite on a kernel; the reports are in the directory. Raises CannotRun."""
    begun = time.monotonic()
    build.ensure_built()
    shared = new_results(directory)
    write_script(shared, pytest_command(shared, setup, arguments))
    try:
        with ended_by_signals():
            ending = boot(kernel, setup, shared, heard)
    except OSError as error:
        raise CannotRun(f"the results directory {directory} can't be written: {error.strerror}") from None
    if not ending.booted:
        raise CannotRun(why_not_booted(kernel, ending, Results(shared)))
    return render(kernel, ending, shared, begun)


def why_not_booted(kernel: Kernel, ending: Ending, results: Results) -> str:
    text = results.last_words
    if any(sign in text for sign in _NO_9P):
        return (
            f"{kernel.name} can't mount the host's files: it has no 9p (CONFIG_9P_FS, CONFIG_NET_9P_VIRTIO), built in "
            "or as a module beside it; Debian's cloud flavour has none, its plain one has"
        )
    trouble = ending.trouble or "the guest ended before its script began"
    return f"{kernel.name} didn't boot: {trouble} (console: {results.shared.console})"


def render(kernel: Kernel, ending: Ending, shared: Shared, begun: float) -> Run:
    """Makes the reports, and prints what pytest prints at a session's end."""
    results = Results(shared)
    trouble = ending.trouble
    if results.status is None and not trouble:
        trouble = "the guest ended without its results"
    if trouble and results.out_of_memory:
        trouble = f"the guest ran out of memory: give --memory ({trouble})"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command_line(shared, kernel.release, trouble, begun)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    sys.stdout.write(done.stdout)
    line = next((line for line in reversed(done.stdout.splitlines()) if line.startswith("pagemap-scan: ")), "")
    status = done.returncode if done.returncode in (CONFORMS, DOES_NOT) else NOT_ASKED
    return Run(status, line)
