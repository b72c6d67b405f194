"""With --write-suite, what ran is collected, for one C program of the whole suite."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import masks
from helpers.c_source.record import Record
from helpers.c_source.suite import Issue, Mosaic, Suite
from helpers.c_source.term import Term, expression
from helpers.plugins.labs import needs_of, new_lab
from helpers.plugins.stash import HOST, LAB

RECORDER = pytest.StashKey["Recorder"]()


def call_in_c(text: str) -> Term:
    """A call that is told as text, ``function(argument, argument)``."""
    name, _, rest = text.partition("(")
    arguments = re.split(r", (?![^()]*\))", rest.removesuffix(")"))
    return Term(f"{name}(", tuple(expression(argument, "uint64_t", "argument") for argument in arguments), ")")


class Recorder:
    """Collects what ran, for one program of the whole suite."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.left_out: dict[str, str] = {}
        #: What the tests that a known issue names need.
        self.needs: dict[str, list[str]] = {}

    def add(self, item: pytest.Item, report: pytest.TestReport) -> None:
        function, _, parameters = item.name.partition("[")
        parameters = parameters and f"[{parameters}"
        issue = ""
        lab = item.stash.get(LAB, None)
        self.needs.setdefault(issue, needs_of(item))
        if as_loop := item.get_closest_marker("in_c"):
            call = as_loop.kwargs["call"](**getattr(getattr(item, "callspec", None), "params", {}))
            self.records.append(Record(function, parameters, loop=call_in_c(call), issue=issue))
        elif only := item.get_closest_marker("kernel_only"):
            self.left_out[function] = only.args[0]
        elif report.passed and lab and lab.steps:
            steps, prepared = tuple(lab.steps), tuple(lab.prepared)
            self.records.append(Record(function, parameters, steps, prepared, issue, facts=lab.facts))
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.left_out[f"{function}, in part"] = reason.removeprefix("Skipped: ")

    def write(self, config: pytest.Config, path: Path) -> None:
        """Writes the program. The records are put together by function, in the order of their first tests."""
        order = {record.function: place for place, record in reversed(list(enumerate(self.records)))}
        self.records.sort(key=lambda record: order[record.function])
        facts = config.stash[HOST].facts
        mosaics = {}
        for case in itertools.product((True, False), repeat=3):
            swap, guards, empties = case
            missing = {"swap": not swap, "guard regions": not guards}
            lab = new_lab(config)
            lab.host = replace(lab.host, missing={need: "" for need, lacks in missing.items() if lacks})
            mosaics[case] = Mosaic(lab.steps, masks.build(lab, empties).runs)
        suite = Suite(facts, mosaics)
        left_out = [f"{name}: {reason}" for name, reason in sorted(self.left_out.items())]
        path.write_text(suite.text(self.records, self.issues(config), left_out))
        print(f"\n{path}: {len(self.records)} tests; not in it:", *left_out, sep="\n  ")

    def issues(self, config: pytest.Config) -> list[Issue]:
        return []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if (recorder := item.config.stash.get(RECORDER, None)) and (call.when == "call" or report.skipped):
        recorder.add(item, report)
    return report


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("write_suite"):
        if config.getoption("stub") != "faithful":
            raise pytest.UsageError("--write-suite records what the contract says: give --stub faithful")
        config.stash[RECORDER] = Recorder()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and (recorder := session.config.stash.get(RECORDER, None)):
        recorder.write(session.config, Path(session.config.getoption("write_suite")))
