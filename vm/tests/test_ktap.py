"""What the C program says on a console, read."""

from __future__ import annotations

from vm.results.ktap import outcomes

SAID = """\
[    3.1] KTAP version 1
1..1
    KTAP version 1
    1..4
    ok 1 - test_a.py::one
    # 4096 mask combinations proven
    ok 2 test_a.py::two
    # erratum stale-walk-end
    # two of them
    ok 3 - test_a.py::three # XFAIL
    # no pool
    ok 4 - test_a.py::four # SKIP
    not ok 5 - test_a.py::five
# Totals: pass:2 fail:1 xfail:1 xpass:0 skip:1 error:0
"""


def test_each_result_has_its_outcome_and_what_was_said_before_it() -> None:
    assert list(outcomes(SAID.splitlines())) == [
        ("test_a.py::one", "passed", "", 0),
        ("test_a.py::two", "passed", "# 4096 mask combinations proven", 4096),
        ("test_a.py::three", "xfailed", "# erratum stale-walk-end\n# two of them", 0),
        ("test_a.py::four", "skipped", "# no pool", 0),
        ("test_a.py::five", "failed", "", 0),
    ]
