"""A program as a test function, to be pasted into a suite."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from helpers.operations import Operation

#: In which module a test finds what a program is written with.
_MODULES = {"Category": "helpers.interface.uapi", "ScanFlag": "helpers.interface.uapi"}


def as_test(program: Sequence[Operation], name: str = "test_found_by_a_search") -> str:
    """The source of a test that runs the program: it fails where the program's last answer isn't what is expected.

    The clauses that it names are for its author to choose.
    """
    body = [f"    lab.do({source(operation)})" for operation in program]
    names = sorted({name for operation in program for name in _names(operation)})
    by_module: dict[str, list[str]] = {"helpers.lab": ["Lab"]}
    for one in names:
        by_module.setdefault(_MODULES.get(one, "helpers.operations"), []).append(one)
    imports = [f"from {module} import {', '.join(some)}" for module, some in sorted(by_module.items())]
    lines = [
        "import pytest",
        "",
        *imports,
        "",
        "",
        '@pytest.mark.clause("categories")',
        f"def {name}(lab: Lab) -> None:",
    ]
    return "\n".join([*lines, *body])


def source(value: Any) -> str:
    """A value as the expression that makes it."""
    if is_dataclass(value):
        given = ((one.name, getattr(value, one.name), one.default) for one in fields(value))
        told = ", ".join(f"{name}={source(one)}" for name, one, default in given if one != default)
        return f"{type(value).__name__}({told})"
    if isinstance(value, enum.Flag):
        return " | ".join(f"{type(value).__name__}.{one.name}" for one in value) or f"{type(value).__name__}(0)"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, tuple):
        name = type(value).__name__ if hasattr(value, "_fields") else ""
        return f"{name}({', '.join(map(source, value))}{',' * (not name and len(value) == 1)})"
    return repr(value)


def _names(value: Any) -> Iterable[str]:
    """The names of the types that the expression uses."""
    if is_dataclass(value):
        yield type(value).__name__
        for one in fields(value):
            if getattr(value, one.name) != one.default:
                yield from _names(getattr(value, one.name))
    elif isinstance(value, enum.Enum):
        yield type(value).__name__
    elif isinstance(value, tuple):
        if hasattr(value, "_fields"):
            yield type(value).__name__
        for part in value:
            yield from _names(part)
