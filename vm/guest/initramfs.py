"""A guest that has nothing but a disk, and an initramfs with a program as its init: no files of the host's."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vm import CannotRun, temporary
from vm.architectures import Architecture
from vm.guest.boot import QEMU, Ending, Setup, follow, new_scratch_disk
from vm.guest.console import Console
from vm.guest.shared_directory import Shared
from vm.kernels import modules
from vm.kernels.kernel import Kernel
from vm.processes import carried_out, processes_of

#: What the program needs for swap, and for files on a disk: of a kernel that has it as modules.
MODULES = ("zram", "virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
#: With this line the program begins.
_BEGINS = "KTAP version 1"


class ProgramConsole(Console):
    """A console on which the program speaks: it has booted when the program says its first line."""

    def line(self, line: str) -> None:
        super().line(line)
        if _BEGINS in line and self.booted_at is None:
            self.booted_at = time.monotonic()


def new_initramfs(program: Path, parts: Iterable[tuple[str, bytes]], work: Path) -> Path:
    """A compressed archive with the program as init, which loads the modules that are named in ``modules/list``.

    Raises CannotRun without room for it.
    """
    root = work / "root"
    (root / "dev").mkdir(parents=True)
    (root / "modules").mkdir()
    archive = work / "initramfs"
    try:
        shutil.copy(program, root / "init")
        names = []
        for name, content in parts:
            (root / "modules" / name).write_bytes(content)
            names.append(name)
        (root / "modules" / "list").write_text("".join(f"{name}\n" for name in names))
    except OSError as error:
        raise CannotRun(f"there is no room for an initramfs in {work}: {error.strerror}") from None
    pack = f"find . | busybox cpio -o -H newc | gzip -1 >{shlex.quote(str(archive))}"
    done = carried_out(["sh", "-c", pack], limit=60, cwd=root)
    if done.returncode:
        raise CannotRun(f"there is no room for an initramfs in {work}: {done.stderr.strip()[-300:]}")
    return archive


def qemu_command(kernel: Kernel, setup: Setup, machine: Architecture, initramfs: Path, disk: Path) -> list[str]:
    """QEMU, with the guest's console as its output."""
    cpu = "host" if setup.accel == "kvm" else machine.emulated
    words = (f"console={machine.console}", "quiet", "panic=-1", *setup.append)
    return [
        *(str(QEMU), machine.qemu[0], *machine.machine, "-accel", setup.accel, "-cpu", cpu, "-nographic", "-no-reboot"),
        *("-smp", str(setup.cpus), "-m", setup.memory, "-nodefaults", "-serial", "stdio", "-monitor", "none"),
        *("-drive", f"file={disk},format=raw,if=none,id=scratch", "-device", "virtio-blk-pci,drive=scratch"),
        *("-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", " ".join(words)),
    ]


def boot(
    kernel: Kernel,
    setup: Setup,
    machine: Architecture,
    program: Path,
    shared: Shared,
    heard: Callable[[str], None] = lambda line: None,
) -> Ending:
    """Boots a kernel with the program, which powers the machine off, and waits for the end; keeps the console."""
    with temporary.directory() as work:
        packed = new_initramfs(program, modules.contents(kernel, MODULES), work)
        command = qemu_command(kernel, setup, machine, packed, new_scratch_disk(work))
        with shared.console.open("w", errors="replace") as log, processes_of(command, work) as process:
            console = ProgramConsole(log, setup.limits, setup.accel == "tcg", heard)
            trouble = follow(process, console)
    return Ending(console.booted_at is not None, trouble)
