"""The contract as a pure function: page states and an operation in, the answer and new page states out.

Written from the documents (``Documentation/admin-guide/mm/pagemap.rst``, ``userfaultfd.rst``, the manual
page PAGEMAP_SCAN(2const), ``linux/fs.h``), not from watching a kernel. Where they are silent and the code of
Linux is followed instead, a comment says *(code)*. No system calls, no pytest.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from helpers.interface.uapi import PM_SCAN_ARG_FIELDS, Category, PagemapBit, ScanFlag, category, pagemap_bit
from helpers.operations import (
    Advice,
    Advise,
    At,
    Backing,
    ClearRefs,
    CloseUserfaultfd,
    FileWrite,
    Fork,
    KernelWrite,
    KillChild,
    Map,
    Move,
    Prot,
    Protection,
    PunchHole,
    Read,
    ReadPagemap,
    ReadUsage,
    Region,
    Register,
    RwProtect,
    Scan,
    ScanResult,
    Span,
    Target,
    Tracking,
    Truncate,
    Unmap,
    Unregister,
    Usage,
    Write,
    WriteProtect,
)

SCAN_ARG_SIZE = 8 * len(PM_SCAN_ARG_FIELDS)
REGION_SIZE = 24
#: Where the model's arena begins: any address that a process may use.
BASE = 1 << 36
#: No architecture gives a process addresses from here on.
USER_END = 1 << 63
ADDRESSES = 1 << 64


# The bits as plain numbers: the enumerations are for reading, and slow to compute with.
WPALLOWED = Category.WPALLOWED.value
WRITTEN = Category.WRITTEN.value
FILE = Category.FILE.value
PRESENT = Category.PRESENT.value
SWAPPED = Category.SWAPPED.value
PFNZERO = Category.PFNZERO.value
HUGE = Category.HUGE.value
SOFT_DIRTY = Category.SOFT_DIRTY.value
GUARD = Category.GUARD.value
ACCESSED = Category.ACCESSED.value
WP_MATCHING = ScanFlag.WP_MATCHING.value
CHECK_WPASYNC = ScanFlag.CHECK_WPASYNC.value


class Unspecified(Exception):
    """A program asks for something of which neither the documents nor this model say what comes out."""


class Refused(Exception):
    """The scan ends with an error; ``walk_end`` is a page, None when the error came before the walk."""

    def __init__(self, number: int, walk_end: int | None = None) -> None:
        super().__init__(errno.errorcode[number])
        self.errno = number
        self.walk_end = walk_end


@dataclass(frozen=True)
class Facts:
    """What has to be known of the kernel and the machine to say what is expected. All of it is probed.

    ``known``: the categories the kernel accepts. ``written_needs_registration``: WRITTEN is reported only in
    memory registered for write protection (documented since ACCESSED came: subject "userfaultfd: RWP");
    before, never having been protected was enough.
    """

    page_size: int = 4096
    pages_per_huge_page: int = 512
    known: Category = Category(0x3FF)
    written_needs_registration: bool = False
    soft_dirty: bool = False


class Content(enum.Enum):
    """What stands in a page's table entry, as far as a process can tell."""

    NONE = "unpopulated"
    PRESENT = "present"
    ZERO = "the zero page"
    SWAPPED = "in swap"
    GUARD = "a guard region"
    POISONED = "lost with its frame"


