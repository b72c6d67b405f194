"""Loads and stores, by the process and by the kernel on its behalf."""

from __future__ import annotations

import os

from helpers.interface.native import checked, lib
from helpers.kernel.arena import Arena
from helpers.operations import KernelWrite, Read, Write, len_of


class Access(Arena):
    """Each page of a span is touched."""

    def read(self, op: Read) -> None:
        lib.native_read(self.address(op.span.start), len_of(op.span), self.sizes.page)

    def write(self, op: Write) -> None:
        lib.native_write(self.address(op.span.start), len_of(op.span), self.sizes.page)

    def kernel_write(self, op: KernelWrite) -> None:
        zeros = os.open("/dev/zero", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for page in op.span.pages():
                checked(lib.native_read_into(zeros, self.address(page), 1), str(op))
        finally:
            os.close(zeros)
