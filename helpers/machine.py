"""The machine-wide things that tests need: swap, a pool of hugetlb pages, transparent huge pages.

Set up once by the controlling process, before any worker starts, and put back on every way out, by a process of its own
that outlives it (:mod:`helpers.keeper`). Every change is noted in a journal before it is made. Two runs at once: the
second waits until the first has put everything back.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from helpers import host
from helpers.interface.native import SuiteError, checked, lib
from helpers.journal import RUN, Journal, MachineError
from helpers.keeper import Keeper
from helpers.kernel import Sizes

JOURNAL = Path("/run/pagemap-scan-suite.journal")
#: How long to wait for another run on the same machine, in seconds.
PATIENCE = 900.0
SWAP_SIZE = 256 << 20
ZRAM = Path("/sys/class/zram-control")


def _write(path: Path, value: str) -> None:
    path.write_text(value)


def zram_devices() -> list[int]:
    """The numbers of the zram devices there are."""
    return sorted(int(block.name[4:]) for block in Path("/sys/block").glob("zram*"))


def _swapoff(device: str) -> None:
    """Of what isn't swap, or isn't there, there is nothing to be undone."""
    if os.path.realpath(device) in Path("/proc/swaps").read_text().split():
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

    def __init__(
        self,
        workers: int,
        sizes: Sizes,
        journal: Path = JOURNAL,
        is_alone: bool = False,
        patience: float = PATIENCE,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """``is_alone``: nobody else's memory is on the machine, and KSM would be done with ours at once."""
        self.workers = workers
        self.is_alone = is_alone
        self.sizes = sizes
        self.patience = patience
        self.say = say
        self.journal = Journal(journal, UNDO)
        #: What can't be had here, by key of :func:`helpers.host.missing`, and why.
        self.refused: dict[str, str] = {}
        self._keeper: Keeper | None = None

    def __enter__(self) -> Machine:
        """Raises OSError when there can be no journal, and so no changes; MachineError when another run goes on."""
        self.journal.lock(self.patience, self.say)
        try:
            self.journal.undo_all()
            self.journal.empty()
            self.journal.note(RUN, os.getpid())
            self._keeper = Keeper(self.set_up, self.undo, [self.journal.fileno()])
            told = self._keeper.answer()
            self.refused = told if isinstance(told, dict) else {"everything": str(told)}
        except ChildProcessError as died:  # By a seccomp filter, say: then nothing is changed.
            self.put_back()
            self.refused = dict.fromkeys(("thp", "huge zero page", "hugetlb", "swap", "ksm"), str(died))
        except BaseException:
            self.put_back()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.put_back()

    def changes(self) -> list[str]:
        """What has been changed, in words: settings with the value that they get back, and swap."""
        words = {"write": "{} (it was {})", "swapoff": "swap on {}"}
        return [words[action].format(*told) for action, told in self.journal.notes() if action in words]

    def put_back(self) -> None:
        """Undoes every change. Raises MachineError when something can't be; may be called twice."""
        keeper, self._keeper = self._keeper, None
        failed: object = []
        try:
            if keeper:
                with suppress(ChildProcessError):
                    failed = keeper.end()
            failed = failed or self.undo_rest()
        finally:
            self.journal.close()
        if failed:
            raise MachineError("not put back: " + "; ".join(map(str, failed if isinstance(failed, list) else [failed])))

    def undo_rest(self) -> list[str]:
        """What the keeper left when somebody killed it: nothing otherwise."""
        try:
            return self.journal.undo_all()
        except MachineError:
            return []  # The journal was never locked, or is closed again.

    # --- In the keeper ----------------------------------------------------------------------------------

    def undo(self) -> list[str]:
        failed = self.journal.undo_all()
        self.journal.close()
        return failed

    def set_up(self) -> dict[str, str]:
        """Makes what is missing; what is there already, or can't be had, is left as it is. Returns what and why."""
        steps = [("thp", self.allow_huge_pages), ("huge zero page", self.allow_huge_zero_page)]
        steps += [("hugetlb", self.fill_hugetlb_pool), ("swap", self.provide_swap)]
        steps += [("ksm", self.run_ksm)] * self.is_alone
        refused = {}
        for need, step in steps:
            try:
                step()
            except (OSError, SuiteError) as error:
                refused[need] = str(error)
        return refused

    def change(self, path: Path, value: str, now: str) -> None:
        """Writes a value to a file of the kernel's; ``now`` is what to write to have the present one back."""
        place = self.journal.note("write", str(path), now)
        try:
            _write(path, value)
        except OSError:
            self.journal.withdraw(place)
            raise

    def allow_huge_pages(self) -> None:
        enabled = host.THP / "enabled"
        if host.selected(enabled) == "never":
            self.change(enabled, "madvise", "never")

    def allow_huge_zero_page(self) -> None:
        zero = host.THP / "use_zero_page"
        if zero.exists() and zero.read_text().strip() == "0":
            self.change(zero, "1", "0")

    def fill_hugetlb_pool(self) -> None:
        pool = host.hugetlb_pool(self.sizes) / "nr_hugepages"
        if pool.exists():
            now = int(pool.read_text())
            self.change(pool, str(now + self.workers * host.HUGETLB_PAGES_NEEDED), str(now))

    def run_ksm(self) -> None:
        run = host.KSM / "run"
        if run.exists() and (now := run.read_text().strip()) != "1":
            self.change(run, "1", now)

    def provide_swap(self) -> None:
        if host.free_swap() >= self.workers * host.SWAP_NEEDED:
            return
        reasons = []
        for new_area in (self.new_zram, self.new_swap_file):
            try:
                self.swap_on(new_area(), SWAP_SIZE)
                return
            except (OSError, SuiteError) as error:
                reasons.append(str(error))
        raise MachineError("; ".join(reasons))

    def new_zram(self) -> Path:
        """A compressed block device in memory. Raises OSError when the kernel has none to give."""
        if not os.access(ZRAM / "hot_remove", os.W_OK):  # A device is made by reading, and removed by writing.
            raise MachineError(f"no zram: {ZRAM}/hot_remove can't be written")
        place = self.journal.note("remove zram", zram_devices())
        try:
            number = int((ZRAM / "hot_add").read_text())
        except OSError:
            self.journal.withdraw(place)
            raise
        _write(Path(f"/sys/block/zram{number}/disksize"), str(SWAP_SIZE))
        return Path(f"/dev/zram{number}")

    def new_swap_file(self) -> Path:
        if self.sizes.disk is None:
            raise MachineError("no real file system to put a swap file on")
        path = self.sizes.disk / f"pagemap-scan-{os.getpid()}.swap"
        self.journal.note("unlink", str(path))
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as area:
            os.posix_fallocate(area.fileno(), 0, SWAP_SIZE)
        return path

    def swap_on(self, path: Path, size: int) -> None:
        format_swap(path, size, self.sizes.page)
        place = self.journal.note("swapoff", str(path))
        try:
            checked(lib.native_swapon(str(path).encode()), f"swapon {path}")
        except SuiteError:
            self.journal.withdraw(place)
            raise