@dataclass(slots=True)
class Page:
    """One page of the arena."""

    backing: Backing
    shared: bool
    prot: Prot
    file: str
    file_page: int
    tracking: Tracking = Tracking.NONE
    content: Content = Content.NONE
    #: The content belongs to this mapping alone, not to a file.
    anonymous: bool = False
    protected: bool = False
    #: Mapped as part of a huge page. For hugetlb always.
    huge: bool = False
    #: Emptied in a way that userfaultfd.rst calls dirtying.
    discarded: bool = False
    #: Shared memory whose content was reclaimed; the page tables don't know where it went.
    in_swap: bool = False
    #: A fault in an empty, aligned stretch maps a huge page (MADV_HUGEPAGE).
    wants_huge: bool = False
    #: The file's page is part of a huge page, which a fault in an empty, aligned stretch maps as a whole.
    is_of_huge_page: bool = False
    #: Mapped since soft-dirty bits were cleared, or part of a mapping that was expanded since.
    is_new: bool = True
    #: Its entry was written to since soft-dirty bits were cleared.
    dirtied: bool = False

    @property
    def is_private_anonymous(self) -> bool:
        return self.backing is Backing.ANON and not self.shared

    @property
    def is_populated(self) -> bool:
        """Whether there is something behind the entry, be it in swap."""
        return self.content not in (Content.NONE, Content.GUARD)

    @property
    def is_huge_of_file(self) -> bool:
        """Mapped as part of a transparent huge page that is a file's or shared memory's."""
        return self.huge and not self.is_private_anonymous and not self.backing.is_hugetlb

    def continues(self, other: Page) -> bool:
        """(code) Whether the mapping of this page is one with that of the page before it."""
        same = ("backing", "shared", "prot", "file", "tracking", "wants_huge")
        if any(getattr(self, name) != getattr(other, name) for name in same):
            return False
        return self.is_private_anonymous or (self.file != "" and self.file_page == other.file_page + 1)

    def drop(self, keep_protection: bool) -> None:
        """The entry is emptied; a protected page of a file keeps its protection as a marker."""
        self.content = Content.NONE
        self.anonymous = False
        self.huge = self.backing.is_hugetlb
        # userfaultfd.rst: what drops an entry drops the read-write protection with it.
        self.protected = self.protected and keep_protection and self.tracking is not Tracking.ACCESS
        # userfaultfd.rst: unlike protection, soft-dirty information is lost when an entry is zapped.
        self.dirtied = False


Space = dict[int, Page]


@dataclass(slots=True)
class Argument:
    """A valid ``pm_scan_arg``: the range in pages, the rest as in the operation."""

    start: int
    end: int
    flags: int
    mask: int
    anyof: int
    inverted: int
    returned: int
    max_pages: int
    vec_len: int | None
    vec: At | None


@dataclass(slots=True)
class Output:
    """The regions found so far, within the limits of vec_len and max_pages."""

    vec_len: int | None
    max_pages: int
    regions: list[Region] = field(default_factory=list)
    pages: int = 0

    def room(self, start: int, end: int, categories: int) -> int:
        """Up to which page of start..end there is room for pages of these categories."""
        if self.vec_len is None:
            return end
        if self.max_pages:
            end = min(end, start + self.max_pages - self.pages)
        return end if self.continues(start, categories) or len(self.regions) < self.vec_len else start

    def continues(self, start: int, categories: int) -> bool:
        """Whether pages from start on lengthen the last region."""
        return bool(self.regions and self.regions[-1].end == start and self.regions[-1].categories == categories)

    def add(self, start: int, end: int, categories: int) -> None:
        if self.vec_len is None:
            return
        self.pages += end - start
        if self.continues(start, categories):
            self.regions[-1] = self.regions[-1]._replace(end=end)
        else:
            self.regions.append(Region(start, end, category(categories)))


