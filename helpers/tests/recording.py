"""A plugin of pytest's that writes the programs of the tests that pass to a file: -p helpers.tests.recording."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from helpers.plugins.stash import LAB
from helpers.tests.programs import Program, programs_of

#: The variable of the environment that says which file.
RECORD = "PAGEMAP_SCAN_RECORD"
#: Tests that are for kernels only since they are no part of the C program, or may hang a kernel: a model can be asked.
ASKED_OF_MODELS_TOO = (
    "test_a_page_of_a_gigabyte_is_tracked",
    "test_a_page_lost_to_a_memory_failure_is_not_present",
    "test_protecting_empty_hugetlb_memory_comes_to_an_end",
    "test_protecting_a_part_of_an_empty_hugetlb_page_leaves_the_rest_alone",
)
_found: list[Program] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if call.when == "call" and report.passed and (lab := item.stash.get(LAB, None)):
        _found.extend(programs_of(item.nodeid.removeprefix("suites/"), lab))
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name.partition("[")[0] in ASKED_OF_MODELS_TOO:
            item.own_markers[:] = [marker for marker in item.own_markers if marker.name != "kernel_only"]


def pytest_sessionfinish() -> None:
    path = Path(os.environ[RECORD])
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(_found))
    part.rename(path)
