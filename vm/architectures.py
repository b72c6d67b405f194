"""Processors that kernels and programs are made for: what QEMU is to be, and what compiles for them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace

from vm import CannotRun
from vm.processes import search_path


@dataclass(frozen=True)
class Architecture:
    """A kind of processor, as programs see it.

    ``kernel``: the architecture of the kernels that run such programs, its own name for most; ``image``: what a source
    tree makes for it. ``debian``: as the names of Debian's packages of kernels end, and as virtme-ng calls it.
    ``machine``: QEMU's options, ``emulated`` the processor without KVM. ``console``: the first serial port, as the
    kernel calls it. ``compilers``: commands that link statically, the first that is there is taken. Programs come with
    the Debian package that has them.
    """

    name: str
    kernel: str
    image: str
    debian: str
    qemu: tuple[str, str]
    machine: tuple[str, ...]
    emulated: str
    console: str
    compilers: tuple[tuple[str, ...], ...]
    compiler_package: str

    @property
    def is_hosts(self) -> bool:
        """Whether this machine's processor runs its kernels."""
        return os.uname().machine == self.qemu[0].removeprefix("qemu-system-")

    def require_qemu(self) -> None:
        """Raises CannotRun without it, with the name of Debian's package."""
        program, package = self.qemu
        if not shutil.which(program, path=search_path()):
            raise CannotRun(f"{program} is missing: install {package}")

    def compiler(self) -> list[tuple[str, ...]]:
        """The compilers that are there. Raises CannotRun without any."""
        if found := [command for command in self.compilers if shutil.which(command[0])]:
            return found
        raise CannotRun(f"{self.compilers[0][0]} is missing: install {self.compiler_package}")


_X86 = Architecture(
    "x86_64",
    kernel="x86_64",
    image="arch/x86/boot/bzImage",
    debian="amd64",
    qemu=("qemu-system-x86_64", "qemu-system-x86"),
    machine=(),
    emulated="max",
    console="ttyS0",
    compilers=(("musl-gcc",), ("cc",)),
    compiler_package="musl-tools",
)
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        _X86,
        # A program of 32 bits on a kernel of 64.
        replace(
            _X86,
            name="i386",
            compilers=(("i686-linux-gnu-gcc",), ("cc", "-m32")),
            compiler_package="gcc-i686-linux-gnu and libc6-dev-i386-cross",
        ),
        Architecture(
            "arm64",
            kernel="arm64",
            image="arch/arm64/boot/Image",
            debian="arm64",
            qemu=("qemu-system-aarch64", "qemu-system-arm"),
            machine=("-machine", "virt"),
            # Signing of pointers by its own algorithm takes half of the time.
            emulated="max,pauth-impdef=on",
            console="ttyAMA0",
            compilers=(("aarch64-linux-gnu-gcc",),),
            compiler_package="gcc-aarch64-linux-gnu and libc6-dev-arm64-cross",
        ),
    )
}


def of_this_machine() -> Architecture:
    """Raises CannotRun on a processor that isn't known."""
    found = next((one for one in ARCHITECTURES.values() if one.is_hosts), None)
    if found is None:
        raise CannotRun(f"kernels for {os.uname().machine} aren't known here: {', '.join(ARCHITECTURES)} are")
    return found


def architecture_for(kernel: str, name: str | None = None) -> Architecture:
    """The one of that name, or that of the kernel's own. Raises CannotRun when kernels don't run such programs."""
    found = ARCHITECTURES.get(name or kernel)
    if found is None:
        raise CannotRun(f"kernels for {kernel} aren't known here: {', '.join(ARCHITECTURES)} are")
    if found.kernel != kernel:
        raise CannotRun(f"a kernel for {kernel} runs no program for {found.name}")
    return found
