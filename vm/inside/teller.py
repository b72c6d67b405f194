"""A pytest plugin for the session in the guest: tells the host what is planned, what runs, and what was found.

The console is the one thing that survives a panic, so each test's start and end go there.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from helpers.plugins.clauses import clauses_of
from helpers.plugins.verdict import SUBJECT
from vm.guest.marks import MARK
from vm.guest.shared_directory import Shared


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tell", metavar="DIR", help="the directory shared with the host")


def say(words: str) -> None:
    """A line in the kernel's log, and so on the console."""
    with open("/dev/kmsg", "wb", buffering=0) as log:
        log.write(f"{MARK} {words}\n".encode())


def keep(path: Path, text: str) -> None:
    """Writes a file that is there whole or not at all."""
    aside = path.with_name(path.name + ".new")
    aside.write_text(text)
    aside.replace(path)


def planned(item: pytest.Item) -> str:
    """A line of the plan: the test, and the clauses that it proves."""
    return json.dumps({"nodeid": item.nodeid, "clauses": clauses_of(item)})


class Teller:
    """Tells what is planned, and what runs."""

    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        keep(self.shared.plan, "".join(f"{planned(item)}\n" for item in session.items))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        say(f"start {os.getpid()} {item.nodeid}")
        try:
            return (yield)
        finally:
            say(f"end {os.getpid()}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--tell") is None:
        return  # Nobody listens: the session is about bytecode.
    shared = Shared(Path(config.getoption("--tell")))
    if SUBJECT in config.stash:
        keep(shared.subject, json.dumps(asdict(config.stash[SUBJECT])))
    config.pluginmanager.register(Teller(shared))
