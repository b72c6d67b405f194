"""Defects of the kernel at hand that are known: what they predict exactly is an expected failure, and nothing else is.

Which of them the kernel has is found out once, before the first test, by the process that sets the machine up.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from helpers.deviations import Erratum, name_of
from helpers.plugins.clauses import clauses_of
from helpers.plugins.machine import host_for, is_of_suites, new_target
from helpers.plugins.stash import CATALOGUE, FOUND, HOST, LAB
from helpers.plugins.verdict import ERRATUM
from helpers.probing import Found, find


def in_words(erratum: type[Erratum]) -> str:
    """Name, sentence and fix in a line."""
    return f"{name_of(erratum)}: {erratum.says()} ({erratum.fixed})"


def _askable(config: pytest.Config) -> list[type[Erratum]]:
    """Those whose probe may be run here."""
    catalogue = config.stash.get(CATALOGUE, ())
    return [one for one in catalogue if one.has_probe() and (config.getoption("dangerous") or not one.may_hang)]


def ask_probes(config: pytest.Config) -> Found:
    """Runs the probes on the kernel, or on the stub that was named."""
    if config.getoption("no_errata") or HOST not in config.stash:
        return Found()

    return find(_askable(config), lambda erratum: host_for(config, erratum.needs), partial(new_target, config))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Before workers are started, which are told."""
    config = session.config
    if hasattr(config, "workerinput"):
        by_name = {name_of(one): one for one in config.stash.get(CATALOGUE, ())}
        present, untold = config.workerinput["errata"]
        config.stash[FOUND] = Found(
            [by_name[name] for name in present], {by_name[name]: why for name, why in untold.items()}
        )
    else:
        config.stash[FOUND] = ask_probes(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    found = node.config.stash[FOUND]
    untold = {name_of(one): why for one, why in found.untold.items()}
    node.workerinput["errata"] = [name_of(one) for one in found.present], untold


def hints(item: pytest.Item) -> list[str]:
    """Defects of kernels that a failure of this test may be, by the clauses that they break."""
    near = [one for one in item.config.stash.get(CATALOGUE, ()) if set(one.clauses) & set(clauses_of(item))]
    return [in_words(one) for one in near]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when != "call" or not is_of_suites(item.path):
        return report
    lab = item.stash.get(LAB, None)
    if report.passed and lab and lab.deviates:
        met = lab.errata_met()
        report.outcome = "skipped"
        report.wasxfail = "; ".join(in_words(one) for one in met)
        report.user_properties.extend((ERRATUM, in_words(one)) for one in met)
    if report.failed and (near := hints(item)):
        report.sections.append(("perhaps", "\n".join(near)))
    return report
