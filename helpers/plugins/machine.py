"""Sets the machine up before the first worker starts, and puts it back on every way out."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from helpers.deviations import name_of
from helpers.host import CannotTest, Host, find_host, find_sizes, require_kernel, require_survival
from helpers.interface.build import NOT_TESTED as NOT_TESTED
from helpers.interface.native import lib
from helpers.journal import MachineError
from helpers.kernel import Kernel, Sizes
from helpers.machine import Machine
from helpers.model import Model
from helpers.operations import Target
from helpers.plugins import signals
from helpers.plugins.stash import CATALOGUE, HOST, MACHINE, TROUBLES
from helpers.stubs import NoSuchStub, facts_of, missing_in, stub_of

CHECKOUT = Path(__file__).resolve().parents[2]
SUITES = CHECKOUT / "suites"


@cache
def is_of_suites(path: Path) -> bool:
    """Whether a file is one of the conformance tests', by whatever way it was named."""
    return SUITES in path.resolve().parents


def asks_the_kernel(config: pytest.Config) -> bool:
    """Whether conformance tests may be selected, and the running kernel is what they are about."""
    if config.getoption("stub") or config.option.collectonly:
        return False
    return any(may_name_conformance_tests(Path(argument.split("::")[0])) for argument in config.args)


def may_name_conformance_tests(path: Path) -> bool:
    """Whatever isn't somewhere else does; what is no path is a module's name (--pyargs)."""
    found = path.resolve()
    return not path.exists() or found == SUITES or SUITES in found.parents or found in SUITES.parents


def stub_named(config: pytest.Config) -> type[Model]:
    """The stub kernel that was asked for. Raises NoSuchStub."""
    from helpers.tests.faults import FAULTS

    return stub_of(config.getoption("stub"), {**FAULTS, **{name_of(one): one for one in config.stash[CATALOGUE]}})


def new_target(config: pytest.Config, host: Host) -> Target:
    """The kernel, or the stub that was asked for, with nothing mapped."""
    return stub_named(config)(host.facts) if config.getoption("stub") else Kernel(host.sizes)


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


def say(sentence: str) -> None:
    """At once, on the way that nobody reads for results."""
    print(f"pagemap-scan: {sentence}", file=sys.stderr, flush=True)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash.setdefault(TROUBLES, [])
    signals.hear_of_children()
    if hasattr(config, "workerinput"):
        if packed := config.workerinput["host"]:
            lib.native_die_with_parent()
            signals.leave_to_parent()
            config.stash[HOST] = pickle.loads(packed)
    elif config.getoption("stub"):
        find_stub(config)
    elif asks_the_kernel(config):
        try:
            find_kernel(config)
        except CannotTest as reason:
            way_out = "or ask another kernel, in a virtual machine: make run_tests KERNEL=7.3"
            pytest.exit(f"pagemap-scan: not tested: {reason}; {way_out}", returncode=NOT_TESTED)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """What was found out once is so for all workers."""
    host = node.config.stash.get(HOST, None)
    node.workerinput["host"] = pickle.dumps(host) if host else b""


def find_stub(config: pytest.Config) -> None:
    """Has the run be about a stub kernel."""
    try:
        stub_named(config)
        config.stash[HOST] = host_of_stub(config)
    except NoSuchStub as reason:
        raise pytest.UsageError(str(reason)) from None


def find_kernel(config: pytest.Config) -> None:
    """Has the run be about the running kernel, on a machine that is set up for it. Raises CannotTest."""
    scratch = Path(config.getoption("scratch")) if config.getoption("scratch") else None
    if scratch and not scratch.is_dir():
        raise pytest.UsageError(f"--scratch={scratch}: there is no such directory")
    workers = config.getoption("numprocesses", None) or 1
    require_survival()
    require_kernel()
    signals.listen()
    refused: dict[str, str] = {}
    if os.geteuid() == 0 and not config.getoption("no_machine_setup"):
        refused = set_up(config, workers, scratch)
    found = find_host(scratch, workers)
    missing = {need: f"{why} ({refused[need]})" if need in refused else why for need, why in found.missing.items()}
    config.stash[HOST] = Host(found.sizes, found.facts, missing)


def set_up(config: pytest.Config, workers: int, scratch: Path | None) -> dict[str, str]:
    """Sets the machine up as far as it lets itself be set up; returns what can't be had, and why. Raises CannotTest."""
    alone, patience = config.getoption("dangerous"), config.getoption("wait")
    machine = Machine(workers, find_sizes(scratch), is_alone=alone, patience=patience, say=say)
    try:
        machine.__enter__()
    except OSError as error:
        say(f"the machine's settings stay as they are: {machine.journal.path} can't be written: {error.strerror}")
        return {}
    except MachineError as error:
        raise CannotTest(f"{error}: wait for its end, or give --no-machine-setup") from None
    config.stash[MACHINE] = machine
    config.add_cleanup(machine.put_back)
    return machine.refused


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Before the verdict is told, which what can't be put back is a part of."""
    if machine := config.stash.get(MACHINE, None):
        signals.turn_back()
        try:
            machine.put_back()
        except MachineError as error:
            say(str(error))
            config.stash[TROUBLES].append(str(error))
