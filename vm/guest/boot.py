"""One boot of one kernel: the command, the limits, and how it ended."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vm import CHECKOUT, CannotRun, temporary
from vm.architectures import ARCHITECTURES
from vm.guest import mounts
from vm.guest.console import Console, Limits, Trouble
from vm.guest.marks import MARK
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel
from vm.processes import carried_out, processes_of, search_path

SCRATCH_SIZE = 1 << 30
#: In the guest, these are udev's only rules: virtme-ng mounts them before udev has started, or at worst with the first
#: events, and then a boot is as slow as without.
UDEV_RULES = ("/usr/lib/udev/rules.d", Path(__file__).with_name("udev"))
QEMU = Path(__file__).with_name("qemu")
#: What every guest's kernel is told: to let the suite write to its log, and to keep one page of 1 GiB, which can't be
#: had later (it has to lie in one piece; of 3 GiB of memory QEMU's machine leaves none).
_APPENDED = ("printk.devkmsg=on", "hugepagesz=1G", "hugepages=1")
#: What booting needs in any case, and what virtme-ng does beside it: programs, with Debian's packages.
NEEDED_BY_ALL = {"busybox": "busybox-static", "mkfs.ext4": "e2fsprogs"}
NEEDED = {
    **dict(one.qemu for one in ARCHITECTURES.values() if one.is_hosts),
    "vng": "virtme-ng from PyPI (make setup)",
    **NEEDED_BY_ALL,
    "modprobe": "kmod",
}


@dataclass(frozen=True)
class Setup:
    """How a guest is run: acceleration (``kvm`` or ``tcg``), processors, memory as QEMU writes it, limits.

    ``append`` is added to the kernel's command line.
    """

    accel: str
    cpus: int = 2
    memory: str = "4G"
    limits: Limits = Limits()
    append: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ending:
    """How a guest ended.

    ``booted`` is whether its script began. ``trouble`` is None when it powered itself off.
    """

    booted: bool
    trouble: Trouble | None = None
    seconds_to_boot: float | None = None


def require_programs(needed: Mapping[str, str] = NEEDED) -> None:
    """Raises CannotRun when a program is missing that booting needs, with the name of Debian's package."""
    for program, package in needed.items():
        if not shutil.which(program, path=search_path()):
            raise CannotRun(f"{program} is missing: install {package}")
    vng = shutil.which("vng", path=search_path()) or ""
    if (interpreter := interpreter_of(Path(vng))) and not os.access(interpreter, os.X_OK):
        raise CannotRun(f"{vng} is a program of {interpreter}, which is gone: run make clean setup in {CHECKOUT}")


def interpreter_of(script: Path) -> str:
    """What carries out a script in Python, as pip writes it: in its first line, or in a call where that has no room."""
    lines = [line.decode(errors="replace") for line in script.read_bytes()[:4096].split(b"\n")[:2]]
    direct = re.match(r"#!(/.*python\S*)", lines[0])
    called = re.match(r"'''exec' \"?(/.*python[^\s\"]*)", lines[-1])
    return next((found[1] for found in (direct, called) if found), "")


def vng_command(kernel: Kernel, setup: Setup, *options: str) -> list[str]:
    """The command that boots a kernel, with all of the host's files in the guest, to be read only.

    virtme-ng puts most of its arguments into a line for a shell unquoted: what a shell would treat specially is
    refused with CannotRun.
    """
    command = ["vng", "--run", str(kernel.image), "--force-9p", "--cpus", str(setup.cpus), "--memory", setup.memory]
    command += [*mounts.options(), "--rodir", "=".join(map(str, UDEV_RULES)), *options]
    command += ["--qemu", str(QEMU)]
    for words in (*_APPENDED, *setup.append):
        command += ["--append", words]
    if setup.accel == "tcg":
        command.append("--disable-kvm")
    for before, word in zip(["", *command], command, strict=False):
        for part in word.split(" ") if before in ("--append", "--exec") else [word]:
            if shlex.quote(part) != part:
                where = f"move {CHECKOUT}" if str(CHECKOUT) in part else "give another name"
                raise CannotRun(f"{part}: virtme-ng takes no words with blanks or what else a shell changes: {where}")
    return command


def new_script(shared: Shared, commands: str) -> None:
    """Writes what the guest does: it says that it has booted, and carries out commands of sh(1)."""
    script = f"#!/bin/sh\necho '{MARK} booted' >/dev/kmsg\n{commands}"
    shared.script.write_bytes(os.fsencode(script))  # There are names of files in it.


def new_scratch_disk(directory: Path) -> Path:
    """An empty ext4 file system, sparse, for files and swap. Raises CannotRun when there is no room for it."""
    disk = directory / "scratch.img"
    try:
        with disk.open("wb") as image:
            image.truncate(SCRATCH_SIZE)
    except OSError as error:
        raise CannotRun(f"there is no room for a scratch disk in {directory}: {error.strerror}") from None
    done = carried_out(["mkfs.ext4", "-q", "-F", disk], limit=300)
    if done.returncode:
        raise CannotRun(f"there is no room for a scratch disk in {directory}: {done.stderr.strip()[-300:]}")
    return disk


def follow(process: subprocess.Popen[bytes], console: Console) -> Trouble | None:
    """Listens until the guest is gone, or has to be ended; what the trouble was, when there was any."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=0.5):
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    return console.last_trouble
                console.take(data)
            if trouble := console.trouble():
                return trouble


def boot(kernel: Kernel, setup: Setup, shared: Shared, heard: Callable[[str], None] = lambda line: None) -> Ending:
    """Boots a kernel, runs the shared directory's script in it and waits for the end; keeps the console.

    Raises CannotRun when a guest can't even be started, OSError when the shared directory can't be written.
    """
    with temporary.directory() as work:
        disk = new_scratch_disk(work)
        options = ["--verbose", "--disk", str(disk), "--rwdir", str(shared.directory)]
        command = vng_command(kernel, setup, *options, "--exec", f"sh {shared.script}")
        with shared.console.open("w", errors="replace") as log, processes_of(command, work) as process:
            console = Console(log, setup.limits, setup.accel == "tcg", heard)
            trouble = follow(process, console)
    booted_in = None if console.booted_at is None else console.booted_at - console.begun
    return Ending(console.booted_at is not None, trouble, booted_in)
