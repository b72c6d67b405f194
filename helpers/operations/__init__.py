"""Operations on memory, as values: a test is a program of them.

The same operation is carried out by each :class:`Target`: the kernel (:mod:`helpers.kernel`), the model
(:mod:`helpers.model`), a broken model that plays the kernel (:mod:`helpers.stubs`). Adding an operation is a
class here and an abstract method of Target; a target that lacks it can't be created.

Memory is addressed by page number, counted from the start of an arena in which all mappings of a program
lie. Pages of the arena that nothing was mapped to are gaps.
"""

from helpers.operations.access import KernelWrite, Read, Write, Writer
from helpers.operations.advice import Advice, Advise
from helpers.operations.answers import DOES_NOT_RETURN, Answer, Refusal, Region, ScanResult, Unreturned, Usage
from helpers.operations.files import FileWrite, PunchHole, Truncate
from helpers.operations.filling import Fill, Filler, MoveIn
from helpers.operations.mappings import Backing, Map, Move, Prot, Protection, Resize, Unmap
from helpers.operations.operation import Operation, names_of
from helpers.operations.places import At, Span, as_span, len_of
from helpers.operations.processes import ChildWrite, Fork, KillChild
from helpers.operations.questions import ROOM, ReadPagemap, ReadUsage, Scan
from helpers.operations.target import Target, verbs
from helpers.operations.tracking import (
    ClearRefs,
    CloseUserfaultfd,
    Faults,
    Register,
    RwProtect,
    Tracking,
    Unregister,
    WriteProtect,
)

__all__ = [
    "DOES_NOT_RETURN",
    "ROOM",
    "Advice",
    "Advise",
    "Answer",
    "At",
    "Backing",
    "ChildWrite",
    "ClearRefs",
    "CloseUserfaultfd",
    "Faults",
    "FileWrite",
    "Fill",
    "Filler",
    "Fork",
    "KernelWrite",
    "KillChild",
    "Map",
    "Move",
    "MoveIn",
    "Operation",
    "Prot",
    "Protection",
    "PunchHole",
    "Read",
    "ReadPagemap",
    "ReadUsage",
    "Refusal",
    "Region",
    "Register",
    "Resize",
    "RwProtect",
    "Scan",
    "ScanResult",
    "Span",
    "Target",
    "Tracking",
    "Truncate",
    "Unmap",
    "Unregister",
    "Unreturned",
    "Usage",
    "Write",
    "WriteProtect",
    "Writer",
    "as_span",
    "len_of",
    "names_of",
    "verbs",
]
