"""A guest that has nothing but an initramfs with a program as its init: no files of the host's, and no modules."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from vm import CannotRun, temporary
from vm.guest.boot import QEMU, Ending, Setup, follow
from vm.guest.console import Console
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel
from vm.processes import carried_out, processes_of

#: With this line the program begins.
_BEGINS = "KTAP version 1"


class ProgramConsole(Console):
    """A console on which the program speaks: it has booted when the program says its first line."""

    def line(self, line: str) -> None:
        super().line(line)
        if _BEGINS in line and self.booted_at is None:
            self.booted_at = time.monotonic()


def new_initramfs(program: Path, work: Path) -> Path:
    """A compressed archive with the program as init, and nothing else. Raises CannotRun without room for it."""
    root = work / "root"
    (root / "dev").mkdir(parents=True)
    shutil.copy(program, root / "init")
    archive = work / "initramfs"
    pack = f"find . | busybox cpio -o -H newc | gzip -1 >{shlex.quote(str(archive))}"
    done = carried_out(["sh", "-c", pack], limit=60, cwd=root)
    if done.returncode:
        raise CannotRun(f"there is no room for an initramfs in {work}: {done.stderr.strip()[-300:]}")
    return archive


def qemu_command(kernel: Kernel, setup: Setup, initramfs: Path) -> list[str]:
    """QEMU, with the guest's console as its output."""
    cpu = "host" if setup.accel == "kvm" else "max"
    words = ("console=ttyS0", "quiet", "panic=-1", *setup.append)
    return [
        *(str(QEMU), "-accel", setup.accel, "-cpu", cpu, "-nographic", "-no-reboot"),
        *("-smp", str(setup.cpus), "-m", setup.memory, "-nodefaults", "-serial", "stdio", "-monitor", "none"),
        *("-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", " ".join(words)),
    ]


def boot(
    kernel: Kernel, setup: Setup, program: Path, shared: Shared, heard: Callable[[str], None] = lambda line: None
) -> Ending:
    """Boots a kernel with the program, which powers the machine off, and waits for the end; keeps the console."""
    with temporary.directory() as work:
        command = qemu_command(kernel, setup, new_initramfs(program, work))
        with shared.console.open("w", errors="replace") as log, processes_of(command, work) as process:
            console = ProgramConsole(log, setup.limits, setup.accel == "tcg", heard)
            trouble = follow(process, console)
    return Ending(console.booted_at is not None, trouble)
