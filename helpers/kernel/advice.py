"""madvise(2)."""

from __future__ import annotations

import errno
import signal
import time

from helpers.interface import procfs
from helpers.interface.native import MACHINE, SuiteError, checked, lib
from helpers.interface.uapi import PagemapBit
from helpers.kernel.witnesses import Witnesses
from helpers.operations import Advice, Advise, ReadPagemap, Span, len_of

#: Patience with a kernel that declines to reclaim pages for a moment, in seconds.
RECLAIM_LIMIT = 20.0


class AdviceOnPages(Witnesses):
    """Advice, and waiting for what the kernel does about it in its own time."""

    def advise(self, op: Advise) -> None:
        if op.advice is Advice.HWPOISON:
            self.lose_memory(op)
            return
        self.madvise(op)
        if op.advice is Advice.PAGEOUT:
            self.wait_until_reclaimed(op)
        elif op.advice is Advice.MERGEABLE:
            self.wait_until_merged(op)

    def madvise(self, op: Advise) -> None:
        advice = MACHINE[f"MADV_{op.advice.name}"]
        result = lib.native_madvise(self.address(op.span.start), self.length(op.span), advice)
        if op.advice is Advice.NOHUGEPAGE and result == -errno.EINVAL:
            return  # A kernel that is built without huge pages has none to keep away.
        checked(result, str(op))

    def lose_memory(self, op: Advise) -> None:
        """The process is told by SIGBUS what it has lost, before it touches it; without a handler it would die."""
        before = signal.signal(signal.SIGBUS, lambda number, frame: None)
        try:
            self.madvise(op)
        finally:
            signal.signal(signal.SIGBUS, before or signal.SIG_DFL)

    def wait_until_reclaimed(self, op: Advise) -> None:
        """Asks again until no page is mapped. The zero page and hugetlb never leave."""
        deadline = time.monotonic() + RECLAIM_LIMIT
        while self.present_pages(op.span):
            if time.monotonic() > deadline:
                raise SuiteError(f"{op}: pages are still mapped after {RECLAIM_LIMIT:.0f} s")
            self.madvise(op)

    def wait_until_merged(self, op: Advise) -> None:
        """Until KSM, whose thread comes by when it likes, has put one frame behind all pages."""
        deadline = time.monotonic() + RECLAIM_LIMIT
        pagemap, first = self.pagemaps["self"], self.address(op.span.start)
        while len(set(procfs.frames(pagemap, first, len_of(op.span), self.sizes.page))) > 1:
            if time.monotonic() > deadline:
                raise SuiteError(f"{op}: pages aren't merged after {RECLAIM_LIMIT:.0f} s")

    def present_pages(self, span: Span) -> int:
        return sum(PagemapBit.PRESENT in bits for bits in self.read_pagemap(ReadPagemap(span)))
