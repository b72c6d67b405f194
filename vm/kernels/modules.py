"""Modules of a kernel for a guest that has nothing to load them with but what it is given, in their order."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path

from vm import CannotRun
from vm.kernels.kernel import Kernel


def name_of(path: Path) -> str:
    """The name that the kernel has for a module's file: it makes no difference between - and _."""
    return path.name.partition(".ko")[0].replace("-", "_")


def in_order(kernel: Kernel, wanted: Sequence[str]) -> list[Path]:
    """The files of these modules, each behind those that it needs. Those that the kernel has built in, or hasn't at
    all, aren't among them."""
    if kernel.modules is None:
        return []
    root = kernel.modules / "lib/modules" / kernel.release
    try:
        lines = (root / "modules.dep").read_text().splitlines()
    except OSError as error:
        raise CannotRun(f"{root}: the modules can't be read: {error.strerror}") from None
    needs = {name_of(Path(line.partition(":")[0])): line.replace(":", "").split() for line in lines}
    # Those that a module needs are told last first.
    files = [file for name in wanted for file in reversed(needs.get(name, []))]
    return [root / file for file in dict.fromkeys(files)]


def plain(path: Path) -> bytes:
    """A module's content; of one that is compressed in another way than these, as it is. Raises CannotRun."""
    try:
        data = path.read_bytes()
        opened = {".xz": lzma.decompress, ".gz": gzip.decompress}.get(path.suffix)
        return opened(data) if opened else data
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise CannotRun(f"{path}: the module can't be read: {error}") from None


def contents(kernel: Kernel, wanted: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Names and contents, in their order."""
    return ((name_of(path), plain(path)) for path in in_order(kernel, wanted))
