"""Which clause of the contract a test proves, and what the clause says when a test fails."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from helpers.explain import story
from helpers.lab import KernelDiffers
from helpers.plugins.machine import SUITES, is_of_suites
from helpers.plugins.stash import LAB
from helpers.plugins.verdict import CLAUSE


@cache
def catalogue(path: Path = SUITES / "clauses.toml") -> dict[str, dict[str, Any]]:
    """The clause catalogue by id: ``says``, ``where``, and ``kind`` (promise, code or silent)."""
    entries = tomllib.loads(path.read_text())["clause"]
    return {entry["id"]: entry for entry in entries}


def clauses_of(item: pytest.Item) -> list[str]:
    """The ids of the clauses that a test names."""
    return [clause for marker in item.iter_markers("clause") for clause in marker.args]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of the suites names clauses, and only such as are in the catalogue: properties of all its reports, of
    the last one too, from which JUnit takes them."""
    for item in items:
        if not is_of_suites(item.path):
            continue
        named = clauses_of(item)
        unknown = [clause for clause in named if clause not in catalogue()]
        if unknown or not named:
            raise pytest.UsageError(f"{item.nodeid}: names no clause, or unknown ones: {unknown}")
        item.user_properties.extend((CLAUSE, clause) for clause in named)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when == "call" and report.failed:
        told = [
            f"{clause}: {catalogue()[clause]['says']}\n    ({catalogue()[clause]['where']})"
            for clause in clauses_of(item)
            if clause in catalogue()
        ]
        if told:
            report.sections.append(("contract", "\n".join(told)))
        lab = item.stash.get(LAB, None)
        if lab and call.excinfo and not call.excinfo.errisinstance(KernelDiffers):
            report.sections.append(("program", story(lab.memory, lab.steps)))
    return report
