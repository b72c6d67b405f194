"""A scan protects too much, too little, or when it shouldn't."""

from __future__ import annotations

from helpers.deviations import Deviation
from helpers.model import Argument, Page, Refused, Space
from helpers.model.bits import WP_MATCHING, WPALLOWED, WRITTEN
from helpers.model.walk import Walk
from helpers.operations import Scan, Span


class DoesNotProtect(Deviation):
    """WP_MATCHING does nothing."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        super().protect(space, [])


class ProtectsOneTooMany(Deviation):
    """The page behind the last one that was reported is protected too: a lost write."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        following = [numbers[-1] + 1] if numbers and numbers[-1] + 1 in space else []
        super().protect(space, numbers + following)


class ProtectsOneTooFew(Deviation):
    """The last page that was reported isn't protected."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        super().protect(space, numbers[:-1])


class ProtectsWithoutBeingAsked(Deviation):
    """A scan that only gets protects all the same."""

    def must_protect(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        asked = super().must_protect(walk, number, page, categories)
        return asked or bool(categories & WRITTEN and categories & WPALLOWED)


class ProtectsOnlyWithVec(Deviation):
    """WP_MATCHING without a vec does nothing."""

    def must_protect(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        asked = super().must_protect(walk, number, page, categories)
        return asked and walk.argument.vec_len is not None


class ProtectsPagesBeforeCheckingVec(Deviation):
    """An argument error comes after the protection was applied."""

    def checked(self, op: Scan) -> Argument:
        try:
            return super().checked(op)
        except Refused:
            for number in op.span.pages():
                if op.flags & WP_MATCHING and number in self.memory:
                    self.memory[number].protected = True
            raise


class SplittingSharedHugePagesProtectsAll(Deviation):
    """Protecting a part of a huge page of shared memory protects the rest too: a lost write."""

    def split(self, space: Space, unit: Span) -> None:
        was_huge_of_file = space[unit.start].is_huge_of_file if unit.start in space else False
        super().split(space, unit)
        for number in unit.pages() if was_huge_of_file else ():
            space[number].protected = True
