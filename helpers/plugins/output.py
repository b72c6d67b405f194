"""What a run writes, its words and its reports: what can't be written costs the run its success, never its verdict."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

import pytest

from helpers.plugins.machine import say
from helpers.plugins.stash import TROUBLES, VOICE
from helpers.plugins.verdict import SUBJECT, TALLY

#: The options that name the files of reports.
REPORTS = ("htmlpath", "xmlpath", "report_log", "ktap")
#: What the plugins that write them call the file.
WHERE = ("_report_path", "logfile")


class Voice:
    """Standard output, as it is as long as it takes what is written; from then on nothing is written to it."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        #: Why nothing more is written.
        self.lost = "" if stream else "it is closed"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream or sys.__stderr__, name)

    def attempt(self, does: Callable[[], object]) -> None:
        if self.lost:
            return
        try:
            does()
        except (OSError, ValueError) as error:
            self.lost = getattr(error, "strerror", None) or str(error)
            with suppress(OSError):  # What is left in buffers is written at the very end, and must not fail then.
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.close(nowhere)

    def write(self, text: str) -> int:
        self.attempt(lambda: self.stream and self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        self.attempt(lambda: self.stream and self.stream.flush())

    def isatty(self) -> bool:
        return bool(self.stream and self.stream.isatty())


def why_not_writable(path: Path) -> str:
    """Why a report can't be written there; nothing when it can."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def not_written(what: object, error: object) -> str:
    return f"{what} can't be written: {getattr(error, 'strerror', None) or error}"


class Output:
    """In the controlling process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.troubles = config.stash.setdefault(TROUBLES, [])

    def give_up_reports(self) -> None:
        """Leaves out, and says so at once, what couldn't be written at the end."""
        for option in REPORTS:
            name = getattr(self.config.option, option, None)
            if name and name != "-" and (why := why_not_writable(Path(os.path.expandvars(name)).expanduser())):
                setattr(self.config.option, option, None)
                self.troubles.append(not_written(name, why))
                say(self.troubles[-1])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """From here on, a report that can't be written at the session's end doesn't keep others from being written."""
        for hook in self.config.hook.pytest_sessionfinish.get_hookimpls():
            if not (hook.wrapper or hook.hookwrapper):
                report = next((found for name in WHERE if (found := getattr(hook.plugin, name, None))), "a report")
                hook.function = self.guarded(hook.function, report)  # type: ignore[misc]

    def guarded(self, function: Callable[..., object], report: object) -> Callable[..., object]:
        @functools.wraps(function)
        def guard(*arguments: object) -> object:
            try:
                return function(*arguments)
            except OSError as error:
                self.troubles.append(not_written(error.filename or report, error))
                return None

        return guard

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Any:
        result = yield
        if sys.__stdout__ is None:  # pytest wants something that it can flush as its last deed.
            self.config.pluginmanager.getplugin("capturemanager").stop_global_capturing()
            sys.stdout = self.config.stash[VOICE]
        return result


def give_up(
    config: pytest.Config, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """The last resort: what pytest doesn't handle would have the run end as if the kernel didn't conform."""
    tally = config.stash.get(TALLY, None)
    if tally is None:
        sys.__excepthook__(kind, error, trace)
        return
    tally.trouble(f"the suite itself failed: {kind.__name__}: {error}")
    tally.tell(config.stash[SUBJECT].kernel, config.stash[VOICE])
    os._exit(tally.status)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout = cast(TextIO, Voice(sys.stdout))
    config.stash[VOICE] = sys.stdout
    sys.excepthook = functools.partial(give_up, config)
    output = Output(config)
    output.give_up_reports()
    config.pluginmanager.register(output, "output")
