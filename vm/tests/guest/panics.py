"""A kernel that complains during one test and panics in another."""

import os
from pathlib import Path


def test_before() -> None:
    pass


def test_complaint() -> None:
    """Says what a kernel would say; from /dev/kmsg it looks the same."""
    told = (
        "------------[ cut here ]------------",
        f"WARNING: CPU: 0 PID: {os.getpid()} at nowhere",
        "---[ end trace 0 ]---",
    )
    with open("/dev/kmsg", "wb", buffering=0) as log:
        for line in told:
            log.write(line.encode())


def test_panic() -> None:
    Path("/proc/sysrq-trigger").write_text("c")


def test_after() -> None:
    pass
