"""Merging of equal pages (KSM) does what only a write may."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.deviations import Erratum, Harm
from helpers.kinds import BY_NAME
from helpers.lab import Lab
from helpers.model import Page
from helpers.operations import Advice, Advise, Answer

_EVIDENCE = (
    "replace_page() in mm/ksm.c (7.3) makes a new entry by mk_pte(), to which it takes over neither the bit of "
    "userfaultfd nor that of soft-dirty"
)


class _GivesPagesUp(Erratum):
    """Of equal pages, the second becomes the one that is kept, in its own entry: cmp_and_merge_page() finds the first
    when it comes to the second, and has the first replaced."""

    def given_up(self, op: Advise) -> Iterator[Page]:
        if op.advice is Advice.MERGEABLE:
            yield from (self.memory[number] for number in op.span.pages() if number != op.span.start + 1)


class MergingIsWriting(_GivesPagesUp):
    """KSM takes the protection off pages that it merges: they are WRITTEN, though nobody wrote to them."""

    clauses = ("merged-memory",)
    harm = Harm.REPORTS_MORE
    needs = ("ksm",)
    evidence = _EVIDENCE

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("ksm")
        span = lab.prepare(BY_NAME["anon"])
        lab.protect(span)
        lab.advise(span, Advice.MERGEABLE)
        lab.scan(span)

    def advise(self, op: Advise) -> Answer:
        answer = super().advise(op)
        for page in self.given_up(op):
            page.protected = False
        return answer


class MergingLosesSoftDirty(_GivesPagesUp):
    """A page that was written isn't SOFT_DIRTY any more once KSM has merged it."""

    clauses = ("merged-memory", "soft-dirty")
    harm = Harm.LOSES_WRITES
    needs = ("soft-dirty", "ksm")
    evidence = _EVIDENCE

    @staticmethod
    def probe(lab: Lab) -> None:
        lab.require("soft-dirty", "ksm")
        span = lab.prepare(BY_NAME["anon"])
        lab.clear_refs()
        lab.write(span)
        lab.advise(span, Advice.MERGEABLE)
        lab.scan(span)

    def advise(self, op: Advise) -> Answer:
        answer = super().advise(op)
        for page in self.given_up(op):
            page.dirtied = False
        return answer
