"""What becomes of a run in which the kernel can't be asked for a known defect."""

from __future__ import annotations

from typing import Any

import pytest

from helpers.interface.native import SuiteError
from helpers.interface.uapi import Category, ScanFlag
from helpers.lab import KernelDiffers, Lab
from helpers.model import Model
from helpers.operations import Map, Scan, ScanResult
from helpers.probing import Found, find
from helpers.tests.replays import ASKED, host_for
from suites.errata.walking import WalkEndAfterEperm


def test_a_probe_that_fails_is_said_and_the_others_are_asked() -> None:
    class Full(*ASKED[:3]):  # type: ignore[misc]
        """A kernel with three errata, on a machine that has no memory for the probe of the second."""

        maps = 0

        def map(self, op: Map) -> None:
            if Full.maps in range(second.start, second.stop):
                Full.maps += 1
                raise SuiteError(f"{op}: ENOMEM")
            Full.maps += 1
            super().map(op)

    before = counted(ASKED[0])
    second = range(before, before + 1)
    found = find(ASKED[:3], host_for, lambda host: Full(host.facts))
    assert found.present == [ASKED[0], ASKED[2]]
    assert list(found.untold) == [ASKED[1]] and found.untold[ASKED[1]].startswith("SuiteError: ")


def counted(erratum: type[Any]) -> int:
    """How many mappings the probe of an erratum makes."""
    host = host_for(erratum)
    lab = Lab(host, Model(host.facts), may_hang=True)
    erratum.probe(lab)
    return sum(isinstance(step.operation, Map) for step in lab.steps)


def ask(stub: type[Model], found: Found) -> Lab:
    """A scan that is aborted, on a stub of which so much is known."""
    host = host_for(WalkEndAfterEperm)
    lab = Lab(host, stub(host.facts), found.present, untold=found.untold)
    lab.map((0, 4))
    lab.write((0, 4))
    lab.register(0)
    lab.scan((0, 4), ScanFlag.CHECK_WPASYNC, returned=Category.WRITTEN)
    return lab


def test_what_may_be_a_defect_that_could_not_be_asked_for_is_not_told() -> None:
    with pytest.raises(SuiteError, match=r"walk-end-after-eperm, for which the kernel couldn't be asked: a reason$"):
        ask(WalkEndAfterEperm, Found([], {WalkEndAfterEperm: "a reason"}))
    assert ask(WalkEndAfterEperm, Found([WalkEndAfterEperm])).deviates
    assert not ask(Model, Found([], {WalkEndAfterEperm: "a reason"})).deviates


def test_what_is_no_such_defect_is_the_kernels_fault() -> None:
    class Differs(Model):
        def scan(self, op: Scan) -> ScanResult:
            return super().scan(op)._replace(result=7)

    with pytest.raises(KernelDiffers):
        ask(Differs, Found([], {WalkEndAfterEperm: "a reason"}))
