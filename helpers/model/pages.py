"""A page: what stands in its table entry, and what is known of it besides."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from helpers.model.facts import Unspecified
from helpers.operations import Backing, Faults, Prot, Tracking


class Content(enum.Enum):
    """What stands in a page's table entry, as far as a process can tell."""

    NONE = "unpopulated"
    PRESENT = "present"
    ZERO = "the zero page"
    SWAPPED = "in swap"
    GUARD = "a guard region"
    LOST = "lost with its frame"
    POISONED = "poisoned"


@dataclass(slots=True)
class Page:
    """One page of the arena."""

    backing: Backing
    shared: bool
    prot: Prot
    file: str
    file_page: int
    tracking: Tracking = Tracking.NONE
    #: Accesses that wait for the owner of the userfaultfd.
    faults: Faults = Faults(0)
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
    #: No huge page is to be made of it (MADV_NOHUGEPAGE).
    stays_small: bool = False
    #: The file's page is part of a huge page, which a fault in an empty, aligned stretch maps as a whole.
    is_of_huge_page: bool = False
    #: The same, of a page that is mapped page by page since something was done to a part of the huge page.
    was_huge_of_file: bool = False
    #: It, or another page of its mapping, had content of its own once, or a guard region, or was a huge zero page:
    #: (code) the mapping has an anon_vma. The contract doesn't read it: there are errata that do.
    was_anonymous: bool = False
    #: Mapped since soft-dirty bits were cleared, or part of a mapping that was expanded since.
    is_new: bool = True
    #: Its entry was written to since soft-dirty bits were cleared.
    dirtied: bool = False
    #: What may stand in the entry as well: no document decides between the two.
    alternative: Content | None = None
    #: It became part of a mapping that is new since soft-dirty bits were cleared: whether it is, no document says.
    may_be_new: bool = False
    #: Whether it is still mapped as part of a huge page, no document says.
    may_be_small: bool = False
    #: It holds more than zeros.
    stored: bool = False
    #: Its frame is part of a transparent huge page, however it is mapped.
    of_huge_frame: bool = False
    #: It may be dropped at any time, until it is written to (MADV_FREE).
    may_be_dropped: bool = False
    #: A child has the same frame, until one of the two writes to it.
    of_child_too: bool = False

    @property
    def is_private_anonymous(self) -> bool:
        return self.backing is Backing.ANON and not self.shared

    @property
    def is_populated(self) -> bool:
        """Whether there is something behind the entry, be it in swap."""
        return self.content is not Content.NONE and not self.is_forbidden

    @property
    def is_forbidden(self) -> bool:
        """Whether an entry stands for no page, but for an access being an error: a guard region, or poison."""
        return self.content in (Content.GUARD, Content.POISONED)

    @property
    def is_unusable(self) -> bool:
        """Whether any access is a fault that nothing handles: of the kernel, on behalf of a process, EFAULT."""
        return self.is_forbidden or self.content is Content.LOST or self.prot is Prot.NONE

    @property
    def is_huge_of_file(self) -> bool:
        """Mapped as part of a transparent huge page that is a file's or shared memory's."""
        return self.huge and not self.is_private_anonymous and not self.backing.is_hugetlb

    def copy(self) -> Page:
        """Another page in the same state: as dataclasses.replace without changes, in a fifth of the time."""
        return Page(*STATE(self))

    def continues(self, other: Page) -> bool:
        """(code) Whether the mapping of this page is one with that of the page before it."""
        if _MAPPING(self) != _MAPPING(other):
            return False
        # Shared memory without a file is one of its own; its pages count from the start of its mapping. Those of
        # private memory count as if all memory were a file, and go on counting so where they are moved to.
        return self is other or self.file_page == other.file_page + 1

    def hold(self, content: Content) -> None:
        """The entry is another, and nothing is open about it any more."""
        self.content = content
        self.alternative = None
        self.may_be_small = False
        if content is not Content.PRESENT:
            self.stored = self.of_huge_frame = self.of_child_too = self.may_be_dropped = False

    def unregister(self) -> None:
        """No userfaultfd has it any more, and what is recorded of it is gone."""
        self.tracking, self.faults, self.protected = Tracking.NONE, Faults(0), False

    def drop(self, keep_protection: bool) -> None:
        """The entry is emptied; a protected page of a file keeps its protection as a marker."""
        self.hold(Content.NONE)
        self.anonymous = False
        self.huge = self.backing.is_hugetlb
        # userfaultfd.rst: what drops an entry drops the read-write protection with it.
        self.protected = self.protected and keep_protection and self.tracking is not Tracking.ACCESS
        # userfaultfd.rst: unlike protection, soft-dirty information is lost when an entry is zapped.
        self.dirtied = False


#: All that a page is.
STATE = attrgetter(*Page.__slots__)
#: In what the pages of one mapping are alike.
_MAPPING = attrgetter("backing", "shared", "prot", "file", "tracking", "faults", "wants_huge", "stays_small")


class Space(dict[int, Page]):
    """Memory, page by page, and what maps it. Raises Unspecified for a page that isn't mapped, where it is asked for as
    if it were.

    Neither documents nor users know of page tables: the contract reads them where it says that it can't say what comes,
    and nowhere else; there are errata that do.
    """

    def __init__(self, pages: Mapping[int, Page] | None = None) -> None:
        super().__init__(pages or {})
        #: The aligned stretches that have a page table.
        self.tables: set[int] = set()
        #: Those of them that may be gone since all that they map was dropped: some kernels free them then, by
        #: CONFIG_PT_RECLAIM.
        self.doubtful_tables: set[int] = set()
        #: Whether there is what points to page tables, which covers a GiB or more: all that a program maps.
        self.has_upper_table = False

    def take_tables_of(self, other: Space) -> None:
        self.tables, self.doubtful_tables = {*other.tables}, {*other.doubtful_tables}
        self.has_upper_table = other.has_upper_table

    def __missing__(self, number: int) -> Page:
        raise Unspecified(f"page {number} isn't mapped")
