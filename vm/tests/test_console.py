"""A guest that hangs, panics or isn't done is noticed by what it says, and by what it doesn't."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from vm.guest import console
from vm.guest.console import EMULATOR_FAILED, LAST_WORDS, OOPS_GRACE, Console, Limits, Trouble
from vm.guest.marks import MARK

LOGS = Path(__file__).with_name("logs")
#: The logs in which a task is stopped in the kernel, and what that is called.
OOPSES = {
    "bug": "kernel BUG at mm/huge_memory.c:2170!",
    "general-protection": "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: 0000 "
    "[#1] PREEMPT SMP NOPTI",
    "list": "list_del corruption. next->prev should be ffff888003a1c2e8, but was dead000000000122. "
    "(next=ffff888003a1d2e8)",
    "oops": "BUG: kernel NULL pointer dereference, address: 0000000000000008",
}
LIMITS = Limits(boot=60, silence=90, test=100, whole=900)


class Clock:
    """A time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=clock))
    return clock


@pytest.fixture
def guest(clock: Clock) -> Console:
    return Console(io.StringIO(), LIMITS, True, lambda line: None)


def said(guest: Console, *lines: str) -> None:
    guest.take("".join(f"[    1.000000] {line}\r\n" for line in lines).encode())


def trouble_after(guest: Console, clock: Clock, seconds: float, talks: bool = False) -> Trouble | None:
    """What is wrong when so many seconds have passed, with a word at their end or without."""
    clock.now += seconds
    if talks:
        said(guest, "a word")
    return guest.trouble()


def test_a_guest_that_does_not_boot_is_past_its_limit(guest: Console, clock: Clock) -> None:
    assert trouble_after(guest, clock, 60, talks=True) is None
    assert trouble_after(guest, clock, 1, talks=True) == Trouble("it hasn't booted within 60 s (--boot-limit)")


def test_a_guest_that_falls_silent_hangs(guest: Console, clock: Clock) -> None:
    said(guest, f"{MARK} booted")
    assert trouble_after(guest, clock, 90) is None
    assert trouble_after(guest, clock, 1) == Trouble("the guest hangs: not a word for 90 s (--silence-limit)")


def test_a_test_that_goes_on_and_on_hangs(guest: Console, clock: Clock) -> None:
    """pytest-timeout has its chance first."""
    said(guest, f"{MARK} booted", f"{MARK} start 7 a.py::one[a b]", f"{MARK} start 8 a.py::two", f"{MARK} end 8")
    assert trouble_after(guest, clock, 85, talks=True) is None
    assert trouble_after(guest, clock, 40, talks=True) is None
    expected = Trouble("the guest hangs: a.py::one[a b] has run for 126 s (--test-limit)")
    assert trouble_after(guest, clock, 1, talks=True) == expected


def test_a_guest_that_is_not_done_in_time_is_not_to_blame(guest: Console, clock: Clock) -> None:
    said(guest, f"{MARK} booted")
    for _ in range(15):
        assert trouble_after(guest, clock, 60, talks=True) is None
    found = trouble_after(guest, clock, 1, talks=True)
    assert found == Trouble("the guest isn't done after 900 s: give it longer with --whole-limit", by_kernel=False)


def test_a_panic_is_told_once_its_last_words_were_heard(guest: Console, clock: Clock) -> None:
    said(guest, "Kernel panic - not syncing: sysrq triggered crash", "Kernel panic - not syncing: another")
    assert guest.trouble() is None
    assert trouble_after(guest, clock, LAST_WORDS) == Trouble("the kernel panicked: sysrq triggered crash")
    assert guest.last_trouble == guest.trouble()  # As when QEMU ends by itself.


def test_a_task_that_hangs_ends_the_guest_once_the_kernel_has_told_of_it(guest: Console, clock: Clock) -> None:
    guest.line("[  363.1] INFO: task khugepaged:41 blocked for more than 120 seconds.")
    guest.line("[  363.2] INFO: task python:203 blocked for more than 120 seconds.")
    assert guest.trouble() is None
    hangs = Trouble("the guest hangs: the kernel says that khugepaged is blocked")
    assert trouble_after(guest, clock, LAST_WORDS) == hangs


@pytest.mark.parametrize("name", OOPSES)
def test_an_oops_ends_the_guest_once_all_of_it_was_heard(guest: Console, clock: Clock, name: str) -> None:
    """The guest goes on meanwhile, and ends by itself when it can."""
    log = (LOGS / f"{name}.log").read_text()
    said(guest, f"{MARK} booted")
    for line in log.splitlines(keepends=True):
        guest.take(line.encode())
        assert guest.trouble() is None
    said(guest, f"{MARK} start 212 a.py::next")
    assert trouble_after(guest, clock, OOPS_GRACE - 1, talks=True) is None
    expected = Trouble(f"the kernel oopsed: {OOPSES[name]}")
    assert trouble_after(guest, clock, 1, talks=True) == guest.last_trouble == expected
    assert isinstance(guest.log, io.StringIO) and log in guest.log.getvalue()


