"""A second witness: what the scan says against what read(2) of /proc/self/pagemap says."""

import pytest

from helpers.interface.uapi import Category, PagemapBit, ScanFlag
from helpers.kinds import KINDS, Kind
from helpers.lab import Lab

PAIRS = {
    Category.PRESENT: PagemapBit.PRESENT,
    Category.SWAPPED: PagemapBit.SWAPPED,
    Category.FILE: PagemapBit.FILE,
    Category.GUARD: PagemapBit.GUARD,
}


@pytest.mark.clause("second-witness")
@pytest.mark.parametrize("state", ["never-protected", "protected", "partly-written"])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_scan_says_what_pagemap_says(lab: Lab, kind: Kind, state: str) -> None:
    span = lab.prepare(kind)
    if state != "never-protected":
        lab.scan(span, ScanFlag.WP_MATCHING, mask=Category.WRITTEN)
    if state == "partly-written" and kind.is_accessible:
        lab.write((span.start + 1, span.end) if kind.name == "thp-zero" else span.start + 1)
    entries = lab.read_pagemap(span)
    for region in lab.scan(span).regions:
        for entry in entries[region.start - span.start : region.end - span.start]:
            assert (PagemapBit.UFFD_WP in entry) != (Category.WRITTEN in region.categories)
            for category, bit in PAIRS.items():
                if category in lab.all and not (kind.backing.is_hugetlb and category is Category.SWAPPED):
                    assert (bit in entry) == (category in region.categories), category
