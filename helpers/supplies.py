"""Whether the machine really gives what it says that it has: found out by taking it, before a test needs it.

A pool of hugetlb pages may be somebody else's, a control group may have a limit, a file system may be full. A test that
then touches its memory dies, or waits for what doesn't come.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path

from helpers.interface.native import MACHINE, SuiteError, lib
from helpers.kernel import Kernel, Sizes
from helpers.operations import Advice, Advise, Map, ReadUsage, Span, Write, len_of

#: Bytes that a file of the tests may take, those of all workers together.
ROOM = 4 << 20
#: Seconds in which pages have to have gone to swap; they usually go at once.
PATIENCE = 3.0
#: How often a huge page is asked for.
TRIES = 3
_PAGES = Span(0, 8)


def refuses_hugetlb(sizes: Sizes, pages: int) -> str:
    """Why so many hugetlb pages can't be had at a time; nothing when they can."""
    length, size = pages * sizes.huge_page, sizes.huge_page.bit_length() - 1
    flags = MACHINE["MAP_PRIVATE"] | MACHINE["MAP_ANONYMOUS"] | MACHINE["MAP_HUGETLB"]
    place = lib.native_mmap(0, length, 3, flags | size << MACHINE["MAP_HUGE_SHIFT"], -1, 0)
    if place == -errno.ENOMEM:
        return f"fewer than {pages} hugetlb pages are free, or a control group may not reserve them"
    if place < 0:
        return f"hugetlb memory can't be mapped ({errno.errorcode[-place]})"
    try:
        # Writing to them would end this process; populating is told.
        refused = lib.native_madvise(place, length, MACHINE["MADV_POPULATE_WRITE"], 60_000)
    finally:
        lib.native_munmap(place, length)
    if refused == -errno.EFAULT:
        return (
            f"there are {pages} hugetlb pages, and they aren't given out: a control group has a limit (hugetlb.*.max)"
        )
    return "" if refused == 0 else f"hugetlb pages can't be had ({errno.errorcode.get(-refused, refused)})"


def refuses_huge_pages(sizes: Sizes) -> str:
    """Why memory that asks for transparent huge pages doesn't get any; nothing when it does."""
    span = Span(0, sizes.pages_per_huge_page)
    for _ in range(TRIES):
        kernel = Kernel(sizes)
        try:
            kernel.map(Map(span))
            kernel.madvise(Advise(span, Advice.HUGEPAGE))
            kernel.write(Write(span))
            if kernel.read_usage(ReadUsage(span)).huge == len_of(span):
                return ""
        except (OSError, SuiteError) as error:
            return f"memory can't ask for them: {error}"
        finally:
            kernel.close()
    return "memory that asks for them gets none: this process may not have any (PR_SET_THP_DISABLE), or memory is short"


def refuses_swap(sizes: Sizes) -> str:
    """Why pages don't go to swap; nothing when they do."""
    kernel = Kernel(sizes)
    try:
        kernel.map(Map(_PAGES))
        kernel.write(Write(_PAGES))
        deadline = time.monotonic() + PATIENCE
        while kernel.present_pages(_PAGES):
            if time.monotonic() > deadline:
                return "there is swap, and pages don't go there: a control group may not have any (memory.swap.max)"
            kernel.madvise(Advise(_PAGES, Advice.PAGEOUT))
    except (OSError, SuiteError) as error:
        return f"pages can't be paged out: {error}"
    finally:
        kernel.close()
    return ""


def has_room(directory: Path) -> bool:
    """Whether files of the tests can be made in a directory: it is writable, and not full."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM)
    except OSError:
        return False
    return True


def refuses_another_user() -> str:
    """Why root can't become another user, as in a user namespace that has no other; nothing when it can."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        except OSError as refused:
            os._exit(refused.errno or errno.EPERM)
        finally:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return f"root can't become another user here ({errno.errorcode.get(status, status)})" if status else ""
