"""A plugin of pytest's that prints a program for each broken stub: -p helpers.tests.broken, with --write-suite.

It finds, for each stub, a test whose answers the stub alters, and prints that test with the stub's answers in the place
of the contract's: what a program says of this kernel then is what it would say of a broken one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers.c_source.record import Record
from helpers.c_source.reproducer import reproducer
from helpers.deviations import together
from helpers.errata import answers
from helpers.model import Model, Unspecified
from helpers.operations import Advise, MoveIn, ReadPagemap, Resize, Scan
from helpers.plugins.recorder import RECORDER
from helpers.steps import Step, states_of
from helpers.tests.faults import FAULTS
from suites.errata import ERRATA

#: The variable of the environment that says in which directory.
PLACE = "PAGEMAP_SCAN_BROKEN"
#: What is broken in these can be brought about under a program: a preloaded library alters the ioctl.
ALTERED = sorted(re.findall(r'\bis\("([\w-]+)"\)', Path(__file__).with_name("altered.c").read_text()))
BROKEN = sorted(set(FAULTS) - set(ALTERED))
KNOWN = together(erratum for erratum in ERRATA if erratum.has_probe())

#: Operations whose answer a program compares, rather than taking another one for a machine that is unfit.
ASKED = Scan | ReadPagemap | Advise | Resize | MoveIn


def overridden(fault: type[Model]) -> set[str]:
    """The methods of the contract's model in whose place a fault has its own."""
    return {name for name in vars(fault) if not name.startswith("__") and callable(getattr(Model, name, None))}


def methods_called_by(records: Sequence[Record]) -> list[set[str]]:
    """For each test, which of the methods that faults override the contract's model comes to.

    A fault that overrides none of them alters no answer, and needn't be asked: most of the time would go there.
    """
    called: set[str] = set()

    def noted(name: str) -> Callable[..., Any]:
        def method(self: Model, *arguments: Any, **named: Any) -> Any:
            called.add(name)
            return getattr(super(noting, self), name)(*arguments, **named)

        return method

    names = {name for stub in BROKEN for name in overridden(FAULTS[stub])}
    noting = type("Noting", (Model,), {name: noted(name) for name in names})
    found = []
    for record in records:
        called.clear()
        list(answers(noting(record.facts), record.steps))
        found.append({*called})
    return found


def altered(fault: type[Model], record: Record) -> tuple[Sequence[Step], bool] | None:
    """The steps of a test up to the first answer that a fault alters, and whether a known defect might alter it, too;
    nothing where it alters none that is under test."""
    model, steps = fault(record.facts), []
    for step in record.steps:
        try:
            answer = step.operation.run(model)
        except Unspecified:
            return None
        if step.is_precondition and isinstance(step.operation, ReadPagemap):
            if states_of(answer) != states_of(step.expected):
                return None
            answer = step.expected  # Nothing else is looked at.
        steps.append(replace(step, expected=answer))
        if answer != step.expected:
            if step.is_precondition or not isinstance(step.operation, ASKED):
                return None
            known, due = (list(answers(model(record.facts), record.steps)) for model in (KNOWN, Model))
            return steps, known != due
    return None


def program_for(stub: str, records: Sequence[Record]) -> str:
    """A program in C that a kernel fails which isn't broken like this stub; rather one that no known defect alters."""
    other = ""
    for record in records:
        if found := altered(FAULTS[stub], record):
            steps, may_be_known = found
            if not may_be_known:
                return reproducer(stub, steps, record.facts, [], "a stub")
            other = other or reproducer(stub, steps, record.facts, [], "a stub")
    return other


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tests with small memory come first: their programs are the short ones."""
    recorded = session.config.stash[RECORDER].records
    records = [record for record in recorded if record.steps and "swap" not in record.parameters]
    records.sort(key=lambda record: max(getattr(step.operation, "span", (0, 0))[1] for step in record.steps))
    called = methods_called_by(records)
    for stub in BROKEN:
        due = overridden(FAULTS[stub])
        met = [record for record, methods in zip(records, called, strict=True) if due & methods]
        if program := program_for(stub, met):
            (Path(os.environ[PLACE]) / f"{stub}.c").write_text(program)
