"""``python -m vm`` with a stand-in for the guest: nothing is booted, and the one test fails on a kernel called bad.

Everything around it is real: the build, the results that a guest writes, the reports made of them, the exit status.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from unittest import mock

import pytest
from _pytest.reports import pytest_report_to_serializable

from helpers.subject import Subject
from vm import command
from vm.architectures import Architecture
from vm.guest.boot import Ending, Setup
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel
from vm.runs import conformance

TEST = "suites/test_witness.py::test_stand_in"


def guest(kernel: Kernel, setup: Setup, shared: Shared, heard: Callable[[str], None] = lambda line: None) -> Ending:
    """Writes what a guest would, in the same order."""
    failed = "bad" in kernel.release
    shared.subject.write_text(json.dumps(asdict(Subject(kernel.release, "", "", "", {}))))
    shared.plan.write_text(json.dumps({"nodeid": TEST, "clauses": []}) + "\n")
    with shared.log.open("w") as log:
        for when in ("setup", "call", "teardown"):
            report = pytest.TestReport(TEST, (TEST, 0, TEST), {}, "passed", None, when)
            if failed and when == "call":
                report.outcome, report.longrepr = "failed", "the kernel is bad"
            log.write(json.dumps(pytest_report_to_serializable(report)) + "\n")
        log.write(json.dumps({"$report_type": "SessionFinish", "exitstatus": int(failed)}) + "\n")
    for empty in (shared.console, shared.dmesg, shared.output):
        empty.write_text("")
    shared.status.write_text(f"{int(failed)}\n")
    return Ending(True)


if __name__ == "__main__":
    boots_nothing = mock.patch.multiple(command, require_programs=lambda needed: None)
    without_qemu = mock.patch.object(Architecture, "require_qemu", lambda machine: None)
    with mock.patch.object(conformance, "boot", guest), boots_nothing, without_qemu:
        sys.exit(command.start())
