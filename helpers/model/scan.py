"""The scan: the walk, what it selects, protects and reports."""

from __future__ import annotations

import errno

from helpers.model.access import Access
from helpers.model.argument import REGION_SIZE, SCAN_ARG_SIZE, Argument, Arguments
from helpers.model.bits import CHECK_WPASYNC, HUGE, WP_MATCHING, WRITTEN
from helpers.model.categories import Categories
from helpers.model.facts import Refused
from helpers.model.output import Output
from helpers.model.pages import Page, Space
from helpers.model.processes import Processes
from helpers.operations import Scan, ScanResult, Span, Tracking


class Scanning(Access, Arguments, Categories, Processes):
    """PAGEMAP_SCAN."""

    def scan(self, op: Scan) -> ScanResult:
        output = Output(None, 0)
        try:
            argument = self.checked(op)
            output = Output(argument.vec_len, argument.max_pages)
            space = self.space_of(op)
            matched: list[int] = []
            try:
                walk_end = self.walk(space, argument, output, matched)
            except Refused:
                # (code) What was reported before an abort is in vec, and protected.
                self.protect(space, matched)
                raise
            self.deliver(op, argument, output, walk_end)
            self.protect(space, matched)
            self.store_vec(argument, output)
        except Refused as refused:
            regions = output.regions if refused.walk_end is not None else []
            return ScanResult(-refused.errno, tuple(regions), refused.walk_end)
        return ScanResult(len(output.regions), tuple(output.regions), walk_end)

    def walk(self, space: Space, argument: Argument, output: Output, matched: list[int]) -> int:
        """From start to where the walk stops; the pages to protect are added to ``matched``."""
        split: dict[int, int] = {}
        number = argument.start
        while number < argument.end:
            page = space.get(number)
            if page is None or not self.may_visit(page, argument, number):
                number += 1
                continue
            end = self.end_of_entry(page, number, argument.end)
            categories = split.get(number, self.categories(page))
            if not self.is_selected(categories, argument):
                number = end
                continue
            accepted = output.room(number, end, categories & argument.returned)
            if accepted > number and self.must_protect(categories, argument):
                if self.is_part_of_huge_page(page, number, accepted):
                    if page.backing.is_hugetlb:
                        return number  # A part of it can't be protected: the walk stops before it.
                    # Splitting is how a part is protected; what the pages are, they stay, but for HUGE.
                    split.update(dict.fromkeys(self.unit(number).pages(), categories & ~HUGE))
                    self.split(space, self.unit(number))
                    continue
                matched.extend(range(number, accepted))
            if accepted > number:
                output.add(number, accepted, categories & argument.returned)
            if accepted < end:
                return accepted
            number = end
        return argument.end

    def may_visit(self, page: Page, argument: Argument, number: int) -> bool:
        if page.tracking is Tracking.ASYNC:
            return True
        if argument.flags & CHECK_WPASYNC:
            raise Refused(errno.EPERM, walk_end=number)
        # (code) WP_MATCHING passes over what can't be protected asynchronously.
        return not argument.flags & WP_MATCHING

    def end_of_entry(self, page: Page, number: int, end: int) -> int:
        return min(self.unit(number).end, end) if page.huge else number + 1

    def is_selected(self, categories: int, argument: Argument) -> bool:
        """linux/fs.h, struct pm_scan_arg: category_inverted, category_mask, category_anyof_mask."""
        categories ^= argument.inverted
        if categories & argument.mask != argument.mask:
            return False
        return not argument.anyof or bool(categories & argument.anyof)

    def is_part_of_huge_page(self, page: Page, start: int, end: int) -> bool:
        return page.huge and Span(start, end) != self.unit(start)

    def must_protect(self, categories: int, argument: Argument) -> bool:
        return bool(argument.flags & WP_MATCHING and categories & WRITTEN)

    def protect(self, space: Space, numbers: list[int]) -> None:
        for number in numbers:
            space[number].protected = True

    def deliver(self, op: Scan, argument: Argument, output: Output, walk_end: int) -> None:
        """An answer that can't be delivered is EFAULT, and then no page is protected.

        Reporting and protecting are one atomic operation (pagemap.rst): never one without the other.
        """
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
