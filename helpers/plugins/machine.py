"""Sets the machine up before the first worker starts, and puts it back on every way out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from helpers.deviations import name_of
from helpers.host import CannotTest, Host, find_host, find_sizes
from helpers.interface.native import lib
from helpers.kernel import Sizes
from helpers.machine import Machine
from helpers.model import Model
from helpers.plugins.stash import CATALOGUE, HOST
from helpers.stubs import NoSuchStub, facts_of, missing_in, stub_of

SUITES = Path(__file__).parents[2] / "suites"
#: Exit status of a run that could ask nothing.
NOT_TESTED = 5


def asks_the_kernel(config: pytest.Config) -> bool:
    """Whether conformance tests were selected, and the running kernel is what they are about."""
    if config.getoption("stub") or config.option.collectonly:
        return False
    paths = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    return any(path == SUITES or SUITES in path.parents or path in SUITES.parents for path in paths)


def stub_named(config: pytest.Config) -> type[Model]:
    """The stub kernel that was asked for. Raises NoSuchStub."""
    from helpers.tests.faults import FAULTS

    return stub_of(config.getoption("stub"), {**FAULTS, **{name_of(one): one for one in config.stash[CATALOGUE]}})


def host_of_stub(config: pytest.Config) -> Host:
    """The kernel that the stub plays, whatever is asked of it, and a machine that lacks nothing. Raises NoSuchStub."""
    facts = facts_of(config.getoption("stub"), pages=config.getoption("stub_pages"))
    sizes = Sizes(facts.page_size, facts.page_size * facts.pages_per_huge_page)
    # What is recorded on a stub is for a C program that asks no kernel for it.
    return Host(sizes, facts, {"ksm": "is asked by pytest alone"} if config.getoption("write_suite") else {})


def host_for(config: pytest.Config, needs: Iterable[str]) -> Host:
    """The kernel under test; of a stub the one that it plays for a test that needs this."""
    host, name = config.stash[HOST], config.getoption("stub")
    if not name:
        return host
    facts = facts_of(name, needs, config.getoption("stub_pages"))
    return replace(host, facts=facts, missing={**host.missing, **missing_in(name, needs)})


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("stub"):
        try:
            stub_named(config)
            config.stash[HOST] = host_of_stub(config)
        except NoSuchStub as reason:
            raise pytest.UsageError(str(reason)) from None
        return
    if not asks_the_kernel(config):
        return
    scratch = Path(config.getoption("scratch")) if config.getoption("scratch") else None
    try:
        if hasattr(config, "workerinput"):
            lib.native_die_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            find_host(scratch)
            signal.signal(signal.SIGTERM, _interrupt)
            signal.signal(signal.SIGHUP, _interrupt)
            if os.geteuid() == 0 and not config.getoption("no_machine_setup"):
                workers = config.getoption("numprocesses", None) or 1
                machine = Machine(workers, find_sizes(scratch), is_alone=config.getoption("dangerous"))
                machine.__enter__()
                config.add_cleanup(machine.put_back)
        config.stash[HOST] = find_host(scratch)
    except CannotTest as reason:
        pytest.exit(f"pagemap-scan: not tested: {reason}", returncode=NOT_TESTED)
