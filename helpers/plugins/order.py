"""In which order tests come: what finds most first, what takes long or may end the run last."""

from __future__ import annotations

import pytest

#: The markers of what comes late, the last first.
_LATE = ("may_hang", "last")


def workers(config: pytest.Config) -> int:
    """How many processes share the run, as each of them knows it. The environment would tell a run inside a test of
    the workers of that test's run."""
    return int(getattr(config, "workerinput", {}).get("workercount", 1))


def dealt(items: list[pytest.Item], hands: int) -> list[pytest.Item]:
    """As cards are, and the hands one behind the other: each begins with what comes first.

    Where they don't come out even the last are larger, as pytest-xdist's stretches are.
    """
    return [item for first in reversed(range(hands)) for item in items[first::hands]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes many hours isn't part of a run that didn't ask for it.

    pytest-xdist gives each worker the tests of one stretch: the second of two would begin in the middle.
    """
    items.sort(key=lambda item: (not item.get_closest_marker("first"), *map(bool, map(item.get_closest_marker, _LATE))))
    if not config.getoption("exhaustive"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("exhaustive")])
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
    items[:] = dealt(items, workers(config))
