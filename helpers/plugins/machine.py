"""Sets the machine up before the first worker starts, and puts it back on every way out."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType

import pytest

from helpers.deviations import name_of
from helpers.host import CannotTest, Host, find_host, find_sizes
from helpers.interface.native import lib
from helpers.machine import Machine
from helpers.model import Model
from helpers.plugins.stash import CATALOGUE, HOST
from helpers.stubs import facts_of, stub_of

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


#: What no test can ask of a stub kernel.
_NOT_IN_STUBS = dict.fromkeys(("ksm", "hugetlb 1 GiB"), "the stub kernel has none")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"signal {number}")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("stub"):
        config.stash[HOST] = Host(find_sizes(), facts_of(config.getoption("stub")), _NOT_IN_STUBS)
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
