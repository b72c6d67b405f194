"""What the kernel complains of is found in a console's log, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from vm.guest.splats import splats

LOGS = Path(__file__).with_name("logs")
#: Each log of a complaint: what it is called by.
COMPLAINTS = {
    "bug": "kernel BUG at mm/huge_memory.c:2170!",
    "warning": "WARNING: CPU: 1 PID: 211 at fs/proc/task_mmu.c:1873 pagemap_scan_pmd_entry+0x3a1/0x5d0",
    "warning-since-7": "WARNING: fs/proc/task_mmu.c:2301 at pagemap_scan_test_walk+0x5c/0x80, CPU#0: python/211",
    "oops": "BUG: kernel NULL pointer dereference, address: 0000000000000008",
    "general-protection": "Oops: general protection fault, probably for non-canonical address 0xdead000000000122: "
    "0000 [#1] PREEMPT SMP NOPTI",
    "ubsan": "UBSAN: shift-out-of-bounds in mm/pagewalk.c:88:22",
    "kasan": "BUG: KASAN: slab-use-after-free in pagemap_scan_hugetlb_entry+0x1f2/0x3c0",
    "kcsan": "BUG: KCSAN: data-race in change_protection_range / pagemap_scan_pmd_entry",
    "lockdep": "WARNING: possible circular locking dependency detected",
    "suspicious-rcu": "WARNING: suspicious RCU usage",
    "sleeping": "BUG: sleeping function called from invalid context at mm/memory.c:6512",
    "soft-lockup": "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [python:211]",
    "hard-lockup": "watchdog: Watchdog detected hard LOCKUP on cpu 1",
    "rcu-stall": "rcu: INFO: rcu_preempt self-detected stall on CPU",
    "rcu-stall-of-others": "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    "hung-task": "INFO: task python:211 blocked for more than 120 seconds.",
    "bad-page": "BUG: Bad page state in process python  pfn:1a2b3",
    "rss-counter": "BUG: Bad rss-counter state mm:00000000c0ffee00 type:MM_ANONPAGES val:1",
    "slab": "BUG kmalloc-64 (Not tainted): Poison overwritten",
    "list": "list_del corruption. next->prev should be ffff888003a1c2e8, but was dead000000000122. "
    "(next=ffff888003a1d2e8)",
    "memory-leak": "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
}


def lines(name: str) -> list[str]:
    return (LOGS / f"{name}.log").read_text().splitlines()


def test_every_log_is_asked_about() -> None:
    innocent = {path.stem for path in LOGS.glob("innocent-*.log")}
    assert {path.stem for path in LOGS.glob("*.log")} == {*COMPLAINTS, *innocent}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_a_complaint_is_found_once_with_the_test_that_it_is_of(name: str) -> None:
    [found] = splats(lines(name))
    assert found.title == COMPLAINTS[name]
    assert found.tests == ("suites/test_a.py::test_one",)


@pytest.mark.parametrize("name", [path.stem for path in sorted(LOGS.glob("innocent-*.log"))])
def test_an_innocent_log_has_none(name: str) -> None:
    assert splats(lines(name)) == []


def marked(*lines: str) -> list[str]:
    """Lines of a kernel's log: all with a time, those that begin with > of this suite's marks."""
    said = [line.replace("> ", "pagemap-scan-suite: ") if line.startswith("> ") else line for line in lines]
    return [f"[   {second}.123456] {line}" for second, line in enumerate(said, start=10)]


WARNING = "WARNING: CPU: 0 PID: {process} at mm/mmap.c:1 exit_mmap+0x1/0x2"


def test_a_complaint_is_of_the_tests_that_ran_when_it_began() -> None:
    """Its lines may go on for long: what ends and begins meanwhile has nothing to do with it."""
    [found] = splats(marked("> start 7 a.py::one", "BUG: Bad page map", "> end 7", "> start 7 a.py::two", "more"))
    assert found.tests == ("a.py::one",)


def test_of_two_tests_it_is_that_whose_process_it_names() -> None:
    running = ("> start 7 a.py::one", "> start 8 a.py::two")
    [found] = splats(marked(*running, WARNING.format(process=8)))
    assert found.tests == ("a.py::two",)
    [found] = splats(marked(*running, WARNING.format(process=9)))
    assert found.tests == ("a.py::one", "a.py::two")


def test_a_complaint_between_two_tests_is_of_none() -> None:
    [found] = splats(marked("> start 7 a.py::one", "> end 7", WARNING.format(process=7), "> start 7 a.py::two"))
    assert found.tests == ()


def test_two_complaints_in_a_row_are_two() -> None:
    """The first has no line that ends it."""
    console = marked(
        *("> start 7 a.py::one", "BUG: Bad page state in process python  pfn:1", "page dumped because: nonzero"),
        *("> end 7", "> start 7 a.py::two", "------------[ cut here ]------------", WARNING.format(process=7)),
        "---[ end trace 0000000000000000 ]---",
    )
    assert [(found.title.split()[0], found.tests) for found in splats(console)] == [
        ("BUG:", ("a.py::one",)),
        ("WARNING:", ("a.py::two",)),
    ]


def test_a_task_that_waits_for_the_host_is_allowed() -> None:
    waits = "INFO: task python:9 blocked for more than 120 seconds."
    assert splats(marked(waits, " __schedule+0x1/0x2", " p9_client_rpc+0x12a/0x3f0 [9pnet]", "</TASK>")) == []
    assert len(splats(marked(waits, " __schedule+0x1/0x2", " pagemap_scan_pmd_entry+0x1/0x2", "</TASK>"))) == 1


def test_what_is_allowed_of_one_complaint_does_not_excuse_another() -> None:
    waits = "INFO: task python:9 blocked for more than 120 seconds."
    told = [waits, " pagemap_scan_pmd_entry+0x1/0x2", "</TASK>", *["a line"] * 8, waits, " p9_client_rpc+0x1/0x2"]
    assert len(splats(marked(*told))) == 1
    told = [WARNING.format(process=1), " exit_mmap+0x1/0x2", "clocksource: Long readout interval"]
    assert len(splats(marked(*told))) == 1
