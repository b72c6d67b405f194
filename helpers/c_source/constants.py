"""Constants that C has to know where no header tells them."""

from __future__ import annotations

from helpers.interface import uapi
from helpers.interface.uapi import PagemapBit
from helpers.model import Facts
from helpers.operations import Backing

#: Constants that only the kernel's headers have, or that a libc may be too old for.
_MACHINE = (
    "PAGEMAP_SCAN",
    "UFFDIO_API",
    "UFFDIO_REGISTER",
    "UFFDIO_UNREGISTER",
    "UFFDIO_WRITEPROTECT",
    "UFFDIO_COPY",
    "UFFDIO_CONTINUE",
    "UFFDIO_MOVE",
    "UFFDIO_POISON",
    "UFFDIO_ZEROPAGE",
)
_FALLBACKS = {
    **{name: text for name, text in uapi.MACHINE_CONSTANTS.items() if text and name not in _MACHINE},
    "FALLOC_FL_KEEP_SIZE": "1",
    "FALLOC_FL_PUNCH_HOLE": "2",
    "TMPFS_MAGIC": "0x01021994",
    "RAMFS_MAGIC": "0x858458f6",
    "OVERLAYFS_MAGIC": "0x794c7630",
}
BACKINGS = {
    Backing.ANON: "ANONYMOUS",
    Backing.MEMFD: "MEMFD",
    Backing.TMPFS: "TMPFS",
    Backing.FILE: "ON_DISK",
    Backing.HUGETLB: "HUGETLB",
    Backing.HUGETLB_MEMFD: "HUGETLB_MEMFD",
}


def constants(facts: Facts) -> dict[str, str]:
    """The definitions that no header is needed for, by name."""
    values = {
        "PAGE": f"{facts.page_size}",
        "HUGE_PAGE": f"((size_t)PAGE * {facts.pages_per_huge_page})",
        "HUGE_PAGE_SHIFT": f"{(facts.page_size * facts.pages_per_huge_page).bit_length() - 1}",
        "FIRST_CATEGORIES": f"{uapi.FIRST_CATEGORIES.value:#x}ULL",
        "NAMED_CATEGORIES": f"{sum(uapi.Category):#x}ULL",
        "MADE_FOR": f"{facts.known.value:#x}ULL",
        **{name: f"{value:#x}ULL" for name, value in uapi.CONSTANTS.items()},
        **{f"PM_{bit.name}": f"{bit.value:#x}ULL" for bit in PagemapBit},
        **{name: str(uapi.MACHINE_CONSTANTS[name]) for name in _MACHINE},
    }
    found = {name: f"#define {name} {value}" for name, value in values.items()}
    for number, backing in enumerate(BACKINGS.values()):
        found[backing] = f"#define {backing} {number}"
    for name, value in _FALLBACKS.items():
        found[name] = f"#ifndef {name}\n#define {name} {value}\n#endif"
    return found