@pytest.mark.parametrize("name", sorted({path.stem for path in LOGS.glob("*.log")} - {*OOPSES, "hung-task"}))
def test_a_complaint_after_which_the_kernel_goes_on_ends_no_guest(guest: Console, clock: Clock, name: str) -> None:
    """WARNING, UBSAN, lockdep, KASAN: whatever they tell, the task was not stopped."""
    said(guest, f"{MARK} booted")
    guest.take((LOGS / f"{name}.log").read_bytes())
    assert trouble_after(guest, clock, OOPS_GRACE + 1, talks=True) is None
    assert guest.last_trouble is None


def test_a_panic_that_follows_an_oops_is_called_by_what_came_first(guest: Console, clock: Clock) -> None:
    said(guest, f"{MARK} booted")
    said(guest, "BUG: unable to handle page fault for address: ffffc90000000000", "Oops: Oops: 0002 [#1] SMP NOPTI")
    said(guest, "Kernel panic - not syncing: Fatal exception in interrupt")
    expected = Trouble("the kernel oopsed: BUG: unable to handle page fault for address: ffffc90000000000")
    assert trouble_after(guest, clock, OOPS_GRACE) == expected


@pytest.mark.parametrize(
    "line",
    [
        "divide error: 0000 [#1] PREEMPT SMP NOPTI",  # As kernels before 6.10 say it.
        "Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP",
        "Oops [#1]",
    ],
)
def test_an_oops_that_nothing_precedes_is_one_too(guest: Console, clock: Clock, line: str) -> None:
    said(guest, f"{MARK} booted", line)
    assert trouble_after(guest, clock, OOPS_GRACE) == Trouble(f"the kernel oopsed: {line}")


def test_an_oops_at_boot_leaves_a_guest_that_may_still_be_asked(guest: Console, clock: Clock) -> None:
    guest.take((LOGS / "oops.log").read_bytes())
    assert trouble_after(guest, clock, OOPS_GRACE + 1) is None


def test_an_oops_at_boot_is_told_when_the_guest_does_not_boot(guest: Console, clock: Clock) -> None:
    guest.take((LOGS / "oops.log").read_bytes())
    clock.now += LIMITS.boot + 1
    found = guest.trouble()
    assert found is not None and re.search(r"^it hasn't booted within .*; the kernel oopsed: BUG: ", found.says)


def test_an_oops_that_somebody_else_speaks_of_is_none(guest: Console, clock: Clock) -> None:
    guest.take(f"[ 1.0] {MARK} booted\n[ 2.0] {MARK} start 7 a.py::b[Oops: 0000 [#1]]\nOops: 0000 [#1]\n".encode())
    assert trouble_after(guest, clock, OOPS_GRACE + 1) is None


def test_kvm_that_stands_still_is_told_at_once(guest: Console) -> None:
    said(guest, "KVM internal error. Suberror: 1")
    found = guest.trouble()
    assert found is not None and not found.by_kernel and "--accel=tcg" in found.says


def test_a_qemu_that_is_killed_is_told_at_once(guest: Console) -> None:
    said(guest, f"{MARK} booted", f"{MARK} qemu died 9")
    assert guest.trouble() == Trouble("QEMU was killed on the host (SIGKILL)", by_kernel=False)


def test_what_the_kernel_did_before_qemu_was_killed_stays(guest: Console, clock: Clock) -> None:
    said(guest, f"{MARK} booted", "Kernel panic - not syncing: over", f"{MARK} qemu died 9")
    assert trouble_after(guest, clock, LAST_WORDS) == Trouble("the kernel panicked: over")


def test_a_boot_that_the_emulator_spoils_is_told_at_once(guest: Console) -> None:
    said(guest, "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI")
    assert guest.trouble() == EMULATOR_FAILED


def test_a_breakpoint_later_or_on_hardware_is_the_kernels(guest: Console, clock: Clock) -> None:
    on_hardware = Console(io.StringIO(), LIMITS, False, lambda line: None)
    said(guest, f"{MARK} booted")
    for console_of in (guest, on_hardware):
        said(console_of, "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI")
        assert console_of.trouble() is None
    clock.now += OOPS_GRACE
    assert guest.trouble() == Trouble("the kernel oopsed: Oops: int3: 0000 [#1] PREEMPT SMP NOPTI")
    assert on_hardware.trouble() is None  # Not booted yet.


def test_a_mark_that_comes_in_pieces_is_heard(guest: Console) -> None:
    for piece in (b"[ 1.0] pagemap-scan-su", b"ite: boo", b"ted\r", b"\n\xff\xfe\n"):
        guest.take(piece)
    assert guest.booted_at is not None


def test_limits_are_longer_for_a_guest_that_is_slower() -> None:
    assert Limits(1, 2, 3, 4).scaled(5) == Limits(5, 10, 15, 20)


def test_what_is_heard_is_kept(clock: Clock) -> None:
    log, heard = io.StringIO(), list[str]()
    listen: Callable[[str], None] = heard.append
    said(Console(log, LIMITS, True, listen), "one", "two")
    assert log.getvalue().splitlines() == heard == ["[    1.000000] one", "[    1.000000] two"]
