"""Merging of equal pages (KSM) does what only a write may."""

from __future__ import annotations

from helpers.deviations import Erratum
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Page
from helpers.operations import Advice

_EVIDENCE = (
    "replace_page() in mm/ksm.c (7.3) makes a new entry by mk_pte(), to which it takes over neither the bit of "
    "userfaultfd nor that of soft-dirty"
)


class MergingIsWriting(Erratum):
    """KSM takes the protection off pages that it merges: they are WRITTEN, though nobody wrote to them."""

    clauses = ("merged-memory",)
    needs = ("ksm",)
    evidence = _EVIDENCE

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("ksm")
        span = lab.prepare(BY_NAME["anon"])
        lab.protect(span)
        lab.advise(span, Advice.MERGEABLE)
        lab.scan((2, 8))

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        super().advise_page(advice, number, page)
        if advice is Advice.MERGEABLE:
            page.protected = False


class MergingLosesSoftDirty(Erratum):
    """A page that was written isn't SOFT_DIRTY any more once KSM has merged it."""

    clauses = ("merged-memory", "soft-dirty")
    needs = ("soft-dirty", "ksm")
    evidence = _EVIDENCE

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("soft-dirty", "ksm")
        span = lab.prepare(BY_NAME["anon"])
        lab.clear_refs()
        lab.write(span)
        lab.advise(span, Advice.MERGEABLE)
        lab.scan((2, 8))

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        super().advise_page(advice, number, page)
        if advice is Advice.MERGEABLE:
            page.dirtied = False
