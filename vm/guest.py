"""One boot of one kernel: the command, the console, the limits, and the end of all its processes."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from vm import CannotRun
from vm.kernels import Kernel
from vm.shared import MARK, Shared

SCRATCH_SIZE = 1 << 30
#: Once the kernel has panicked, QEMU ends by itself; seconds to wait for that.
LAST_WORDS = 10.0
#: Drivers of what a machine has and a guest needn't: with Debian's modular kernels, loading them is most of a boot.
UNNEEDED = (
    "ahci,libahci,libata,ata_piix,ata_generic,sr_mod,cdrom,sg,kvm,kvm_amd,kvm_intel,ccp,powernow_k8,iTCO_wdt,"
    "iTCO_vendor_support,i6300esb,watchdog,lpc_ich,i2c_i801,i2c_smbus,psmouse,pcspkr,serio_raw,evdev,joydev,button,"
    "aesni_intel,cryptd,ghash_clmulni_intel,sha1_ssse3,sha256_ssse3,sha512_ssse3,crct10dif_pclmul,polyval_clmulni,"
    "intel_rapl_msr,intel_rapl_common,rapl,bochs,virtio_gpu,qemu_fw_cfg,virtio_rng,mac_hid,parport_pc,ppdev,floppy"
)
_PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
_KVM_BROKEN = "KVM internal error"


@dataclass(frozen=True)
class Limits:
    """Seconds: until the guest's script runs, without a word on the console, for one test, for the whole."""

    boot: float = 60
    silence: float = 90
    test: float = 120
    whole: float = 900

    def scaled(self, factor: float) -> Limits:
        """The same limits for a guest that is so many times slower."""
        return Limits(self.boot * factor, self.silence * factor, self.test * factor, self.whole * factor)


@dataclass(frozen=True)
class Setup:
    """How a guest is run: acceleration (``kvm`` or ``tcg``), processors, memory as QEMU writes it, limits."""

    accel: str
    cpus: int = 2
    memory: str = "2G"
    limits: Limits = Limits()


@dataclass(frozen=True)
class Ending:
    """How a guest ended.

    ``booted`` is whether its script began. ``trouble`` is empty when it powered itself off, else a sentence:
    a panic, a limit, QEMU's own complaint.
    """

    booted: bool
    trouble: str = ""
    seconds_to_boot: float | None = None


def require_programs() -> None:
    """Raises CannotRun when a program is missing that booting needs, with the name of Debian's package."""
    needed = {
        f"qemu-system-{os.uname().machine}": "qemu-system-x86",
        "vng": "virtme-ng from PyPI, which make setup installs",
        "busybox": "busybox-static",
        "modprobe": "kmod",
        "mkfs.ext4": "e2fsprogs",
    }
    for program, package in needed.items():
        if not shutil.which(program, path=search_path()):
            raise CannotRun(f"{program} is missing: install {package}")


