"""What is moved takes others with it."""

from __future__ import annotations

from helpers.deviations import Condition, Erratum, Harm
from helpers.interface.uapi import Category
from helpers.lab import Lab
from helpers.model import Content, Facts, Page, Unspecified
from helpers.operations import CloseUserfaultfd, Faults, Move, Operation, Span, Tracking, Unregister


def _moves(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, Move)


class MoveUnregistersNeighbours(Erratum):
    """Memory that mremap(2) moves to where it becomes one mapping with registered neighbours unregisters these, too:
    writes to them are lost."""

    clauses = ("remap", "written-since-protected")
    harm = Harm.LOSES_WRITES
    evidence = (
        "copy_vma() in mm/vma.c (6.12; mm/mremap.c calls it from move_vma()) merges what is moved with its new "
        "neighbours while it is still registered as they are, and mremap_userfaultfd_prep() in fs/userfaultfd.c then "
        "drops the registration of all that has become one mapping, without a word to their protection: memory that "
        "has had no content yet is moved so to anywhere, what maps a file to where the file goes on"
    )

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.map((0, 4))
        lab.register(span)
        lab.scan(span, mask=Category.WPALLOWED, returned=Category.WPALLOWED)
        lab.move((1, 2), to=4)
        lab.scan((0, 5), mask=Category.WPALLOWED, returned=Category.WPALLOWED)

    @classmethod
    def is_met_by(cls) -> Condition:
        return _moves

    def move_to(self, new: Span, op: Move) -> None:
        neighbours = self.become_one_with(new, op)
        super().move_to(new, op)
        for page in neighbours:
            page.tracking, page.faults = Tracking.NONE, Faults(0)

    def become_one_with(self, new: Span, op: Move) -> list[Page]:
        """The pages of mappings that what is moved merges with in its new place."""
        pages = [*self.pages(op.span)]
        if pages[0].tracking is Tracking.NONE or pages[0].backing.is_hugetlb:
            return []
        own = self.mapping_around(op.span.start)
        is_anonymous = any(page.was_anonymous for page in own)
        first, last = pages[0].copy(), pages[-1].copy()
        if first.is_private_anonymous and not is_anonymous:
            first.file_page, last.file_page = new.start, new.end - 1
        before, behind = self.memory.get(new.start - 1), self.memory.get(new.end)
        found = self.mapping_around(new.start - 1) if before is not None and first.continues(before) else []
        other = self.mapping_around(new.end) if behind is not None and behind.continues(last) else []
        if op.keeps_mapping and any(page is one for page in found + other for one in own):
            raise Unspecified("whether what is moved becomes one with what is left, which newer kernels refuse")
        sides = [is_anonymous, *(any(page.was_anonymous for page in side) for side in (found, other))]
        if sum(sides) > 1:
            raise Unspecified("whether mappings with different pages of their own become one")
        return found + other

    # What is left of protection where nothing is registered any more.

    def populate(self, page: Page, write: bool) -> None:
        is_left = page.protected and page.tracking is Tracking.NONE
        if is_left and page.huge:
            raise Unspecified("what a fault makes of a huge page that is protected and not registered")
        has_own_frame = page.shared or (page.anonymous and not page.of_child_too)
        stays = is_left and has_own_frame and page.content in (Content.PRESENT, Content.SWAPPED)
        super().populate(page, write)
        page.protected = page.protected or stays

    def unregister(self, op: Unregister) -> None:
        self.refuse_what_is_left([*self.pages(op.span)])
        super().unregister(op)

    def close_userfaultfd(self, op: CloseUserfaultfd) -> None:
        self.refuse_what_is_left([*self.memory.values()])
        super().close_userfaultfd(op)

    def refuse_what_is_left(self, pages: list[Page]) -> None:
        if any(page.protected and page.tracking is Tracking.NONE for page in pages):
            raise Unspecified("what becomes of protection that is left where nothing is registered")
