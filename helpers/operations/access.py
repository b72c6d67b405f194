"""Access: loads and stores, by the process and by the kernel on its behalf."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation
from helpers.operations.places import Span


@dataclass(frozen=True, slots=True)
class Read(Operation):
    """Loads a byte of each page. It answers DOES_NOT_RETURN where that waits for the owner of the userfaultfd."""

    verb: ClassVar[str] = "read"
    span: Span


@dataclass(frozen=True, slots=True)
class Write(Operation):
    """Stores a byte in each page. It answers DOES_NOT_RETURN where that waits for the owner of the userfaultfd."""

    verb: ClassVar[str] = "write"
    span: Span


class Writer(enum.Enum):
    """How the kernel is had to write to memory."""

    READ = "read(2) from /dev/zero"
    MEM = "pwrite(2) to /proc/self/mem"
    VM_WRITEV = "process_vm_writev(2)"
    DIRECT = "read(2) of a file that is open with O_DIRECT"
    POPULATE = "MADV_POPULATE_WRITE, which leaves what is there"

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of :func:`helpers.host.missing`."""
        return _NEEDS_OF_WRITERS.get(self.name, ())


_NEEDS_OF_WRITERS = {
    "MEM": ("/proc/self/mem",),
    "VM_WRITEV": ("process_vm_writev",),
    "DIRECT": ("disk", "direct I/O"),
}


@dataclass(frozen=True, slots=True)
class KernelWrite(Operation):
    """The kernel writes to each page on behalf of the process."""

    verb: ClassVar[str] = "kernel_write"
    span: Span
    by: Writer = Writer.READ
