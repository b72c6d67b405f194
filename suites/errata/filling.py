"""What the owner of a userfaultfd puts somewhere isn't reported."""

from __future__ import annotations

from helpers.deviations import Erratum, Harm
from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Content, Page
from helpers.operations import Span


class MovedInFromSwapStaysProtected(Erratum):
    """A page in swap that is protected stays so where UFFDIO_MOVE moves it to: that it came there is reported to
    nobody."""

    clauses = ("moved-in", "written-since-protected")
    harm = Harm.LOSES_WRITES
    evidence = (
        "move_swap_pte() in mm/userfaultfd.c puts the entry where it is moved to with the bit that says that it was "
        "protected where it was; move_present_ptes(), for pages that aren't in swap, makes an entry without it"
    )
    needs = ("UFFDIO_MOVE", "swap")

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.prepare(BY_NAME["anon-swapped"])
        lab.map((16, 22))
        lab.register((16, 22))
        lab.write((18, 20))
        for protected in span, Span(18, 20):
            lab.scan(protected, ScanFlag.WP_MATCHING, mask=Category.WRITTEN)
        for place, source in {16: 18, 17: span.start}.items():
            lab.move_in(place, source)
        lab.scan((16, 22), mask=Category.WRITTEN, returned=Category.WRITTEN)

    def move_page(self, place: Page, page: Page) -> None:
        stays = page.protected and page.content is Content.SWAPPED
        super().move_page(place, page)
        place.protected = place.protected or stays
