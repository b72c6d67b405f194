"""Fixtures: where a test's program runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from helpers.host import Host
from helpers.lab import CannotAsk, Lab
from helpers.plugins.machine import host_for, new_target
from helpers.plugins.stash import FOUND, HOST, LAB


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config) -> Host:
    """The kernel under test, as far as tests have to know it."""
    return pytestconfig.stash[HOST]


def new_lab(config: pytest.Config, needs: Iterable[str] = (), may_hang: bool = False) -> Lab:
    """A lab on the kernel, or on the stub that --stub names, which plays a kernel that has what is needed."""
    host = host_for(config, needs)
    found = config.stash[FOUND]
    return Lab(host, new_target(config, host), found.present, may_hang, untold=found.untold)


def needs_of(item: pytest.Item) -> list[str]:
    """What a test needs of kernel and machine: keys of :func:`helpers.host.missing`."""
    return [need for marker in item.iter_markers("needs") for need in marker.args]


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with nothing in it yet; all that the test maps and opens is given back."""
    found = new_lab(request.config, needs_of(request.node), may_hang="may_hang" in request.node.keywords)
    request.node.stash[LAB] = found
    yield found
    found.close()
    del request.node.stash[LAB]  # Pages by the thousand, which nobody looks at any more.


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what can't be asked in this way, with how it can."""
    if item.get_closest_marker("may_hang") and not item.config.getoption("dangerous"):
        pytest.skip("may hang or kill a kernel with a known defect: give --dangerous, best in a virtual machine")
    if item.get_closest_marker("harms") and not item.config.getoption("dangerous"):
        pytest.skip("does the machine lasting harm: give --dangerous, in a virtual machine")
    if item.get_closest_marker("kernel_only") and item.config.getoption("stub"):
        pytest.skip("asks for more than a stub kernel has: run on a kernel")
    for need in needs_of(item):
        if reason := item.config.stash[HOST].missing.get(need):
            pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    try:
        return (yield)
    except CannotAsk as reason:
        pytest.skip(str(reason))
