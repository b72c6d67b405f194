"""Short names for what a table of the suite names in every line."""

from __future__ import annotations

import re

_SHORT = {
    "A": "PAGE_IS_WPALLOWED",
    "W": "PAGE_IS_WRITTEN",
    "F": "PAGE_IS_FILE",
    "P": "PAGE_IS_PRESENT",
    "S": "PAGE_IS_SWAPPED",
    "Z": "PAGE_IS_PFNZERO",
    "H": "PAGE_IS_HUGE",
    "D": "PAGE_IS_SOFT_DIRTY",
    "G": "PAGE_IS_GUARD",
    "X": "PAGE_IS_ACCESSED",
    "WP": "PM_SCAN_WP_MATCHING",
    "CHECK": "PM_SCAN_CHECK_WPASYNC",
}


def shortened(statement: str) -> str:
    for short, name in _SHORT.items():
        statement = re.sub(rf"\b{name}\b", short, statement)
    return re.sub(r"REGIONS\(R\(0, END, ([^()]*)\)\)", r"WHOLE(\1)", statement)


def definitions() -> str:
    lines = [f"#define {short} {name}" for short, name in _SHORT.items()]
    return "\n".join([*lines, "#define WHOLE(categories) REGIONS(R(0, END, categories))"])
