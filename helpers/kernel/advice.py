"""madvise(2)."""

from __future__ import annotations

import errno
import os
import signal
import time

from helpers.interface import procfs
from helpers.interface.native import MACHINE, SuiteError, checked, lib
from helpers.interface.uapi import PagemapBit
from helpers.kernel.files import Files
from helpers.kernel.witnesses import Witnesses
from helpers.operations import DOES_NOT_RETURN, Advice, Advise, Answer, ReadPagemap, Refusal, Span, len_of

#: Patience with a kernel that declines to reclaim pages for a moment, in seconds.
RECLAIM_LIMIT = 20.0
#: How often advice is given that the kernel says to have no means for at the moment (madvise(2), EAGAIN).
ATTEMPTS = 100
#: Milliseconds of a processor that advice may take, and as many more for each page. An emulated processor that others
#: take part of needs some hundred times what a real one does, for reclaim above all.
LIMIT, LIMIT_PER_PAGE = 10_000, 10
#: The same for the one advice that some kernels never come back from: still a hundred times what it needs.
LIMIT_OF_GUARDS, LIMIT_OF_GUARDS_PER_PAGE = 300, 3


class AdviceOnPages(Witnesses, Files):
    """Advice, and waiting for what the kernel does about it in its own time."""

    def advise(self, op: Advise) -> Answer:
        if op.advice is Advice.HWPOISON:
            return self.lose_memory(op)
        answer = self.madvise(op)
        if answer is None and op.advice is Advice.PAGEOUT:
            self.wait_until_reclaimed(op)
        elif answer is None and op.advice is Advice.MERGEABLE:
            self.wait_until_merged(op)
        return answer

    def madvise(self, op: Advise) -> Answer:
        advice, patience = MACHINE[f"MADV_{op.advice.name}"], LIMIT + LIMIT_PER_PAGE * len_of(op.span)
        if op.advice is Advice.GUARD_INSTALL:
            patience = LIMIT_OF_GUARDS + LIMIT_OF_GUARDS_PER_PAGE * len_of(op.span)
        for _ in range(ATTEMPTS):
            result = lib.native_madvise(self.address(op.span.start), self.length(op.span), advice, patience)
            if result != -errno.EAGAIN:
                break
        if result == lib.NATIVE_DOES_NOT_RETURN:
            return DOES_NOT_RETURN
        if result == -errno.EINVAL:
            # A kernel that is built without huge pages has none to keep away.
            return None if op.advice is Advice.NOHUGEPAGE else Refusal(errno.EINVAL)
        checked(result, op)
        return None

    def lose_memory(self, op: Advise) -> Answer:
        """The process is told by SIGBUS what it has lost, before it touches it; without a handler it would die."""
        before = signal.signal(signal.SIGBUS, lambda number, frame: None)
        try:
            return self.madvise(op)
        finally:
            signal.signal(signal.SIGBUS, before or signal.SIG_DFL)

    def wait_until_reclaimed(self, op: Advise) -> None:
        """Asks again until no page is mapped. The zero page and hugetlb never leave."""
        deadline = time.monotonic() + RECLAIM_LIMIT
        while self.present_pages(op.span):
            if time.monotonic() > deadline:
                raise SuiteError(f"{op}: pages are still mapped after {RECLAIM_LIMIT:.0f} s")
            # A part of a large folio isn't split off as long as it is dirty, and a file's are written back after 30 s.
            for file in self.files.values():
                os.fdatasync(file)
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
