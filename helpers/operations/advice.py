"""Advice: what madvise(2) is told."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from helpers.operations.operation import Operation
from helpers.operations.places import Span


class Advice(enum.Enum):
    """``MADV_*``; the names are the kernel's."""

    DONTNEED = "the pages are dropped"
    FREE = "the pages may be dropped"
    PAGEOUT = "the pages are reclaimed"
    COLD = "the pages are aged"
    HUGEPAGE = "huge pages from now on"
    NOHUGEPAGE = "no huge pages from now on"
    COLLAPSE = "huge pages now"
    GUARD_INSTALL = "a guard region begins"
    GUARD_REMOVE = "a guard region ends"
    MERGEABLE = "equal pages become one"
    HWPOISON = "the pages' frames fail"


@dataclass(frozen=True, slots=True)
class Advise(Operation):
    """madvise(2). PAGEOUT is repeated until the pages are gone, MERGEABLE waited for until all are one.

    It answers a Refusal where the kernel takes the advice for wrong, DOES_NOT_RETURN where it had to be ended.
    """

    verb: ClassVar[str] = "advise"
    span: Span
    advice: Advice