def search_path() -> str:
    """PATH with the programs of this Python's environment first, and those of the administrator's directories."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the program as Ctrl-C does: through every ``finally``."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def vng_command(kernel: Kernel, setup: Setup, shared: Shared, disk: Path) -> list[str]:
    """The command that boots a kernel; the shared directory is writable there, at the same path."""
    command = ["vng", "--run", str(kernel.image), "--verbose", "--force-9p"]
    command += ["--cpus", str(setup.cpus), "--memory", setup.memory, "--rwdir", str(shared.directory)]
    command += ["--append", f"module_blacklist={UNNEEDED}", "--append", "printk.devkmsg=on", "--disk", str(disk)]
    if setup.accel == "tcg":
        command.append("--disable-kvm")
    for path in (kernel.image, shared.directory):
        if shlex.quote(str(path)) != str(path):
            raise CannotRun(f"{path}: virtme-ng takes no paths with characters that a shell treats specially")
    return [*command, "--exec", f"sh {shared.script}"]


def new_scratch_disk(directory: Path) -> Path:
    """An empty ext4 file system, sparse, for files and swap."""
    disk = directory / "scratch.img"
    with disk.open("wb") as image:
        image.truncate(SCRATCH_SIZE)
    environment = {**os.environ, "PATH": search_path()}
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True, capture_output=True, env=environment)
    return disk


@contextmanager
def processes_of(command: list[str], home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a session of its own: when the context is left, the whole of it is ended.

    virtme-ng gets pipes, since QEMU truncates what is a file, and a home without anybody's settings.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "PATH": search_path()},
    )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        if process.stdout:
            process.stdout.close()


class Console:
    """What a guest says, line by line: kept in a file, and followed for what it tells of the run."""

    def __init__(self, log: IO[str], limits: Limits, heard: Callable[[str], None]) -> None:
        self.log = log
        self.limits = limits
        self.heard = heard
        self.begun = self.last_word = time.monotonic()
        self.booted_at: float | None = None
        self.panic = ""
        self.running: dict[str, tuple[str, float]] = {}
        self._rest = ""

    def take(self, data: bytes) -> None:
        self.last_word = time.monotonic()
        *lines, self._rest = (self._rest + data.decode(errors="replace")).split("\n")
        for line in lines:
            self.line(line.rstrip("\r"))

    def line(self, line: str) -> None:
        self.log.write(line + "\n")
        self.log.flush()
        self.heard(line)
        if MARK in line:
            self.mark(line.split(MARK, 1)[1].split())
        elif found := _PANIC.search(line):
            self.panic = self.panic or f"the kernel panicked: {found[1]}"
        elif _KVM_BROKEN in line:
            self.panic = "KVM opens but can't run this guest (KVM internal error): give --accel=tcg"

    def mark(self, words: list[str]) -> None:
        match words:
            case ["booted"]:
                self.booted_at = time.monotonic()
            case ["start", process, *test]:
                self.running[process] = (" ".join(test), time.monotonic())
            case ["end", process, *_]:
                self.running.pop(process, None)

    def overdue(self) -> str:
        """The limit that is past, in a sentence; empty when none is."""
        now = time.monotonic()
        if self.booted_at is None and now - self.begun > self.limits.boot:
            return f"the guest hasn't booted within {self.limits.boot:.0f} s"
        for test, since in self.running.values():
            # pytest-timeout ends a test at the limit; a kernel that hangs doesn't let it.
            if now - since > 1.25 * self.limits.test:
                return f"the guest hangs: {test} has run for {now - since:.0f} s"
        if now - self.last_word > self.limits.silence:
            return f"the guest hangs: not a word for {self.limits.silence:.0f} s"
        if now - self.begun > self.limits.whole:
            return f"the guest isn't done after {self.limits.whole:.0f} s"
        return ""


def follow(process: subprocess.Popen[bytes], console: Console) -> str:
    """Listens until the guest is gone; what was the trouble, when there was any."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        panicked_at = None
        while True:
            if selector.select(timeout=0.5):
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    return console.panic
                console.take(data)
            if console.panic:
                panicked_at = panicked_at or time.monotonic()
                if time.monotonic() - panicked_at > LAST_WORDS:
                    return console.panic
            elif trouble := console.overdue():
                return trouble


def boot(kernel: Kernel, setup: Setup, shared: Shared, heard: Callable[[str], None] = lambda line: None) -> Ending:
    """Boots a kernel, runs the shared directory's script in it and waits for the end; keeps the console.

    Raises CannotRun when a guest can't even be started.
    """
    require_programs()
    with tempfile.TemporaryDirectory(prefix="pagemap-scan-vm-") as name:
        work = Path(name)
        command = vng_command(kernel, setup, shared, new_scratch_disk(work))
        with shared.console.open("w", errors="replace") as log:
            console = Console(log, setup.limits, heard)
            with processes_of(command, work) as process:
                trouble = follow(process, console)
    booted_in = None if console.booted_at is None else console.booted_at - console.begun
    return Ending(console.booted_at is not None, trouble, booted_in)
