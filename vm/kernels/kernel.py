"""A kernel as a small value, and how one is found by what a person writes on the command line."""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from vm import CannotRun

#: Where the boot protocol of x86 keeps its magic, and a pointer to the release string (boot.rst, "kernel_version").
_X86_MAGIC, _X86_VERSION = 0x202, 0x20E
_X86_HEADER = 0x200
#: Where that of arm64 has its magic, and flags, two bits of which say how large pages are (booting.rst).
_ARM64_MAGIC, _ARM64_FLAGS = 0x38, 0x18
_ARM64_PAGES = {1: 4 << 10, 2: 16 << 10, 3: 64 << 10}
_SPACE = re.compile(rb"[\0\s]")


@dataclass(frozen=True)
class Kernel:
    """What is booted.

    ``name`` is how it is spoken of, ``release`` what uname(2) will say, ``modules`` the directory that has
    ``lib/modules/RELEASE``, None for a kernel that needs none, ``origin`` where it came from. ``architecture`` is a
    name of vm.architectures, ``page_size`` in bytes.
    """

    name: str
    release: str
    image: Path
    modules: Path | None
    origin: str
    architecture: str = "x86_64"
    page_size: int = 4096

    @property
    def pages_per_huge_page(self) -> int:
        """Pages that an entry of a page middle directory maps: a page full of entries."""
        return self.page_size // 8


def release_of(image: Path) -> str:
    """The release that a kernel image says it is. Raises CannotRun when the file isn't a kernel image."""
    if image.exists() and not image.is_file():
        raise CannotRun(f"{image}: this is not a kernel image (it isn't even a file)")
    try:
        with image.open("rb") as file:
            head = file.read(0x10000)
    except OSError as error:
        raise CannotRun(f"{image}: can't be read: {error.strerror}") from None
    if head[_X86_MAGIC : _X86_MAGIC + 4] == b"HdrS":
        place = int.from_bytes(head[_X86_VERSION : _X86_VERSION + 2], "little") + _X86_HEADER
        return _SPACE.split(head[place:], 1)[0].decode(errors="replace")
    if found := re.search(rb"Linux version (\S+)", _uncompressed(image)):
        return found[1].decode(errors="replace")
    raise CannotRun(f"{image}: this is not a kernel image (no boot header, and no release inside)")


def made_for(image: Path) -> tuple[str, int]:
    """The architecture of a kernel image, and the size of its pages."""
    head = _uncompressed(image)[:0x1000]
    if head[_ARM64_MAGIC : _ARM64_MAGIC + 4] == b"ARM\x64":
        return "arm64", _ARM64_PAGES.get(head[_ARM64_FLAGS] >> 1 & 3, 4096)
    if head[_ARM64_MAGIC : _ARM64_MAGIC + 4] == b"RSC\x05":
        return "riscv64", 4096
    return "x86_64", 4096


def _uncompressed(image: Path) -> bytes:
    data = image.read_bytes()
    try:
        return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (OSError, EOFError, zlib.error):
        return b""


def modules_beside(image: Path, release: str) -> Path | None:
    """The directory with ``lib/modules`` of this very release, in or above the image's; None without any.

    Raises CannotRun when there are modules beside it, but of other versions only.
    """
    for directory in image.resolve().parents[:4]:
        for root in (directory, directory / "usr"):
            found = root / "lib/modules"
            if directory != Path("/") and found.is_dir():
                if (found / release).is_dir():
                    return root
                there = ", ".join(sorted(path.name for path in found.iterdir())) or "none"
                raise CannotRun(f"{image} is {release}, but the modules in {found} are of another version: {there}")
    return Path("/") if (Path("/lib/modules") / release).is_dir() else None


def from_image(image: Path, name: str = "", origin: str = "") -> Kernel:
    """A kernel that is a file. Raises CannotRun."""
    release = release_of(image)
    modules = modules_beside(image, release)
    return Kernel(name or release, release, image, modules, origin or str(image), *made_for(image))
