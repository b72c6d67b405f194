"""What the owner of a userfaultfd moves isn't recorded as it should be."""

from __future__ import annotations

from helpers.deviations import Deviation
from helpers.model import Content, Page
from helpers.operations import Answer, MoveIn, Refusal


class MovedInIsProtected(Deviation):
    """What was protected where it was stays so where it is moved to."""

    def move_page(self, place: Page, page: Page) -> None:
        was = page.protected
        super().move_page(place, page)
        place.protected = was


class MovedAwayStaysProtected(Deviation):
    """What was protected is so when its content has been moved away: that it is gone isn't recorded."""

    def move_page(self, place: Page, page: Page) -> None:
        was = page.protected
        super().move_page(place, page)
        page.protected = was


class MovedInTakesThePlaceOfPages(Deviation):
    """Pages are moved to where there are pages already."""

    def move_in(self, op: MoveIn) -> Answer:
        for page in self.pages(op.span):
            page.drop(keep_protection=False)
        return super().move_in(op)


class MovedInTakesPagesFromOthers(Deviation):
    """A page that a child has, too, is moved."""

    def refuses_move(self, place: Page, page: Page) -> Refusal | None:
        page.of_child_too = False
        was, self.has_child = self.has_child, False
        answer = super().refuses_move(place, page)
        self.has_child = was
        return answer


class MovedInFromNothingIsZero(Deviation):
    """Where there is no page to be moved, the zero page is."""

    def refuses_move(self, place: Page, page: Page) -> Refusal | None:
        if page.content is Content.NONE:
            page.hold(Content.ZERO)
        return super().refuses_move(place, page)
