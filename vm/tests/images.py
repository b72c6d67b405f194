"""Files that pass for kernel images, as far as a kernel image is looked at before it is booted."""

from __future__ import annotations

from pathlib import Path

#: The version string lies behind the header, and the header's pointer counts from 0x200 (boot.rst).
_MAGIC, _POINTER, _VERSION = 0x202, 0x20E, 0x300


def write_image(path: Path, release: str) -> Path:
    """Writes an image that says it is of a release, and could never boot."""
    data = bytearray(0x400)
    data[_MAGIC : _MAGIC + 4] = b"HdrS"
    data[_POINTER : _POINTER + 2] = (_VERSION - 0x200).to_bytes(2, "little")
    text = f"{release} (builder@host) #1 SMP".encode()
    data[_VERSION : _VERSION + len(text)] = text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def arm64_header(release: str, page_size: int) -> bytes:
    """The beginning of an image for arm64 (booting.rst): two bits of the header's flags are the size of pages."""
    data = bytearray(0x400)
    data[0x38:0x3C] = b"ARM\x64"
    data[0x18] = {4096: 1, 16384: 2, 65536: 3}[page_size] << 1
    return bytes(data) + f"Linux version {release} (builder@host)\n".encode()


def write_arm64_image(path: Path, release: str, page_size: int) -> Path:
    """Writes an image for arm64 that says it is of a release, and could never boot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(arm64_header(release, page_size))
    return path
