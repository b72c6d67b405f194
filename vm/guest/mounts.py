"""What Python reads in the guest, over and over: with a cache.

virtme-ng mounts the host's files without one, so that every component of every path is asked of the host, each time;
a module then takes 100 ms to import. Nothing of it changes while a guest runs. virtme-ng can't be told that a mount
may be cached: it is told to mount the host's files once more, aside, and the guest's script mounts those with a cache,
and the directories from there at their own places. Where that fails, the files are there all the same, only slower.
One mount for all of them: each costs three of the 32 variables that the kernel lets init have.
"""

from __future__ import annotations

import shlex
import sys
import sysconfig
from pathlib import Path

from vm import CHECKOUT, cache

ASIDE = "/run/pagemap-scan-host"
_SCRIPT = """\
while read -r tag place _; do
	[ "$place" = {aside} ] && break
done </proc/mounts
umount {aside} && mount -t 9p -o "ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose" "$tag" {aside} &&
	for directory in {directories}; do
		mount --bind "{aside}$directory" "$directory"
	done
"""


def directories() -> list[Path]:
    """The suites and their helpers, Python and its packages, and the bytecode; none that is in another.

    Not the checkout as a whole: the results directory, which the guest writes, may be in it.
    """
    python = Path(sys.base_prefix).resolve()
    if python == Path("/usr"):  # There is more in it, and an overlay on it.
        python = Path(sysconfig.get_path("stdlib")).resolve()
    packages = Path(sysconfig.get_path("purelib")).resolve()
    sources = {CHECKOUT / name for name in ("helpers", "suites", "vm")}
    found = {*sources, python, packages, cache.bytecode().resolve()}
    return sorted(path for path in found if not any(other in path.parents for other in found))


def options() -> list[str]:
    """What virtme-ng is told."""
    return ["--rodir", f"{ASIDE}=/"]


def script() -> str:
    """What the guest does, before it uses the files."""
    return _SCRIPT.format(aside=ASIDE, directories=shlex.join(map(str, directories())))
