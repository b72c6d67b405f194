"""What a run is about, in words for its reports."""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers.host import Host
from helpers.interface.uapi import Category

#: The options of a kernel on which it depends what can be asked, or what a defect does.
OPTIONS = (
    *("USERFAULTFD", "HAVE_ARCH_USERFAULTFD_WP", "PTE_MARKER_UFFD_WP", "HAVE_ARCH_USERFAULTFD_RWP", "MEM_SOFT_DIRTY"),
    *("TRANSPARENT_HUGEPAGE", "HUGETLB_PAGE", "KSM", "SWAP", "ZRAM", "PT_RECLAIM", "MIGRATION", "COMPACTION"),
    *("PREEMPT_RT", "DEBUG_VM", "KASAN", "KCSAN", "UBSAN", "PROVE_LOCKING", "PAGE_TABLE_CHECK"),
)


@dataclass(frozen=True)
class Subject:
    """The kernel, its build, pages, categories, what was missing and why; the configuration that matters, privileges,
    and what the run has set up on the machine, which is put back at its end."""

    kernel: str
    build: str
    pages: str
    categories: str
    missing: dict[str, str]
    configuration: str = ""
    privileges: str = ""
    set_up: list[str] = field(default_factory=list)


def describe(host: Host, stub: str | None = None, set_up: Sequence[str] = ()) -> Subject:
    """The running kernel in words, or the stub of that name."""
    name = os.uname()
    return Subject(
        kernel=f"stub {stub}" if stub else f"{name.release} {name.machine}",
        build="" if stub else name.version,
        pages=f"{host.sizes.page} bytes, huge pages {host.sizes.huge_page} bytes",
        categories=", ".join(category.name or "" for category in Category if category in host.facts.known),
        missing=host.missing,
        configuration="" if stub else configuration(),
        privileges="" if stub else privileges(),
        set_up=list(set_up),
    )


def configuration() -> str:
    """The options above that the running kernel has, by its own word or its package's."""
    release = os.uname().release
    for path in map(Path, ("/proc/config.gz", f"/boot/config-{release}", f"/lib/modules/{release}/config")):
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
        except (OSError, EOFError, zlib.error):
            continue
        return ", ".join(f"{name}={value}" for name, value in _values(text))
    return "not known: there is no /proc/config.gz (CONFIG_IKCONFIG_PROC), and no config in /boot"


def _values(text: str) -> list[tuple[str, str]]:
    found = dict(re.findall(r"^CONFIG_(\w+)=(\S+)$", text, re.MULTILINE))
    return [(name, found[name]) for name in OPTIONS if name in found]


def privileges() -> str:
    """As whom this process asks."""
    user = os.geteuid()
    if user:
        return f"user {user}"
    [told] = re.findall(r"^CapEff:\t(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    held = int(told, 16)
    try:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except OSError:  # A container may hide it.
        last = held.bit_length() - 1
    lacking = [str(number) for number in range(last + 1) if not held >> number & 1]
    return f"root, without capabilities {', '.join(lacking)} (linux/capability.h)" if lacking else "root"
