"""Options and plugins, nothing else."""

import pytest

from helpers.interface.build import build_or_exit

build_or_exit()  # Before what comes next is imported, which needs it.

from helpers.stubs import PAGES  # noqa: E402

pytest_plugins = [
    "helpers.plugins.refusals",
    "helpers.plugins.machine",
    "helpers.plugins.verdict",
    "helpers.plugins.output",
    "helpers.plugins.blame",
    "helpers.plugins.crashes",
    "helpers.plugins.limits",
    "helpers.plugins.order",
    "helpers.plugins.labs",
    "helpers.plugins.exploration",
    "helpers.plugins.clauses",
    "helpers.plugins.pictures",
    "helpers.plugins.errata",
    "helpers.plugins.reproducers",
    "helpers.plugins.recorder",
    "helpers.plugins.report",
    "helpers.plugins.logs",
    # The last is configured first: what it hands over is there for the others.
    "suites.plugin",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--no-machine-setup", action="store_true", help="leave swap, hugetlb and THP settings alone")
    group.addoption("--wait", metavar="SECONDS", type=float, default=900.0, help="for another run on this machine")
    group.addoption("--scratch", metavar="DIR", help="a directory on a real file system for mapped files")
    group.addoption("--dangerous", action="store_true", help="run tests that may hang a kernel with a known defect")
    group.addoption("--no-errata", action="store_true", help="known defects fail: to bisect for one, say")
    group.addoption("--exhaustive", action="store_true", help="masks: all bits the kernel knows, all return masks")
    group.addoption("--depth", metavar="N", type=int, default=2, help="all programs of so many operations: 2")
    group.addoption("--programs", metavar="N", type=int, default=40, help="so many random programs: 40")
    group.addoption("--seconds", metavar="N", type=float, help="random programs for so long, on all workers")
    group.addoption("--seed", metavar="N", type=int, default=0, help="other random programs than those of 0")
    group.addoption("--write-c", metavar="DIR", help="write a C program of each test that runs")
    group.addoption("--failures", metavar="DIR", default="failures", help="where C programs of failures are written")
    group.addoption("--write-suite", metavar="FILE", help="write one C program of the suite (with --stub faithful)")
    group.addoption(
        "--stub-pages",
        metavar="BYTESxCOUNT",
        default=PAGES,
        help=f"bytes of a stub's page, and pages of its huge page: {PAGES} when not given",
    )
    group.addoption(
        "--stub",
        metavar="NAME",
        help="test a stub kernel instead of the running one: the model, or the model with deviations: faithful, or "
        "names of suites/errata and helpers/tests/faults with + between",
    )
