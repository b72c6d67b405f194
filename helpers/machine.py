"""The machine-wide things that tests need: swap, a pool of hugetlb pages, transparent huge pages.

Set up once by the controlling process, before any worker starts, and put back on every way out. Every change
is noted in a journal before it is made; a run that is killed leaves the journal, and the next run undoes what
it says. Two runs at once: the second waits until the first has put everything back.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from helpers import host
from helpers.interface.native import SuiteError, checked, lib
from helpers.kernel import Sizes

JOURNAL = Path("/run/pagemap-scan-suite.journal")
#: How long to wait for another run on the same machine, in seconds.
PATIENCE = 900.0
SWAP_SIZE = 256 << 20
ZRAM = Path("/sys/class/zram-control")


class MachineError(SuiteError):
    """The machine can't be set up, or not be put back; the message says what was tried."""


def _write(path: Path, value: str) -> None:
    path.write_text(value)


def zram_devices() -> list[int]:
    """The numbers of the zram devices there are."""
    return sorted(int(block.name[4:]) for block in Path("/sys/block").glob("zram*"))


def _swapoff(device: str) -> None:
    with suppress(SuiteError):
        checked(lib.native_swapoff(device.encode()), f"swapoff {device}")


def _remove_zram_beyond(kept: list[int]) -> None:
    """Removes the device that a run added: not one that was there before, nor one that isn't of its size."""
    for number in zram_devices():
        size = int(Path(f"/sys/block/zram{number}/disksize").read_text())
        if number not in kept and size in (0, SWAP_SIZE):
            _write(Path(f"/sys/block/zram{number}/reset"), "1")
            _write(ZRAM / "hot_remove", str(number))


#: How each kind of note in the journal is undone. All may be done twice.
UNDO: dict[str, Callable[..., None]] = {
    "write": lambda path, value: _write(Path(path), value),
    "swapoff": _swapoff,
    "remove zram": _remove_zram_beyond,
    "unlink": lambda path: Path(path).unlink(missing_ok=True),
}


def format_swap(path: Path, size: int, page_size: int) -> None:
    """Writes the header that makes a device or file a swap area (``union swap_header`` in linux/swap.h)."""
    header = bytearray(page_size)
    struct.pack_into("=III", header, 1024, 1, size // page_size - 1, 0)
    header[page_size - 10 :] = b"SWAPSPACE2"
    with path.open("r+b") as area:
        area.write(header)


class Machine:
    """The machine's settings, changed for a run. Use as a context manager; leaving it puts everything back."""

    def __init__(self, workers: int, sizes: Sizes, journal: Path = JOURNAL, is_alone: bool = False) -> None:
        """``is_alone``: nobody else's memory is on the machine, and KSM would be done with ours at once."""
        self.workers = workers
        self.is_alone = is_alone
        self.sizes = sizes
        self.journal = journal
        self._notes: TextIO | None = None

    def __enter__(self) -> Machine:
        self._notes = self._lock()
        self._undo_all()
        try:
            self.set_up()
        except BaseException:
            self.put_back()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.put_back()

    def set_up(self) -> None:
        """Makes what is missing; what is there already, or can't be had, is left as it is."""
        self.allow_huge_pages()
        self.fill_hugetlb_pool()
        self.provide_swap()
        if self.is_alone:
            self.run_ksm()

    # --- The journal ------------------------------------------------------------------------------------

    def _lock(self) -> TextIO:
        """The journal, opened and locked: the lock is gone with the process that held it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            notes = self.journal.open("a+")
            try:
                fcntl.flock(notes, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                notes.close()
                if time.monotonic() > deadline:
                    raise MachineError(f"another run has held {self.journal} for {PATIENCE:.0f} s") from None
                time.sleep(0.2)
                continue
            if self._is_still_there(notes):
                return notes
            notes.close()

    def _is_still_there(self, notes: TextIO) -> bool:
        """Whether the file that was locked is the one that others find: the last run removed its own."""
        try:
            return os.stat(self.journal).st_ino == os.fstat(notes.fileno()).st_ino
        except FileNotFoundError:
            return False

    def note(self, action: str, *arguments: Any) -> None:
        """Writes down, to the disk, how the next change is undone."""
        if self._notes is None:
            raise MachineError("the machine is changed only inside the context")
        self._notes.write(json.dumps([action, *arguments]) + "\n")
        self._notes.flush()
        os.fsync(self._notes.fileno())

    def _undo_all(self) -> list[str]:
        """Undoes what the journal says, last first; returns what couldn't be undone."""
        if self._notes is None:
            return []
        self._notes.seek(0)
        failed = []
        for line in reversed(self._notes.read().splitlines()):
            try:
                action, *arguments = json.loads(line)
                UNDO[action](*arguments)
            except json.JSONDecodeError:
                continue  # The run was killed while it wrote the note: the change wasn't made.
            except OSError as error:
                failed.append(f"{line}: {error}")
        self._notes.truncate(0)
        return failed

    def put_back(self) -> None:
        """Undoes every change. Raises MachineError when something can't be; may be called twice."""
        if self._notes is None:
            return
        failed = self._undo_all()
        self.journal.unlink(missing_ok=True)
        self._notes.close()
        self._notes = None
        if failed:
            raise MachineError("not put back: " + "; ".join(failed))

    # --- Changes ----------------------------------------------------------------------------------------

    def change(self, path: Path, value: str, now: str) -> None:
        """Writes a value to a file of the kernel's; ``now`` is what to write to have the present one back."""
        self.note("write", str(path), now)
        _write(path, value)

    def allow_huge_pages(self) -> None:
        enabled = host.THP / "enabled"
        if host.selected(enabled) == "never":
            self.change(enabled, "madvise", "never")
        zero = host.THP / "use_zero_page"
        with suppress(OSError):
            if zero.read_text().strip() == "0":
                self.change(zero, "1", "0")

    def fill_hugetlb_pool(self) -> None:
        pool = host.hugetlb_pool(self.sizes) / "nr_hugepages"
        with suppress(FileNotFoundError):
            now = int(pool.read_text())
            self.change(pool, str(now + self.workers * host.HUGETLB_PAGES_NEEDED), str(now))

    def run_ksm(self) -> None:
        run = host.KSM / "run"
        with suppress(OSError):
            if (now := run.read_text().strip()) != "1":
                self.change(run, "1", now)

    def provide_swap(self) -> None:
        if host.free_swap() >= self.workers * host.SWAP_NEEDED:
            return
        with suppress(OSError, SuiteError):
            self.swap_on(self.new_zram(), SWAP_SIZE)
            return
        with suppress(OSError, SuiteError):
            self.swap_on(self.new_swap_file(), SWAP_SIZE)

    def new_zram(self) -> Path:
        """A compressed block device in memory. Raises OSError when the kernel has none to give."""
        self.note("remove zram", zram_devices())
        number = int((ZRAM / "hot_add").read_text())
        _write(Path(f"/sys/block/zram{number}/disksize"), str(SWAP_SIZE))
        return Path(f"/dev/zram{number}")

    def new_swap_file(self) -> Path:
        if self.sizes.disk is None:
            raise MachineError("no real file system to put a swap file on")
        path = self.sizes.disk / f"pagemap-scan-{os.getpid()}.swap"
        self.note("unlink", str(path))
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as area:
            os.posix_fallocate(area.fileno(), 0, SWAP_SIZE)
        return path

    def swap_on(self, path: Path, size: int) -> None:
        format_swap(path, size, self.sizes.page)
        self.note("swapoff", str(path))
        checked(lib.native_swapon(str(path).encode()), f"swapon {path}")
