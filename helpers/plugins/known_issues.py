"""Known defects of kernels: a finding that is named, with evidence, is an xfail; strictly.

An entry of suites/known_issues.toml applies when its probe, a program of suites/probes.py, finds the defect in
the kernel at hand. Then the tests that it names must fail, by an assertion about the kernel whose text
matches; a test that passes all the same fails the run.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from helpers.lab import CannotAsk, KernelDiffers
from helpers.plugins.clauses import clauses_of
from helpers.plugins.labs import new_lab
from helpers.plugins.machine import SUITES

#: The programs that find defects out, by name; the suites hand them over.
PROBES = pytest.StashKey[dict[str, Any]]()
PROBED = pytest.StashKey[dict[str, bool]]()
APPLYING = pytest.StashKey[dict[str, Any]]()


@cache
def known_issues(path: Path = SUITES / "known_issues.toml") -> list[dict[str, Any]]:
    """The list, as it stands in the file."""
    entries: list[dict[str, Any]] = tomllib.loads(path.read_text())["issue"]
    return entries


def exhibits(config: pytest.Config, probe: str) -> bool:
    """Whether the kernel shows a defect: the probe's program differs from the contract. Asked once."""
    answers = config.stash.setdefault(PROBED, {})
    if probe not in answers:
        lab = new_lab(config)
        try:
            config.stash[PROBES][probe](lab)
            answers[probe] = False
        except KernelDiffers:
            answers[probe] = True
        except CannotAsk:
            answers[probe] = False
        finally:
            lab.close()
    return answers[probe]


def issue_named(item: pytest.Item) -> dict[str, Any] | None:
    """The entry that names a test."""
    name = item.nodeid.rsplit("/", 1)[-1]
    for issue in known_issues():
        patterns = [pattern.replace("[", "[[]") for pattern in issue.get("tests", ())]
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return issue
    return None


def is_known(config: pytest.Config, probe: str) -> bool:
    """Whether the kernel shows a defect that may be taken as known. What is broken in a stub has to be found."""
    return not config.getoption("stub") and not config.getoption("no_known_issues") and exhibits(config, probe)


def issue_of(item: pytest.Item) -> dict[str, Any] | None:
    """The entry that names a test and whose defect the kernel has."""
    issue = issue_named(item)
    return issue if issue and is_known(item.config, issue["probe"]) else None


def hints(item: pytest.Item) -> list[str]:
    """Defects of other kernels that a failure of this test may be, by the clauses they broke."""
    near = [issue for issue in known_issues() if set(issue.get("clauses", ())) & set(clauses_of(item))]
    return [f"{issue['summary']}: {issue.get('fixed', 'not fixed')}" for issue in near]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    if SUITES in item.path.parents:
        item.stash[APPLYING] = issue_of(item) or {}
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when != "call" or SUITES not in item.path.parents:
        return report
    issue = item.stash.get(APPLYING, None)
    if issue and report.failed and call.excinfo and call.excinfo.errisinstance(AssertionError):
        if re.search(issue["match"], str(call.excinfo.value), re.DOTALL):
            report.outcome = "skipped"
            report.wasxfail = f"{issue['id']}: {issue['summary']} ({issue.get('fixed', 'not fixed')})"
    elif issue and report.passed:
        report.outcome = "failed"
        report.longrepr = f"the known issue {issue['id']} says that this fails, and its probe agrees, yet it passes"
    if report.failed and (near := hints(item)):
        report.sections.append(("perhaps", "\n".join(near)))
    return report
