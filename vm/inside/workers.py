"""A pytest plugin in pytest-xdist's place in the guest: workers that are forked once the tests are collected.

Of pytest-xdist, each worker is a Python of its own, that imports and collects everything once more when the
controlling one has: emulated, that is most of the time until the first test. It has the same option, and a worker
that dies makes the same report.
"""

from __future__ import annotations

import gc
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn

import pytest
from _pytest.runner import runtestprotocol

from helpers.interface.native import lib
from helpers.plugins.crashes import HANGS, LAST_WORDS, why_it_died
from helpers.plugins.verdict import UNTOLD
from helpers.report.outcomes import CRASHED

#: How many tests a worker has been given at any time: the one that it runs, and the next, since what they share is
#: torn down or kept by that.
GIVEN = 2
#: Seconds for a process that is killed to be gone.
PATIENCE = 5.0

# Until the workers are forked nearly all that is made is kept: looking for garbage takes a tenth of that time.
gc.disable()


def pytest_addoption(parser: pytest.Parser) -> None:
    add = parser.getgroup("workers")._addoption  # Else pytest keeps options of one letter to itself.
    add("-n", "--numprocesses", metavar="N", type=int, default=0, help="how many workers; 0: this process")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    gc.freeze()
    gc.enable()
    count = session.config.getoption("numprocesses")
    if not count or not session.items or session.testsfailed or session.config.option.collectonly:
        return None  # As without this plugin.
    with Workers(session, count) as workers:
        for reports in workers.run():
            for report in reports:
                session.config.hook.pytest_runtest_logreport(report=report)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
    return True


class Workers:
    """As many processes as were asked for, and the tests that none of them has been given yet."""

    def __init__(self, session: pytest.Session, count: int) -> None:
        self.session = session
        self.waiting = list(range(len(session.items)))
        self.workers: dict[Connection, Worker] = {}
        self.count = min(count, len(self.waiting))

    def __enter__(self) -> Workers:
        self.start(self.count)
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self.workers.values():
            worker.kill()

    def start(self, count: int = 1) -> None:
        new = [Worker(self.session) for _ in range(count)]
        self.workers |= {worker.connection: worker for worker in new}
        for worker in new * GIVEN:
            self.give(worker)

    def give(self, worker: Worker) -> None:
        worker.give(self.waiting.pop(0) if self.waiting else None)

    def run(self) -> Iterator[list[pytest.TestReport]]:
        """The reports of each test, as it ends."""
        restored = self.session.config.hook.pytest_report_from_serializable
        while self.workers:
            ready: list[Any] = wait(list(self.workers))
            for worker in map(self.workers.__getitem__, ready):
                try:
                    found = worker.connection.recv()
                except (EOFError, ConnectionResetError):
                    yield from self.end(worker)
                    continue
                worker.given.pop(0)
                yield [restored(config=self.session.config, data=data) for data in found]
                self.give(worker)  # Not before: what is known of a test is kept before the next may end the guest.

    def end(self, worker: Worker) -> Iterator[list[pytest.TestReport]]:
        """Another takes the place of a worker that died in a test, and what that one was given besides."""
        del self.workers[worker.connection]
        status = worker.kill()
        running, *others = worker.given or [None]
        if running is None:
            return
        self.waiting[:0] = [index for index in others if index is not None]
        if self.waiting:
            self.start()
        yield [crashed(self.session.items[running], worker.last_words() or why_it_died(status))]


class Worker:
    """A process that runs the tests that it is given, by their places in the session."""

    def __init__(self, session: pytest.Session) -> None:
        self.given: list[int | None] = []
        self.words = tempfile.NamedTemporaryFile(prefix="pagemap-scan-last-words-")  # noqa: SIM115
        self.connection, inner = Pipe()
        self.process = os.fork()
        if self.process == 0:
            session.config.stash[LAST_WORDS] = Path(self.words.name)
            work(session, inner)
        inner.close()

    def give(self, index: int | None) -> None:
        if None in self.given:
            return
        self.given.append(index)
        with suppress(BrokenPipeError):
            self.connection.send(index)

    def kill(self) -> int | None:
        """Ends the process, if it hasn't ended; how it did, None when the kernel doesn't let it."""
        with suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        self.connection.close()
        deadline = time.monotonic() + PATIENCE
        while (ended := os.waitpid(self.process, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        return os.waitstatus_to_exitcode(ended[1]) if ended[0] else None

    def last_words(self) -> str:
        """Why it ended itself, when it did."""
        with self.words:
            return self.words.read().decode(errors="replace")


def work(session: pytest.Session, connection: Connection) -> NoReturn:
    """What a worker does, until it is given None."""
    capture = session.config.pluginmanager.getplugin("capturemanager")
    try:
        lib.native_die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        capture.stop_global_capturing()  # Its files are shared with the other processes.
        capture.start_global_capturing()
        session.config.pluginmanager.register(Sender(connection))
        run_given(session, connection)
        os._exit(0)
    except BaseException:
        capture.stop_global_capturing()
        traceback.print_exc()
    finally:
        os._exit(1)


def run_given(session: pytest.Session, connection: Connection) -> None:
    """Runs tests, each when it is known which is the next."""
    index = connection.recv()
    while index is not None:
        following = connection.recv()
        item, nextitem = session.items[index], None if following is None else session.items[following]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        index = following


class Sender:
    """Runs a test as pytest does, and sends the reports instead of having this process's plugins take them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        reports: list[Any] = runtestprotocol(item, log=False, nextitem=nextitem)
        serialized = item.config.hook.pytest_report_to_serializable
        self.connection.send([serialized(config=item.config, report=report) for report in reports])
        return True


def crashed(item: pytest.Item, why: str) -> pytest.TestReport:
    """The report of a test in which the worker died: the kernel's fault only where it doesn't come back.

    Where it oopsed, the host knows from its log.
    """
    said = f"{item.nodeid}: {why}"
    report = pytest.TestReport(item.nodeid, item.location, {}, "failed", said, CRASHED)  # type: ignore[arg-type]
    if not why.startswith(HANGS):
        report.user_properties.append((UNTOLD, why))
    return report
