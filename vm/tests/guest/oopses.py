"""A kernel that oopses during one test, which is killed, and that then stands in the way of the next."""

import os
import signal
import threading


def test_before() -> None:
    pass


def test_oops() -> None:
    """Says what a kernel would say, and dies as of its hand; from /dev/kmsg it looks the same."""
    told = (
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI",
        f"CPU: 0 UID: 0 PID: {os.getpid()} Comm: python",
        "RIP: 0010:nowhere+0x12/0x60",
        "---[ end trace 0 ]---",
    )
    with open("/dev/kmsg", "wb", buffering=0) as log:
        for line in told:
            log.write(line.encode())
    os.kill(os.getpid(), signal.SIGKILL)


def test_stands_still() -> None:
    threading.Event().wait()


def test_after() -> None:
    pass