class Model(Target):
    """Memory as the documents promise it to be."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.known = facts.known.value
        self.memory: Space = {}
        self.child: Space | None = None
        self.has_child = False
        #: Whether soft-dirty bits were ever cleared: until then, everything is new.
        self.was_cleared = False

    def close(self) -> None:
        self.memory.clear()
        self.child = None

    # --- Looking up -------------------------------------------------------------------------------------

    def pages(self, span: Span) -> Iterator[Page]:
        """The mapped pages of a span; every page must be mapped."""
        for number in span.pages():
            if number not in self.memory:
                raise Unspecified(f"page {number} isn't mapped")
            yield self.memory[number]

    def pages_of_file(self, file: str, span: Span) -> Iterator[Page]:
        for page in self.memory.values():
            if page.file == file and page.file_page in span.pages():
                yield page

    def unit(self, number: int) -> Span:
        """The aligned stretch of a huge page around a page."""
        size = self.facts.pages_per_huge_page
        return Span(number // size * size, number // size * size + size)

    def split(self, space: Space, unit: Span) -> None:
        """A transparent huge page is mapped by small entries from now on.

        (code) That of a file or of shared memory isn't mapped at all, until a fault does it page by page.
        """
        for number in unit.pages():
            page = space.get(number)
            if page is None or not page.huge or page.backing.is_hugetlb:
                continue
            if page.is_huge_of_file:
                page.drop(keep_protection=False)
            page.huge = page.is_of_huge_page = False

    def split_at_borders(self, span: Span) -> None:
        """What is done to a part of a transparent huge page splits it."""
        for border in span:
            unit = self.unit(border)
            page = self.memory.get(border)
            if border != unit.start and page is not None and page.huge:
                self.split(self.memory, unit)

    # --- Mappings ---------------------------------------------------------------------------------------

    def map(self, op: Map) -> None:
        huge = op.backing.is_hugetlb
        for offset, number in enumerate(op.span.pages()):
            if number in self.memory:
                raise Unspecified(f"page {number} is mapped already")
            self.memory[number] = Page(
                op.backing,
                op.shared,
                op.prot,
                op.file,
                op.file_page + offset,
                huge=huge,
            )
        self.expand()

    def expand(self) -> None:
        """soft-dirty.rst: a mapping that is expanded is soft-dirty as a whole, as a new one is."""
        if not self.was_cleared:
            return
        runs: list[list[Page]] = []
        for number in sorted(self.memory):
            page = self.memory[number]
            if runs and number - 1 in self.memory and page.continues(runs[-1][-1]):
                runs[-1].append(page)
            else:
                runs.append([page])
        for run in runs:
            is_new = any(page.is_new for page in run)
            for page in run:
                page.is_new = is_new

    def unmap(self, op: Unmap) -> None:
        self.split_at_borders(op.span)
        for number in op.span.pages():
            del self.memory[number]

    def move(self, op: Move) -> None:
        """userfaultfd(2): without UFFD_FEATURE_EVENT_REMAP the new place isn't registered."""
        self.split_at_borders(op.span)
        for offset, number in enumerate(op.span.pages()):
            page = self.memory.pop(number)
            page.tracking, page.protected = Tracking.NONE, False
            # soft-dirty.rst: what is new in its place is soft-dirty. (code) An entry is; what has none isn't.
            page.dirtied = page.content is not Content.NONE
            self.memory[op.to + offset] = page
        self.expand()

    def mprotect(self, op: Protection) -> None:
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.prot = op.prot
        self.expand()

    def register(self, op: Register) -> None:
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.tracking = op.tracking

    def unregister(self, op: Unregister) -> None:
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.tracking, page.protected = Tracking.NONE, False

    def close_userfaultfd(self, op: CloseUserfaultfd) -> None:
        for page in self.memory.values():
            page.tracking, page.protected = Tracking.NONE, False

    def write_protect(self, op: WriteProtect) -> None:
        self.split_at_borders(op.span)
        for number in op.span.pages():
            if op.protect and number in self.memory and self.memory[number].is_huge_of_file:
                self.split(self.memory, self.unit(number))  # (code) So that each page can have a marker.
        for page in self.pages(op.span):
            page.protected = op.protect

    def rw_protect(self, op: RwProtect) -> None:
        """userfaultfd.rst: only what is populated can be protected from reading and writing."""
        self.split_at_borders(op.span)
        for page in self.pages(op.span):
            page.protected = page.is_populated

    # --- Access -----------------------------------------------------------------------------------------

    def read(self, op: Read) -> None:
        self.access(op.span, write=False)

    def write(self, op: Write) -> None:
        self.access(op.span, write=True)

    def kernel_write(self, op: KernelWrite) -> None:
        self.access(op.span, write=True)

    def access(self, span: Span, write: bool) -> None:
        """Each page is touched; of a huge page that stays one, the first touch does all there is to do."""
        number = span.start
        while number < span.end:
            self.fault_in(number, write)
            number = self.unit(number).end if self.memory[number].huge else number + 1

    def file_write(self, op: FileWrite) -> None:
        """write(2) on a file goes past the mappings: none of them records it."""

    def fault_in(self, number: int, write: bool) -> None:
        """A page is loaded from or stored to by a process that may."""
        page = self.memory[number]
        unusable = page.content in (Content.GUARD, Content.POISONED) or page.prot is Prot.NONE
        if unusable or (write and page.prot is Prot.READ):
            raise Unspecified(f"an access to page {number} is a fault that nothing handles")
        if page.tracking is Tracking.ACCESS and page.protected:
            # (code) One entry maps a huge page, and is accessible again as a whole.
            for part in self.pages(self.unit(number)) if page.huge else [page]:
                part.protected = False
        if page.huge and page.backing.is_hugetlb:
            for neighbour in self.unit(number).pages():
                self.populate(self.memory[neighbour], write)
        elif (page.wants_huge or page.is_of_huge_page) and self.is_empty(self.unit(number)):
            self.populate_huge(self.unit(number), write)
        else:
            if write and page.huge and page.content is Content.ZERO and not page.protected:
                raise Unspecified("whether a write to the huge zero page makes a huge page or a small one")
            if write and page.protected and page.is_huge_of_file and page.is_of_huge_page:
                # (code) It is mapped anew as a whole; more pages than were written are WRITTEN (pagemap.rst).
                for part in self.pages(self.unit(number)):
                    part.protected = False
            if write and page.huge and page.content is Content.PRESENT and not page.dirtied:
                # One entry maps the huge page, and it was written to (soft-dirty.rst).
                for part in self.pages(self.unit(number)):
                    part.dirtied = True
            if write and page.huge and page.protected:
                # (code) A write to a protected huge page splits it; only the page written is then WRITTEN.
                self.split(self.memory, self.unit(number))
            self.populate(page, write)

    def populate(self, page: Page, write: bool) -> None:
        page.in_swap = page.discarded = False
        if write:
            page.content = Content.PRESENT
            page.protected = False
            page.dirtied = True
            page.anonymous = page.anonymous or not page.shared
        elif page.content is Content.NONE and page.is_private_anonymous:
            page.content = Content.ZERO
        elif page.content is not Content.ZERO:
            # (code) Private hugetlb memory gets a page of its own at once, even for a hole in a file.
            page.anonymous = page.anonymous or (page.backing.is_hugetlb and not page.shared)
            page.content = Content.PRESENT

    def is_empty(self, unit: Span) -> bool:
        return all(
            number in self.memory
            and (self.memory[number].wants_huge or self.memory[number].is_of_huge_page)
            and self.memory[number].content is Content.NONE
            and not self.memory[number].protected
            for number in unit.pages()
        )

    def populate_huge(self, unit: Span, write: bool) -> None:
        for page in self.pages(unit):
            self.populate(page, write)
            page.huge = True
            page.is_of_huge_page = not page.is_private_anonymous

    # --- Advice and files -------------------------------------------------------------------------------

    def advise(self, op: Advise) -> None:
        self.split_at_borders(op.span)
        for number in op.span.pages():
            self.advise_page(op.advice, number, self.memory[number])
        if op.advice is Advice.COLLAPSE:
            self.populate_huge(op.span, write=False)

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        match advice:
            case Advice.DONTNEED if page.content is not Content.GUARD:
                # userfaultfd.rst: on anonymous memory treated as dirtying of it; a file's page keeps both.
                # (code) One entry maps a file's huge page, and a marker in its place there isn't.
                keeps = (page.shared or page.backing.has_file) and not page.is_huge_of_file
                page.drop(keep_protection=keeps)
                page.discarded = not page.protected
            case Advice.PAGEOUT:
                self.reclaim(page)
            case Advice.HUGEPAGE:
                page.wants_huge = True
            case Advice.NOHUGEPAGE:
                page.wants_huge = page.is_of_huge_page = False
            case Advice.GUARD_INSTALL if page.content is not Content.GUARD:
                page.drop(keep_protection=False)
                page.content = Content.GUARD
            case Advice.GUARD_REMOVE:
                if page.content is Content.GUARD:
                    page.content, page.protected = Content.NONE, False
            case Advice.FREE if page.content is Content.SWAPPED:
                page.drop(keep_protection=False)  # (code) There is no reason to keep what is in swap.
            case Advice.HWPOISON:
                # (code) An entry of its own stands for the page that was lost: not present, and not protected.
                page.drop(keep_protection=False)
                page.content = Content.POISONED
            case _:
                pass

    def reclaim(self, page: Page) -> None:
        """Anonymous content goes to swap; a file's page leaves the mapping, its protection stays."""
        if page.content is not Content.PRESENT or page.backing.is_hugetlb:
            return
        page.huge = False
        page.content = Content.SWAPPED if page.anonymous else Content.NONE
        page.dirtied = page.dirtied and page.anonymous  # userfaultfd.rst: lost when an entry is zapped.
        if page.tracking is Tracking.ACCESS and not page.anonymous:
            page.protected = False  # userfaultfd.rst: there are no markers of read-write protection.
        page.in_swap = not page.anonymous and page.backing is not Backing.FILE

    def punch_hole(self, op: PunchHole) -> None:
        """userfaultfd.rst: MADV_REMOVE, which is the same, drops the protection. Private copies stay."""
        for page in self.pages_of_file(op.file, op.span):
            if not page.anonymous:
                page.drop(keep_protection=False)
                page.discarded = True

    def truncate(self, op: Truncate) -> None:
        """(code) Private copies go too. Protection stays, but that of hugetlb memory."""
        for page in self.pages_of_file(op.file, op.span):
            page.drop(keep_protection=not page.backing.is_hugetlb)
            page.discarded = False

    # --- Processes --------------------------------------------------------------------------------------

    def clear_refs(self, op: ClearRefs) -> None:
        """soft-dirty.rst: clears the soft-dirty bits of all the memory of the process."""
        self.was_cleared = True
        for page in self.memory.values():
            page.is_new = page.dirtied = False

    def fork(self, op: Fork) -> None:
        """userfaultfd(2): without UFFD_FEATURE_EVENT_FORK the child's memory isn't registered."""
        if not all(page.is_private_anonymous for page in self.memory.values()):
            raise Unspecified("what a fork copies of file mappings")
        self.has_child = True
        self.child = {
            number: replace(page, tracking=Tracking.NONE, protected=False) for number, page in self.memory.items()
        }

    def kill_child(self, op: KillChild) -> None:
        self.child = None

    # --- Other witnesses --------------------------------------------------------------------------------

    def read_pagemap(self, op: ReadPagemap) -> tuple[PagemapBit, ...]:
        return tuple(pagemap_bit(self.pagemap_bits(self.memory.get(number))) for number in op.span.pages())

    def pagemap_bits(self, page: Page | None) -> int:
        """pagemap.rst, "pagemap": the bits that say the same as a category."""
        if page is None:
            return 0
        bits = PagemapBit.SOFT_DIRTY.value if self.is_soft_dirty(page) else 0
        if page.protected:
            bits |= PagemapBit.UFFD_WP.value
        if page.content in (Content.PRESENT, Content.ZERO):
            bits |= PagemapBit.PRESENT.value
        elif not page.backing.is_hugetlb and self.is_not_present_entry(page):
            bits |= PagemapBit.SWAPPED.value
        if page.content is Content.PRESENT and not page.anonymous:
            bits |= PagemapBit.FILE.value
        if page.content is Content.GUARD:
            bits |= PagemapBit.GUARD.value
        return bits

    def read_usage(self, op: ReadUsage) -> Usage:
        pages = list(self.pages(op.span))
        return Usage(
            huge=sum(page.huge and page.content in (Content.PRESENT, Content.ZERO) for page in pages),
            swapped=sum(page.content is Content.SWAPPED or page.in_swap for page in pages),
        )

    # --- Categories and selection -----------------------------------------------------------------------

    def categories(self, page: Page) -> int:
        """The page's own categories (pagemap.rst, "Pagemap Scan IOCTL")."""
        found = 0
        if page.tracking is Tracking.ASYNC:
            found |= WPALLOWED
        if self.is_written(page):
            found |= WRITTEN
        if page.content is Content.PRESENT and not page.anonymous:
            found |= FILE
        if page.content in (Content.PRESENT, Content.ZERO):
            found |= PRESENT
        if self.is_not_present_entry(page):
            found |= SWAPPED
        if page.content is Content.ZERO:
            found |= PFNZERO
        if page.huge:
            found |= HUGE
        if self.is_soft_dirty(page):
            found |= SOFT_DIRTY
        if page.content is Content.GUARD:
            found |= GUARD
        if page.tracking is Tracking.ACCESS and page.is_populated and not page.protected:
            found |= ACCESSED  # pagemap.rst: accessed since protected; (code) or never protected.
        return found & self.known

    def is_soft_dirty(self, page: Page) -> bool:
        """soft-dirty.rst: written to since the bits were cleared, or new since then."""
        return self.facts.soft_dirty and (page.is_new or page.dirtied)

    def is_written(self, page: Page) -> bool:
        if page.protected or page.tracking is Tracking.ACCESS:
            return False  # pagemap.rst: WRITTEN is only said of what is registered in mode WP.
        if page.content is Content.NONE and page.backing.is_hugetlb:
            return page.discarded  # (code) An empty hugetlb entry is only HUGE.
        return page.tracking is not Tracking.NONE or not self.facts.written_needs_registration

    def is_not_present_entry(self, page: Page) -> bool:
        """(code) SWAPPED is said of every entry that isn't present: swap, a guard, a marker of protection."""
        if page.content is Content.NONE:
            return page.protected
        return page.content in (Content.SWAPPED, Content.GUARD, Content.POISONED)

    def is_selected(self, categories: int, argument: Argument) -> bool:
        """linux/fs.h, struct pm_scan_arg: category_inverted, category_mask, category_anyof_mask."""
        categories ^= argument.inverted
        if categories & argument.mask != argument.mask:
            return False
        return not argument.anyof or bool(categories & argument.anyof)

    # --- The scan ---------------------------------------------------------------------------------------

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

    def space_of(self, op: Scan) -> Space:
        if op.process == "self":
            return self.memory
        if not self.has_child:
            raise Unspecified("there is no child")
        if self.child is None:
            raise Refused(errno.ESRCH)
        return self.child

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

    def is_part_of_huge_page(self, page: Page, start: int, end: int) -> bool:
        return page.huge and Span(start, end) != self.unit(start)

    def must_protect(self, categories: int, argument: Argument) -> bool:
        return bool(argument.flags & WP_MATCHING and categories & WRITTEN)

    def protect(self, space: Space, numbers: list[int]) -> None:
        for number in numbers:
            space[number].protected = True

    # --- The argument -----------------------------------------------------------------------------------

    def checked(self, op: Scan) -> Argument:
        """The argument, refused in the order of the checks *(code)* when something is wrong with it."""
        raw = dict(op.raw)
        if "request" in raw:
            raise Refused(errno.EINVAL)
        if "arg" in raw and not self.is_mapped(raw["arg"], SCAN_ARG_SIZE):
            raise Refused(errno.EFAULT)
        if raw.get("size", SCAN_ARG_SIZE) != SCAN_ARG_SIZE:
            raise Refused(errno.EINVAL)
        flags = self.number(raw.get("flags", op.flags))
        if flags & ~(WP_MATCHING | CHECK_WPASYNC):
            raise Refused(errno.EINVAL)
        inverted = self.number(raw.get("category_inverted", op.inverted))
        mask = self.number(raw.get("category_mask", op.mask))
        anyof = self.number(raw.get("category_anyof_mask", op.anyof))
        returned = self.number(raw.get("return_mask", op.returned))
        if (inverted | mask | anyof | returned) & ~self.known:
            raise Refused(errno.EINVAL)
        start, end = self.checked_range(raw.get("start"), raw.get("end"), op.span)
        vec_len = self.number(raw.get("vec_len", op.vec_len or 0))
        vec = self.checked_vec(raw.get("vec"), vec_len, has_vec=op.vec_len is not None)
        max_pages = self.number(raw.get("max_pages", op.max_pages))
        return Argument(start, end, flags, mask, anyof, inverted, returned, max_pages, vec_len or None, vec)

    @staticmethod
    def number(value: int | At) -> int:
        if isinstance(value, At):
            raise Unspecified("an address where a number belongs")
        return int(value)

    def address(self, value: int | At) -> int:
        if isinstance(value, At):
            return (BASE + value.page * self.facts.page_size + value.offset) % ADDRESSES
        return value

    def checked_range(self, start: int | At | None, end: int | At | None, span: Span) -> tuple[int, int]:
        """The range in pages; end is rounded up *(code)*."""
        if start is None and end is None:
            return span
        size = self.facts.page_size
        first = self.address(At(span.start) if start is None else start)
        last = self.address(At(span.end) if end is None else end)
        if first % size:
            raise Refused(errno.EINVAL)
        if last < first or last > USER_END:
            raise Refused(errno.EFAULT)
        return (first - BASE) // size, -((BASE - last) // size)

    def checked_vec(self, vec: int | At | None, vec_len: int, has_vec: bool) -> At | None:
        is_null = vec == 0 if vec is not None else not has_vec
        if is_null and vec_len:
            raise Refused(errno.EINVAL)
        end = vec_len * REGION_SIZE + (self.address(vec) if vec is not None else 0)
        if not is_null and end > USER_END:
            raise Refused(errno.EFAULT)
        return vec if isinstance(vec, At) else None

    def is_mapped(self, place: int | At, length: int, for_writing: bool = False) -> bool:
        """Whether a process may load from, or store to, a place in the arena."""
        if not isinstance(place, At):
            return False
        last = At(place.page, place.offset + length - 1)
        for number in {place.page, place.page + last.offset // self.facts.page_size}:
            page = self.memory.get(number)
            if page is None or page.content is Content.GUARD or page.prot is Prot.NONE:
                return False
            if for_writing and page.prot is not Prot.WRITE:
                return False
        return True

    # --- The answer -------------------------------------------------------------------------------------

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
