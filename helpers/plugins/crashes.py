"""A worker that dies takes its test along: why it died, whose fault that is, and a row in every report.

pytest-xdist makes one report of such a test, of a phase that no report knows.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from helpers.plugins.verdict import TALLY, UNTOLD
from helpers.report.outcomes import ending

#: Bit of /proc/sys/kernel/tainted that says that the kernel has oopsed.
_DIED = 1 << 7
#: Seconds that a worker whose connection is gone may take to be gone itself.
_PATIENCE = 5.0
#: Of a worker: the file in which it says why it ends itself.
LAST_WORDS = pytest.StashKey[Path]()
#: With which these words begin when the kernel doesn't come back.
HANGS = "the kernel doesn't come back"
#: What usually stands behind a signal.
_OF_SIGNALS: dict[int, str] = {
    signal.SIGBUS: "memory that it had been given wasn't there when it was touched: hugetlb pages were taken away, a "
    "control group's limit, or a full file system",
    signal.SIGKILL: "a control group was out of memory, or somebody ended it",
    signal.SIGSYS: "a seccomp filter kills what makes a certain system call",
    signal.SIGXCPU: "its limit of processor time",
}


def has_oopsed() -> bool:
    """Whether the kernel has, since it was booted. Not known where /proc doesn't say."""
    try:
        return bool(int(Path("/proc/sys/kernel/tainted").read_text()) & _DIED)
    except (OSError, ValueError):
        return False


def why_it_died(status: int | None) -> str:
    """The reason in words, of what waitpid(2) says as subprocess has it."""
    if status is None:
        return "its worker hangs"
    if status >= 0:
        return f"its worker ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    because = _OF_SIGNALS.get(-status, "")
    return f"its worker died of {name}" + f": {because}" * bool(because)


class Crashes:
    """In the controlling process: gives crashed tests the reports that others have."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.had_oopsed = has_oopsed()
        #: Files that are gone with this process, by worker.
        self.words: dict[Any, int] = {}
        #: Why each died that ended in no test.
        self.deaths: dict[Any, str] = {}
        #: What the tests that run said of themselves when they were set up: clauses, and kinds of memory.
        self.properties: dict[str, list[tuple[str, object]]] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        file = self.words[node] = os.memfd_create("last words", os.MFD_CLOEXEC)
        node.workerinput["last words"] = f"/proc/{os.getpid()}/fd/{file}"

    def words_of(self, node: Any) -> str:
        """What the worker wrote before it ended itself."""
        file = self.words.get(node)
        return os.pread(file, 1000, 0).decode() if file is not None else ""

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if not error:
            return
        status = None
        process = getattr(getattr(node.gateway, "_io", None), "popen", None)
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(_PATIENCE)
        self.deaths[node] = self.words_of(node) or why_it_died(status)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        why = self.deaths.pop(report.node, "its worker died")
        report.when = "setup"
        report.user_properties.extend(self.properties.get(crashitem, ()))
        if has_oopsed() and not self.had_oopsed:
            why = f"the kernel oopsed, and {why}"
        elif not why.startswith(HANGS):
            report.user_properties.append((UNTOLD, why))
        report.longrepr = f"{report.longrepr}\n{why}"
        vars(report)["has_no_end"] = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Any:
        result = yield
        if report.when == "teardown":
            self.properties.pop(report.nodeid, None)
        elif report.when == "setup" and report.passed:
            self.properties[report.nodeid] = list(report.user_properties)
        if vars(report).pop("has_no_end", False):
            last = ending(report.nodeid, self.properties.get(report.nodeid, ()))
            last.node = report.node  # type: ignore[attr-defined]
            self.config.hook.pytest_runtest_logreport(report=last)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker that died between tests is no trouble once another has done the rest."""
        tally = self.config.stash.get(TALLY, None)
        if tally and len(tally.reported) < max(session.testscollected, 1):
            for why in self.deaths.values():
                tally.trouble(f"before its first test, or between two: {why}")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.stash[LAST_WORDS] = Path(config.workerinput["last words"])
    else:
        config.pluginmanager.register(Crashes(config), "crashes")
