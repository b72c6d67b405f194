"""A test's limit of time: the test is ended where it is, and goes down as one that couldn't be told.

Only where the kernel doesn't come back from a call is it the kernel's fault, and the process then can't go on. That
pytest-timeout, whose limits these are, ends the process at once would cost each such test its place in the reports.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import pytest
import pytest_timeout  # type: ignore[import-untyped]

from helpers.interface.native import MACHINE
from helpers.plugins.crashes import HANGS, LAST_WORDS
from helpers.plugins.stash import VOICE
from helpers.plugins.verdict import SUBJECT, TALLY

#: Seconds that a test has to end in once its time is over.
GRACE = 60.0
#: Seconds of a processor that a single call may take on top of that; even an emulated kernel needs none of them.
HANGING = 10.0
#: Status of a worker that ends itself.
ENDED_ITSELF = 70
_WATCH = pytest.StashKey["Watch"]()


class TookTooLong(Exception):
    """A test's time is over."""


def with_lines(trace: TracebackType | None) -> TracebackType | None:
    """The same traceback, each part of which has a line.

    An exception that comes from outside may come where Python counts no line, and pytest can't show such a place.
    """
    if trace is None:
        return None
    line: int | None = trace.tb_lineno
    first = trace.tb_frame.f_code.co_firstlineno
    return TracebackType(with_lines(trace.tb_next), trace.tb_frame, trace.tb_lasti, first if line is None else line)


class Watch:
    """A thread that has the main thread of this process raise TookTooLong, and else ends the process."""

    def __init__(self, config: pytest.Config, nodeid: str, seconds: float) -> None:
        self.config = config
        self.nodeid = nodeid
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        #: Whether an exception would be the test's, and whether it is to be raised when it is.
        self.is_in_test = self.is_due = False
        #: It was raised: what else the test does is to clean up.
        self.is_raised = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.keep, name=f"limit of {nodeid}", daemon=True)
        self.before = signal.signal(signal.SIGALRM, self.interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])  # Whoever started this may have blocked it.
        self.thread.start()

    def cancel(self) -> None:
        self.over.set()
        if threading.current_thread() is threading.main_thread():
            self.thread.join()
            signal.signal(signal.SIGALRM, self.before)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        self.is_due = not self.is_raised
        if self.is_in_test and self.is_due:
            self.raise_now()

    def raise_now(self) -> NoReturn:
        self.is_due, self.is_raised = False, True
        raise TookTooLong(f"the test took longer than {self.seconds:g} s")

    @contextmanager
    def in_test(self) -> Iterator[None]:
        self.is_in_test = True
        try:
            if self.is_due:
                self.raise_now()
            yield
            if not self.is_raised and time.monotonic() > self.deadline:
                self.raise_now()  # It was over sooner than the thread that watches it came to say so.
        finally:
            self.is_in_test = False

    # --- In the thread ----------------------------------------------------------------------------------

    def keep(self) -> None:
        if self.over.wait(self.seconds) or pytest_timeout.is_debugging():
            return
        main = threading.main_thread()
        if main.ident is None or main.native_id is None:
            return
        call = Call(main.native_id)
        signal.pthread_kill(main.ident, signal.SIGALRM)
        deadline = time.monotonic() + GRACE
        while not self.over.wait(0.5):
            if call.does_not_return():
                self.end(f"{HANGS} from a call: {self.seconds:g} s and more", by_kernel=True)
            if time.monotonic() > deadline:
                self.end(f"the test didn't end {GRACE:g} s after its {self.seconds:g} s were over", by_kernel=False)

    def end(self, words: str, by_kernel: bool) -> NoReturn:
        """Ends this process, of whose main thread nothing is to be had any more."""
        with suppress(Exception):
            self.config.pluginmanager.getplugin("capturemanager").suspend_global_capture(in_=True)
            faulthandler.dump_traceback(file=sys.__stderr__ or 2)
        if last_words := self.config.stash.get(LAST_WORDS, None):
            with suppress(OSError):
                last_words.write_text(words)
        elif (tally := self.config.stash.get(TALLY, None)) and tally.process == os.getpid():
            tally.failed += by_kernel
            tally.trouble(f"{self.nodeid}: {words}")
            tally.tell(self.config.stash[SUBJECT].kernel, self.config.stash[VOICE])
            os._exit(tally.status)
        # A thread that is in the kernel for good keeps the process, and with it the connection by which others know.
        os.closerange(0, os.sysconf("SC_OPEN_MAX"))
        os._exit(ENDED_ITSELF)


class Call:
    """What the main thread does in the kernel after it was sent a signal."""

    def __init__(self, thread: int) -> None:
        self.directory = Path(f"/proc/self/task/{thread}")
        self.begun = self.processor_time()
        self.since = time.monotonic()
        self.switches = self.field("voluntary_ctxt_switches")

    def field(self, name: str) -> str:
        """A line of status."""
        with suppress(OSError):
            for line in (self.directory / "status").read_text().splitlines():
                if line.startswith(f"{name}:"):
                    return line.partition(":")[2].strip()
        return ""

    def processor_time(self) -> float:
        """Seconds, in user and in kernel mode (proc(5): stat, utime and stime)."""
        with suppress(OSError):
            fields = (self.directory / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def has_signal_pending(self) -> bool:
        """Whether the thread hasn't left the kernel since it was sent one: to leave is to be given it."""
        pending, blocked = (int(self.field(name) or "0", 16) for name in ("SigPnd", "SigBlk"))
        return bool((pending & ~blocked) >> signal.SIGALRM - 1 & 1)

    def does_not_return(self) -> bool:
        """Whether it is in one call that takes processor time without end, or sleeps in one that never has to wait."""
        if not self.has_signal_pending():
            return False
        if self.processor_time() - self.begun > HANGING:
            return True
        asleep = self.field("voluntary_ctxt_switches") == self.switches and self.field("State").startswith("D")
        return asleep and time.monotonic() - self.since > GRACE / 2 and self.is_asked_about()

    def is_asked_about(self) -> bool:
        """Whether the call in which it sleeps is a scan or one of userfaultfd's."""
        with suppress(OSError, ValueError, IndexError):
            number, *arguments = (self.directory / "syscall").read_text().split()
            asked = {value for name, value in MACHINE.items() if name.startswith(("PAGEMAP_SCAN", "UFFDIO_"))}
            return int(number) == MACHINE["__NR_ioctl"] and int(arguments[1], 16) in asked
        return False


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    if threading.current_thread() is not threading.main_thread():
        return None
    item.stash[_WATCH] = Watch(item.config, item.nodeid, settings.timeout)
    return True


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool | None:
    if watch := item.stash.get(_WATCH, None):
        watch.cancel()
        del item.stash[_WATCH]
        return True
    return None


def _limited(item: pytest.Item) -> Any:
    watch = item.stash.get(_WATCH, None)
    try:
        with watch.in_test() if watch else nullcontext():
            return (yield)
    except TookTooLong as error:
        raise error.with_traceback(with_lines(error.__traceback__)) from error.__cause__


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Any:
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Any:
    return (yield from _limited(item))
