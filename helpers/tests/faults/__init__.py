"""Faults that are planted to test the suite: each is one thing broken that the suite must notice."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from helpers.deviations import Deviation, name_of


def _all() -> Iterator[type[Deviation]]:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, Deviation) and found.__module__ == module.name:
                yield found


#: The faults by name.
FAULTS: dict[str, type[Deviation]] = {name_of(fault): fault for fault in _all()}
