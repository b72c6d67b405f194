"""Loads and stores, by the process and by the kernel on its behalf."""

from __future__ import annotations

import os
import tempfile

from helpers.interface.native import MACHINE, SuiteError, checked, lib
from helpers.kernel.arena import Arena
from helpers.operations import DOES_NOT_RETURN, Answer, KernelWrite, Read, Span, Write, Writer, len_of


def answer_of(result: int, doing: object) -> Answer:
    """What comes of an access that isn't refused. Raises SuiteError for an errno, which isn't the kernel's fault."""
    if result == lib.NATIVE_DOES_NOT_RETURN:
        return DOES_NOT_RETURN
    checked(result, doing)
    return None


class Access(Arena):
    """Each page of a span is touched."""

    def read(self, op: Read) -> Answer:
        return answer_of(lib.native_read(self.address(op.span.start), len_of(op.span), self.sizes.page), op)

    def write(self, op: Write) -> Answer:
        return answer_of(lib.native_write(self.address(op.span.start), len_of(op.span), self.sizes.page), op)

    def kernel_write(self, op: KernelWrite) -> None:
        match op.by:
            case Writer.READ:
                self.read_into("/dev/zero", os.O_RDONLY, op, 1)
            case Writer.MEM:
                self.write_to_mem(op.span)
            case Writer.VM_WRITEV:
                for page in op.span.pages():
                    checked(lib.native_vm_write(self.address(page), 1), op)
            case Writer.DIRECT:
                self.read_directly(op)
            case Writer.POPULATE:
                place, length = self.address(op.span.start), len_of(op.span) * self.sizes.page
                checked(lib.native_madvise(place, length, MACHINE["MADV_POPULATE_WRITE"], 10_000), op)

    def read_into(self, path: str, flags: int, op: KernelWrite, length: int) -> None:
        """So many bytes of a file into each page."""
        fd = os.open(path, flags | os.O_CLOEXEC)
        try:
            for page in op.span.pages():
                if (read := checked(lib.native_read_into(fd, self.address(page), length), op)) != length:
                    raise SuiteError(f"{op}: {path} gave {read} bytes, not {length}")
        finally:
            os.close(fd)

    def write_to_mem(self, span: Span) -> None:
        fd = os.open("/proc/self/mem", os.O_WRONLY | os.O_CLOEXEC)
        try:
            for page in span.pages():
                os.pwrite(fd, b"w", self.address(page))
        finally:
            os.close(fd)

    def read_directly(self, op: KernelWrite) -> None:
        """What is read past the page cache goes to the memory by its frames. Raises OSError where there is no such."""
        if self.sizes.disk is None:
            raise SuiteError(f"{op}: there is no directory on a real file system")
        with tempfile.NamedTemporaryFile(dir=self.sizes.disk) as file:
            file.write(bytes(len_of(op.span) * self.sizes.page))
            file.flush()
            os.fsync(file.fileno())
            self.read_into(file.name, os.O_RDONLY | os.O_DIRECT, op, self.sizes.page)
