"""The scan: the walk, what it selects, protects and reports."""

from __future__ import annotations

import errno

from helpers.interface.uapi import category
from helpers.model.argument import REGION_SIZE, SCAN_ARG_SIZE, Argument, Arguments
from helpers.model.bits import CHECK_WPASYNC, HUGE, WP_MATCHING, WRITTEN
from helpers.model.categories import Categories
from helpers.model.facts import Refused, Unspecified
from helpers.model.output import Output
from helpers.model.pages import Page, Space
from helpers.model.processes import Processes
from helpers.model.walk import Walk
from helpers.operations import Scan, ScanResult, Span, names_of


class Scanning(Arguments, Categories, Processes):
    """PAGEMAP_SCAN."""

    def scan(self, op: Scan) -> ScanResult:
        output = Output(None, 0)
        try:
            argument = self.checked(op)
            output = Output(argument.vec_len, argument.max_pages)
            walk = Walk(self.space_of(op), argument, output)
            try:
                walk_end = self.walk(walk)
            except Refused:
                # (code) What was reported before an abort is in vec, and protected.
                self.protect(walk.space, walk.matched)
                raise
            self.deliver(op, walk, walk_end)
            self.protect(walk.space, walk.matched)
            self.store_vec(argument, output)
        except Refused as refused:
            regions = output.regions if refused.walk_end is not None else []
            return ScanResult(-refused.errno, tuple(regions), refused.walk_end)
        return ScanResult(len(output.regions), tuple(output.regions), walk_end)

    # --- The walk ---------------------------------------------------------------------------------------

    def walk(self, walk: Walk) -> int:
        """From start to where the walk stops; the pages to protect are added to ``walk.matched``."""
        number = walk.argument.start
        while number < walk.argument.end:
            page = walk.space.get(number)
            if page is None or not self.may_visit(walk, number, page):
                number += 1
                continue
            number, goes_on = self.visit(walk, number, page)
            if not goes_on:
                return number
        return self.exhausted(walk)

    def exhausted(self, walk: Walk) -> int:
        """walk_end when the whole range was scanned."""
        return walk.argument.end

    def may_visit(self, walk: Walk, number: int, page: Page) -> bool:
        if page.tracking.is_asynchronous:
            return True
        if walk.argument.flags & CHECK_WPASYNC:
            raise Refused(errno.EPERM, walk_end=number)
        # (code) WP_MATCHING passes over what can't be protected asynchronously.
        return not walk.argument.flags & WP_MATCHING

    def visit(self, walk: Walk, number: int, page: Page) -> tuple[int, bool]:
        """The entry of a page, or of a huge page. Returns where the walk is then, and whether it goes on."""
        argument, output = walk.argument, walk.output
        end = min(self.unit(number).end, argument.end) if page.huge else number + 1
        categories = walk.split.get(number)
        if categories is None:
            categories = self.decided(walk, number, page)
        if not self.selects(walk, number, page, categories):
            return end, True
        told = categories & argument.returned
        accepted = output.room(number, end, told)
        if accepted > number:
            if self.must_protect(walk, number, page, categories):
                if page.huge and not self.is_whole(page, Span(number, accepted)):
                    return self.protect_part(walk, Span(number, end), accepted, categories)
                walk.matched.extend(range(number, accepted))
            output.add(number, accepted, told)
        return accepted, accepted == end

    def is_whole(self, page: Page, span: Span) -> bool:
        """Whether these are all pages of a huge one."""
        return span == self.unit(span.start)

    def protect_part(self, walk: Walk, entry: Span, accepted: int, categories: int) -> tuple[int, bool]:
        """A part of a huge page is to be protected: the pages of the entry up to ``accepted``."""
        if walk.space[entry.start].backing.is_hugetlb:
            return entry.start, False  # A part of it can't be protected: the walk stops before it.
        # Splitting is how a part is protected; what the pages are, they stay, but for HUGE.
        unit = self.unit(entry.start)
        walk.split.update(dict.fromkeys(unit.pages(), categories & ~HUGE))
        self.split(walk.space, unit)
        return entry.start, True

    # --- Selection --------------------------------------------------------------------------------------

    def decided(self, walk: Walk, number: int, page: Page) -> int:
        """The page's categories, as far as the scan asks for them. Raises Unspecified where no document decides."""
        categories = self.found(walk, number, page)
        if undecided := self.undecided(page):
            self.must_not_matter(walk.argument, categories, undecided, number)
        return categories

    def found(self, walk: Walk, number: int, page: Page) -> int:
        """The page's categories."""
        return self.categories(page)

    def must_not_matter(self, argument: Argument, categories: int, undecided: int, number: int) -> None:
        """Raises Unspecified when the answer depends on categories that are undecided, whatever the others are."""
        answers, chosen = set(), undecided
        while True:
            told = categories & ~undecided | chosen
            selected = self.is_selected(told, argument)
            answers.add((selected, told & argument.returned if selected else 0))
            if not chosen:
                break
            chosen = (chosen - 1) & undecided
        if len(answers) > 1:
            raise Unspecified(f"whether page {number} is {names_of(category(undecided))}")

    def selects(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        return self.is_selected(categories, walk.argument)

    def is_selected(self, categories: int, argument: Argument) -> bool:
        """linux/fs.h, struct pm_scan_arg: category_inverted, category_mask, category_anyof_mask."""
        categories ^= argument.inverted
        if categories & argument.mask != argument.mask:
            return False
        return not argument.anyof or bool(categories & argument.anyof)

    # --- Protection -------------------------------------------------------------------------------------

    def must_protect(self, walk: Walk, number: int, page: Page, categories: int) -> bool:
        return bool(walk.argument.flags & WP_MATCHING and categories & WRITTEN)

    def protect(self, space: Space, numbers: list[int]) -> None:
        for number in numbers:
            space[number].protected = True
            self.make_entry(space, number)

    # --- The answer -------------------------------------------------------------------------------------

    def deliver(self, op: Scan, walk: Walk, walk_end: int) -> None:
        """An answer that can't be delivered is EFAULT, and then no page is protected.

        Reporting and protecting are one atomic operation (pagemap.rst): never one without the other.
        """
        argument, output = walk.argument, walk.output
        size = len(output.regions) * REGION_SIZE
        if argument.vec is not None and size and not self.is_mapped(argument.vec, size, for_writing=True):
            output.regions.clear()
            raise Refused(errno.EFAULT, walk_end)  # (code) walk_end is written all the same.
        place = dict(op.raw).get("arg")
        if place is not None and not self.is_mapped(place, SCAN_ARG_SIZE, for_writing=True):
            raise Refused(errno.EFAULT)

    def store_vec(self, argument: Argument, output: Output) -> None:
        """vec is memory too: where it lies in tracked pages, these are written."""
        size = len(output.regions) * REGION_SIZE
        if argument.vec is None or not size:
            return
        last = argument.vec.page + (argument.vec.offset + size - 1) // self.facts.page_size
        for number in range(argument.vec.page, last + 1):
            self.fault_in(number, write=True)
