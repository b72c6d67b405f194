"""Defects of kernels that are known: each is a class that says what it does, with evidence, and finds itself out.

One that has a probe is told by it; then a kernel that has it conforms with known defects, as long as it answers exactly
as the contract with this erratum does. One without is history: no kernel at hand has it, or none that has it lives on.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from helpers.deviations import Erratum


def _of(module: str) -> list[type[Erratum]]:
    """The errata that a module defines, in their order."""
    found = vars(importlib.import_module(module)).items()
    own = [one for name, one in found if inspect.isclass(one) and one.__module__ == module and name[0] != "_"]
    return [one for one in own if issubclass(one, Erratum)]


def _all() -> Iterator[type[Erratum]]:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        yield from _of(module.name)


ERRATA: tuple[type[Erratum], ...] = tuple(_all())
