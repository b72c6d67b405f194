"""With --write-suite, what ran is collected, for one C program of the whole suite."""

from __future__ import annotations

import itertools
import multiprocessing
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import masks
from helpers.c_source.known import KnownAnswers, identifier, known_answers
from helpers.c_source.record import Kernels, Record, on_new_kernels
from helpers.c_source.suite import Mosaic, Suite
from helpers.c_source.term import Term, expression
from helpers.deviations import Erratum, name_of
from helpers.lab import CannotAsk
from helpers.plugins.labs import new_lab
from helpers.plugins.stash import CATALOGUE, HOST, LAB

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

    def add(self, item: pytest.Item, report: pytest.TestReport) -> None:
        function, _, parameters = item.name.partition("[")
        parameters = parameters and f"[{parameters}"
        lab = item.stash.get(LAB, None)
        if as_loop := item.get_closest_marker("in_c"):
            call = as_loop.kwargs["call"](**getattr(getattr(item, "callspec", None), "params", {}))
            self.records.append(Record(function, parameters, loop=call_in_c(call)))
        elif only := item.get_closest_marker("kernel_only") or item.get_closest_marker("python_only"):
            self.left_out[function] = only.args[0]
        elif report.passed and lab and lab.steps:
            steps, prepared = tuple(lab.steps), tuple(lab.prepared)
            self.records.append(Record(function, parameters, steps, prepared, facts=lab.facts))
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
        probes = self.probes(config)
        records = self.with_known_answers(probes)
        suite = Suite(facts, mosaics)
        left_out = [f"{name}: {reason}" for name, reason in sorted(self.left_out.items())]
        path.write_text(suite.text(records, probes, left_out))
        print(f"\n{path}: {len(records)} tests; not in it:", *left_out, sep="\n  ")

    def probes(self, config: pytest.Config) -> dict[type[Erratum], Record]:
        """The errata that a program can tell, each with its probe."""
        found = {}
        for erratum in config.stash[CATALOGUE]:
            if not erratum.has_probe() or erratum.may_hang:
                continue
            lab = new_lab(config, erratum.needs)
            with suppress(CannotAsk):
                erratum.probe(lab)
                known = known_answers(lab.steps, lab.facts, [*erratum.beside, erratum])
                found[erratum] = Record("", "", tuple(lab.steps), tuple(lab.prepared), tuple(known), facts=lab.facts)
            lab.close()
        return found

    def with_known_answers(self, probes: Mapping[type[Erratum], Record]) -> list[Record]:
        """The records, with what kernels answer that have the errata; those that are about a probe, with its memory."""
        kinds = {probe_of(erratum): probe.prepared for erratum, probe in probes.items()}
        return [
            replace(record, prepared=kinds.get(str(record.loop), record.prepared))
            for record in _asked_of_models(self.records, list(probes))
        ]


#: What the processes that share the work are forked with.
_work: tuple[Sequence[Record], Sequence[type[Erratum]]] = ((), ())
#: The errata that mattered to the last test of a function that any mattered to: to the next they are likely to.
_mattered: dict[str, set[type[Erratum]]] = {}


def _asked_of_models(records: Sequence[Record], errata: Sequence[type[Erratum]]) -> list[Record]:
    """The records with what models of other kernels answer; they are asked so often that all processors take part."""
    global _work
    _work = (records, errata)
    with multiprocessing.get_context("fork").Pool() as pool:
        told = pool.map(_told_at, range(len(records)), chunksize=8)
    return [record for some in told for record in some]


def _told_at(place: int) -> list[Record]:
    """A test with what kernels with errata answer; twice, where new kernels promise something else than old ones."""
    records, errata = _work
    record = records[place]
    new = on_new_kernels(record)
    both = [record] if new is record else [replace(record, only_on=Kernels.OLD_WRITTEN), *([new] if new else [])]
    return [replace(one, known=_known(one, errata)) for one in both]


def _known(record: Record, errata: Sequence[type[Erratum]]) -> tuple[KnownAnswers, ...]:
    likely = _mattered.get(record.function, set())
    known = tuple(known_answers(record.steps, record.facts, errata, likely))
    if mattered := {one for answers in known for answer in answers for one in answer.errata}:
        _mattered[record.function] = mattered
    return known


def probe_of(erratum: type[Erratum]) -> str:
    """The call of an erratum's probe in C."""
    return f"probe_{identifier(name_of(erratum))}()"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """What is told in C as a call, or not at all, needn't be carried out to be recorded."""
    as_it_is = [pyfuncitem.get_closest_marker(name) for name in ("in_c", "python_only")]
    is_call = RECORDER in pyfuncitem.config.stash and any(as_it_is)
    return True if is_call else None


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
