"""Every short program: whatever is done to memory, every answer is the contract's."""

from collections.abc import Callable

import pytest

from helpers.exploration.settings import SETTINGS, Setting
from helpers.plugins.exploration import Explorer, properties_of

#: Into so many tests the programs of a setting are divided, by their first letter, where they are more than two long.
BLOCKS = 20
#: Seconds for the programs of a test, by how long they are at most; each letter more makes it some forty times as many.
LIMITS = {1: 120, 2: 120, 3: 600}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    depth = metafunc.config.getoption("depth")
    blocks = 1 if depth <= 2 else BLOCKS
    metafunc.parametrize(
        ("setting", "block"),
        [
            pytest.param(
                setting,
                (block, blocks),
                id=f"{setting}-{block}" if blocks > 1 else str(setting),
                marks=[pytest.mark.needs(*setting.needs), pytest.mark.timeout(LIMITS.get(depth, 36_000))],
            )
            for setting in SETTINGS
            for block in range(blocks)
        ],
    )


@pytest.mark.clause("categories", "selection", "output", "protect-reported", "second-witness")
@pytest.mark.python_only("programs by the thousand, which are made as they run")
def test_every_short_program(
    explorer: Explorer,
    setting: Setting,
    block: tuple[int, int],
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    search = explorer.search(setting)
    depth, (place, blocks) = pytestconfig.getoption("depth"), block
    first = range(place, len(search.alphabet), blocks)
    tally = search.all_of(depth, first)
    for name, count in properties_of(tally).items():
        record_property(name, count)
    assert tally.programs == len(first) * sum(len(search.alphabet) ** more for more in range(depth))
    assert tally.programs == tally.ran + tally.unspecified + tally.passed_over
    assert tally.ran > 0
