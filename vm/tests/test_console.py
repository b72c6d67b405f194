"""A guest that hangs, panics or isn't done is noticed by what it says, and by what it doesn't."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from vm.guest import console
from vm.guest.console import EMULATOR_FAILED, LAST_WORDS, Console, Limits, Trouble
from vm.guest.marks import MARK

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


def test_kvm_that_stands_still_is_told_at_once(guest: Console) -> None:
    said(guest, "KVM internal error. Suberror: 1")
    found = guest.trouble()
    assert found is not None and not found.by_kernel and "--accel=tcg" in found.says


def test_a_boot_that_the_emulator_spoils_is_told_at_once(guest: Console) -> None:
    said(guest, "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI")
    assert guest.trouble() == EMULATOR_FAILED


def test_a_breakpoint_later_or_on_hardware_is_the_kernels(guest: Console, clock: Clock) -> None:
    on_hardware = Console(io.StringIO(), LIMITS, False, lambda line: None)
    said(guest, f"{MARK} booted")
    for console_of in (guest, on_hardware):
        said(console_of, "Oops: int3: 0000 [#1] PREEMPT SMP NOPTI")
        assert console_of.trouble() is None


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
