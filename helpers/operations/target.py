"""A target: that on which programs run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from helpers.interface.uapi import PagemapBit
from helpers.operations.access import KernelWrite, Read, Write
from helpers.operations.advice import Advise
from helpers.operations.answers import Answer, ScanResult, Usage
from helpers.operations.files import FileWrite, PunchHole, Truncate
from helpers.operations.filling import Fill, MoveIn
from helpers.operations.mappings import Map, Move, Protection, Resize, Unmap
from helpers.operations.operation import Operation
from helpers.operations.processes import ChildWrite, Fork, KillChild
from helpers.operations.questions import ReadPagemap, ReadUsage, Scan
from helpers.operations.tracking import ClearRefs, CloseUserfaultfd, Register, RwProtect, Unregister, WriteProtect


class Target(ABC):
    """That on which a program runs. A method for each operation."""

    @abstractmethod
    def map(self, op: Map) -> None: ...

    @abstractmethod
    def unmap(self, op: Unmap) -> None: ...

    @abstractmethod
    def move(self, op: Move) -> None: ...

    @abstractmethod
    def resize(self, op: Resize) -> Answer: ...

    @abstractmethod
    def mprotect(self, op: Protection) -> None: ...

    @abstractmethod
    def advise(self, op: Advise) -> Answer: ...

    @abstractmethod
    def register(self, op: Register) -> Answer: ...

    @abstractmethod
    def unregister(self, op: Unregister) -> None: ...

    @abstractmethod
    def close_userfaultfd(self, op: CloseUserfaultfd) -> None: ...

    @abstractmethod
    def write_protect(self, op: WriteProtect) -> Answer: ...

    @abstractmethod
    def rw_protect(self, op: RwProtect) -> None: ...

    @abstractmethod
    def fill(self, op: Fill) -> None: ...

    @abstractmethod
    def move_in(self, op: MoveIn) -> Answer: ...

    @abstractmethod
    def read(self, op: Read) -> Answer: ...

    @abstractmethod
    def write(self, op: Write) -> Answer: ...

    @abstractmethod
    def kernel_write(self, op: KernelWrite) -> None: ...

    @abstractmethod
    def file_write(self, op: FileWrite) -> None: ...

    @abstractmethod
    def punch_hole(self, op: PunchHole) -> None: ...

    @abstractmethod
    def truncate(self, op: Truncate) -> None: ...

    @abstractmethod
    def clear_refs(self, op: ClearRefs) -> None: ...

    @abstractmethod
    def fork(self, op: Fork) -> None: ...

    @abstractmethod
    def child_write(self, op: ChildWrite) -> Answer: ...

    @abstractmethod
    def kill_child(self, op: KillChild) -> None: ...

    @abstractmethod
    def read_pagemap(self, op: ReadPagemap) -> tuple[PagemapBit, ...]: ...

    @abstractmethod
    def read_usage(self, op: ReadUsage) -> Usage: ...

    @abstractmethod
    def scan(self, op: Scan) -> ScanResult: ...

    @abstractmethod
    def close(self) -> None:
        """Gives back all that the program holds: mappings, files, the child. May be called twice."""


def verbs() -> Iterator[str]:
    """The verbs of all operations."""
    for operation in Operation.__subclasses__():
        yield operation.verb
