"""Kinds of memory in C: the table of them, and sets of them, a bit for each."""

from __future__ import annotations

from collections.abc import Iterable

from helpers.c_source.abbreviations import definitions, shortened
from helpers.c_source.constants import BACKINGS
from helpers.c_source.known import identifier
from helpers.c_source.lines import wrapped
from helpers.c_source.record import Preparation, Record
from helpers.c_source.values import categories, pagemap_bits
from helpers.kinds import KINDS, Kind
from helpers.operations import Backing


def _is_of_a_file(kind: Kind) -> bool:
    """Whether what is mapped are pages of a file, be it one without a name."""
    only_read = kind.backing.has_file and not kind.backing.is_hugetlb and kind.populate == ("read",)
    return only_read or (kind.shared and kind.is_populated)


#: Kinds that have something in common, by the name of their set in C.
SETS = {
    "EVERY_KIND": {kind.name for kind in KINDS},
    "POPULATED": {kind.name for kind in KINDS if kind.is_populated},
    "ACCESSIBLE": {kind.name for kind in KINDS if kind.is_accessible},
    "WRITTEN_PAGES": {kind.name for kind in KINDS if not kind.is_huge and kind.populate[-1:] == ("write",)},
    "FILE_PAGES": {kind.name for kind in KINDS if _is_of_a_file(kind)},
    "EMPTY_SHARED": {kind.name for kind in KINDS if kind.shared and not kind.is_populated},
    "SHARED_FILE": {f"{name}-shared" for name in ("memfd", "tmpfs", "file")},
    "PRIVATE_FILE": {f"{name}-private" for name in ("memfd", "tmpfs", "file")},
    "COPIED_FILE": {f"{name}-private-copied" for name in ("memfd", "tmpfs", "file")},
    "ON_A_DISK": {kind.name for kind in KINDS if kind.backing is Backing.FILE},
    "ANY_THP": {kind.name for kind in KINDS if kind.is_huge and not kind.backing.is_hugetlb},
    "ANY_HUGETLB": {kind.name for kind in KINDS if kind.backing.is_hugetlb},
}


def _members(kinds: set[str]) -> list[str]:
    """Names of sets and of kinds that make up these kinds."""
    found = []
    for name, members in sorted(SETS.items(), key=lambda item: -len(item[1])):
        if len(members) > 1 and members <= kinds:
            found.append(name)
            kinds = kinds - members
    return found + [identifier(kind.name) for kind in KINDS if kind.name in kinds]


def union(kinds: set[str]) -> str:
    """A set of kinds as an expression in C, as short as can be."""
    told = [" | ".join(_members(kinds)) or "NO_KIND"]
    for name in ("EVERY_KIND", "POPULATED", "ACCESSIBLE"):
        if kinds < SETS[name]:
            without = _members(SETS[name] - kinds)
            told.append(f"{name} & ~{without[0]}" if len(without) == 1 else f"{name} & ~({' | '.join(without)})")
    return min(told, key=len)


_STEPS = {"read": "READ", "write": "WRITE", "mprotect none": "PROTECT_NONE", "guard": "MADV_GUARD_INSTALL"}


def _members_of(name: str) -> str:
    if name == "EVERY_KIND":
        return f"(1 << {len(KINDS)}) - 1"
    members, without = (
        " | ".join(identifier(kind.name) for kind in KINDS if (kind.name in SETS[name]) == inside)
        for inside in (True, False)
    )
    return min(members, f"EVERY_KIND & ~({without})", key=len)


def table(records: Iterable[Record]) -> str:
    """The table of the kinds of memory, and the names of kinds and of sets of them."""
    found: dict[str, set[Preparation]] = {}
    for record in records:
        for prepared in record.prepared:
            found.setdefault(prepared.kind.name, set()).add(Preparation.of(prepared, record.steps))
    rows = []
    for number, kind in enumerate(KINDS):
        if kind.name not in found:
            continue  # Of a part of the suite. Its bit stays its own: what is said by kinds is the same everywhere.
        [told] = found[kind.name]
        steps = ", ".join(_STEPS.get(step, f"MADV_{step.upper()}") for step in kind.populate) or "0"
        sharing = "MAP_SHARED" if kind.shared else "MAP_PRIVATE"
        rows.append(
            f'[{number}] = {{ "{kind.name}", {told.pages}, {BACKINGS[kind.backing]}, {sharing}, {{ {steps} }}, '
            f"{shortened(categories(told.categories))}, {pagemap_bits(told.state)}, {told.huge or -1} }},"
        )
    names = [f"{identifier(kind.name)} = 1 << {number}" for number, kind in enumerate(KINDS)]
    sets = [f"{name} = {_members_of(name)}" for name in SETS]
    enumerators = "\n".join(wrapped(f"{one},") for one in (", ".join(names), *sets))
    rows_of_table = "\n".join(map(wrapped, rows))
    return f"""\
{definitions()}

/* Sets of kinds of memory, a bit for each. */
enum {{
{enumerators}
}};

static const struct kind kinds[] = {{
{rows_of_table}
}};
"""
