"""Programs that nobody wrote: whatever is done to memory, every answer is the contract's."""

from collections.abc import Callable

import pytest

from helpers.exploration.breadth import ALL_KINDS, MANY_PAGES, Breadth
from helpers.exploration.judge import Tally
from helpers.exploration.settings import SETTINGS, Setting
from helpers.plugins.exploration import Explorer, properties_of
from helpers.plugins.order import workers

#: Into so many tests the programs of a setting are divided, by their first letter, where they are more than two long.
BLOCKS = 20
#: Seconds for the programs of a test where they are longer than two; a letter more makes it some forty times as many.
LIMIT, LIMIT_OF_LONGER = 1_800, 36_000
#: Into so many tests random programs are divided; where they have a time, one takes so many seconds.
CHUNKS, SECONDS = 8, 15.0
#: Seconds for one of these, in which a program that differs is shrunk, in an emulated machine as well.
LIMIT_OF_CHUNK = 900
#: How many random programs of a thousand are drawn how wide.
BREADTHS = {"all-kinds": (ALL_KINDS, 850), "many-pages": (MANY_PAGES, 150)}

whatever = pytest.mark.clause("categories", "selection", "output", "protect-reported", "second-witness")


def divided(config: pytest.Config) -> list[object]:
    """The settings, with the place of the first letter of their programs, and how many places there are."""
    depth = config.getoption("depth")
    blocks = 1 if depth <= 2 else BLOCKS
    # Of short ones, what every test has is enough, which is more in an emulated machine.
    limit = [pytest.mark.timeout(LIMIT if depth == 3 else LIMIT_OF_LONGER)] if depth > 2 else []
    return [
        pytest.param(
            setting,
            (block, blocks),
            id=f"{setting}-{block}" if blocks > 1 else str(setting),
            marks=[pytest.mark.needs(*setting.needs), *limit],
        )
        for setting in SETTINGS
        for block in range(blocks)
    ]


def chunks(config: pytest.Config) -> int:
    """Into how many tests random programs are divided."""
    seconds = config.getoption("seconds")
    return CHUNKS if seconds is None else max(1, round(seconds / SECONDS)) * workers(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "block" in metafunc.fixturenames:
        metafunc.parametrize(("setting", "block"), divided(metafunc.config))
    elif "chunk" in metafunc.fixturenames:
        metafunc.parametrize("chunk", range(chunks(metafunc.config)))


def record(tally: Tally, record_property: Callable[[str, object], None]) -> None:
    for name, count in properties_of(tally).items():
        record_property(name, count)


@whatever
@pytest.mark.first
@pytest.mark.python_only("programs by the hundred, which are made as they run")
@pytest.mark.parametrize(
    "setting", [pytest.param(one, marks=pytest.mark.needs(*one.needs)) for one in SETTINGS], ids=str
)
def test_every_program_of_one_operation(
    explorer: Explorer, setting: Setting, record_property: Callable[[str, object], None]
) -> None:
    """For itself and before the others, since it is what finds most."""
    search = explorer.search(setting)
    tally = search.all_of(1)
    record(tally, record_property)
    assert tally.programs == len(search.alphabet) == tally.ran + tally.unspecified + tally.passed_over
    assert tally.ran > 0


@whatever
@pytest.mark.first
@pytest.mark.python_only("programs by the thousand, which are made as they run")
def test_every_short_program(
    explorer: Explorer,
    setting: Setting,
    block: tuple[int, int],
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    """Of two operations and, with --depth, of more."""
    search = explorer.search(setting)
    depth, (place, blocks) = pytestconfig.getoption("depth"), block
    if depth < 2:
        pytest.skip("--depth=1 asks for programs of one operation alone")
    first = range(place, len(search.alphabet), blocks)
    tally = search.all_of(depth, first, shortest=2)
    record(tally, record_property)
    assert tally.programs == len(first) * sum(len(search.alphabet) ** more for more in range(1, depth))
    assert tally.programs == tally.ran + tally.unspecified + tally.passed_over
    assert tally.ran > 0


@whatever
@pytest.mark.timeout(LIMIT_OF_CHUNK)
@pytest.mark.python_only("programs by the hundred, which are made as they run")
@pytest.mark.parametrize(("breadth", "share"), BREADTHS.values(), ids=BREADTHS)
def test_random_programs(
    explorer: Explorer,
    breadth: Breadth,
    share: int,
    chunk: int,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    of_all = share / 1000 / chunks(pytestconfig)
    programs, seconds = (pytestconfig.getoption(name) for name in ("programs", "seconds"))
    search = explorer.random_search(breadth, replays=chunk == 0)
    seed = (pytestconfig.getoption("seed") * 1_000 + chunk) * 1_000
    tally = search.run(seed, max(1, round(programs * of_all)), seconds and seconds * workers(pytestconfig) * of_all)
    record(tally, record_property)
    assert tally.programs == tally.ran > 0
