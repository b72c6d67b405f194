"""Access: what a load or a store does to a page."""

from __future__ import annotations

from helpers.model.facts import Unspecified
from helpers.model.memory import Memory
from helpers.model.pages import Content, Page, Space
from helpers.operations import Faults, KernelWrite, Prot, Read, Span, Tracking, Write, Writer


class Access(Memory):
    """Faults, by the process and by the kernel on its behalf."""

    def read(self, op: Read) -> None:
        self.access(op.span, write=False)

    def write(self, op: Write) -> None:
        self.access(op.span, write=True)
        for page in self.pages(op.span):
            page.stored = True

    def kernel_write(self, op: KernelWrite) -> None:
        """userfaultfd.rst: a write is recorded whoever makes it, as long as it goes by the page tables."""
        self.access(op.span, write=True)
        for page in self.pages(op.span) if op.by is not Writer.POPULATE else ():
            page.stored = op.by is Writer.MEM  # The others write zeros, where a store has put a byte.

    def access(self, span: Span, write: bool) -> None:
        """Each page is touched; of a huge page that stays one, the first touch does all there is to do."""
        number, files = span.start, {}
        while number < span.end:
            self.fault_in(number, write)
            page = self.memory[number]
            if not write or page.shared:
                files[page.backing, page.file, page.tracking] = page
            number = self.unit(number).end if page.huge else number + 1
        # Once for all pages of a file: it looks at all memory.
        for page in files.values():
            self.fault_around(page, self.memory)

    def fault_in(self, number: int, write: bool) -> None:
        """A page is loaded from or stored to by a process that may."""
        page = self.memory[number]
        self.require_access(number, page, write)
        if page.tracking is Tracking.ACCESS and page.protected:
            # (code) One entry maps a huge page, and is accessible again as a whole.
            for part in self.pages(self.unit(number)) if page.huge else [page]:
                part.protected = False
        if page.huge and page.backing.is_hugetlb:
            for neighbour in self.unit(number).pages():
                self.populate(self.memory[neighbour], write)
        elif (page.wants_huge or page.is_of_huge_page) and self.is_empty(self.unit(number)):
            if not (page.is_private_anonymous or page.is_of_huge_page):
                # transhuge.rst: that is for shmem_enabled to say, or for the file system.
                raise Unspecified(f"whether a huge page is made for page {number}, which is a file's or shared")
            if number // self.facts.pages_per_huge_page in self.memory.tables:
                # (code) It takes the place of a page table, and none is made where there is one already.
                raise Unspecified(f"whether a huge page is made for page {number}, where small pages were mapped")
            self.populate_huge(self.unit(number), write)
        elif page.was_huge_of_file and not self.surely_has_table(number) and self.is_unmapped(self.unit(number)):
            raise Unspecified(f"whether a file's huge page is mapped as a whole again by an access to page {number}")
        else:
            if page.huge and write:
                self.write_to_huge_page(number, page)
            self.populate(page, write)
        self.make_entry(self.memory, number)

    def require_access(self, number: int, page: Page, write: bool) -> None:
        """Raises Unspecified where the one who loads or stores doesn't come back from that."""
        if page.is_unusable or (write and page.prot is Prot.READ):
            raise Unspecified(f"an access to page {number} is a fault that nothing handles")
        if page.content is Content.NONE and self.may_wait(page):
            raise Unspecified(f"an access to page {number} may wait for the owner of the userfaultfd")

    def may_wait(self, page: Page) -> bool:
        """userfaultfd.rst: for a page that isn't there, or for one that the file has and this mapping doesn't."""
        return Faults.MISSING in page.faults or (
            Faults.MINOR in page.faults and (page.file, page.file_page) in self.filled
        )

    def write_to_huge_page(self, number: int, page: Page) -> None:
        """What a store to a page of a huge one does to all of it."""
        unit = self.unit(number)
        if page.content is Content.ZERO and not page.protected:
            raise Unspecified("whether a write to the huge zero page makes a huge page or a small one")
        if page.is_huge_of_file and not page.is_of_huge_page and page.tracking is Tracking.NONE:
            raise Unspecified("whether a file's huge page stays one when it is written to where none is wanted")
        if page.is_huge_of_file and Faults.MINOR in page.faults:
            # (code) wp_huge_pmd() takes it out of the page tables, and the file still has it. It comes to that wherever
            # the entry isn't writable: where the page is protected, or was.
            raise Unspecified(f"whether a write to page {number} of a file's huge page is a minor fault")
        if page.protected and page.is_huge_of_file and page.is_of_huge_page:
            # (code) It is mapped anew as a whole; more pages than were written are WRITTEN (pagemap.rst).
            for part in self.pages(unit):
                part.protected = False
        if page.content is Content.PRESENT:
            # One entry maps the huge page, and it was written to (soft-dirty.rst; madvise(2), MADV_FREE).
            for part in self.pages(unit):
                part.dirtied, part.may_be_dropped = True, False
        if page.protected:
            # (code) A write to a protected huge page splits it; only the page written is then WRITTEN.
            self.split(self.memory, unit)
        elif page.of_child_too:
            # Whether a copy of all or of a part is made, no document says.
            for part in self.pages(unit):
                part.may_be_small = True

    def populate(self, page: Page, write: bool) -> None:
        page.in_swap = page.discarded = False
        if page.shared:
            self.filled.add((page.file, page.file_page))
        if write:
            page.content = Content.PRESENT
            page.protected = page.of_child_too = page.may_be_dropped = False
            page.dirtied = True
            page.anonymous = page.anonymous or not page.shared
            page.was_anonymous = page.was_anonymous or page.anonymous
        elif page.content is Content.NONE and page.is_private_anonymous:
            page.content = Content.ZERO
        elif page.content is not Content.ZERO:
            # (code) Private hugetlb memory gets a page of its own at once, even for a hole in a file.
            page.anonymous = page.anonymous or (page.backing.is_hugetlb and not page.shared)
            page.was_anonymous = page.was_anonymous or page.anonymous
            page.content = Content.PRESENT
        # A load may leave either the zero page or one that is filled with zeros; else it is known now.
        if write or page.alternative is not Content.ZERO:
            page.alternative = None

    def fault_around(self, page: Page, space: Space) -> None:
        """An access to a file's memory that isn't registered may map neighbours, too: no document says which."""
        if page.tracking is not Tracking.NONE or page.is_private_anonymous or page.backing.is_hugetlb:
            return
        for other in space.values():
            is_neighbour = other.tracking is Tracking.NONE and (other.backing, other.file) == (page.backing, page.file)
            if is_neighbour and other.content is Content.NONE and not other.protected:
                other.alternative = Content.PRESENT

    def is_empty(self, unit: Span) -> bool:
        """Whether a huge page may come here: (code) thp_vma_suitable_order() looks for room in one mapping."""
        may_come = all(
            number in self.memory
            and (self.memory[number].wants_huge or self.memory[number].is_of_huge_page)
            and self.memory[number].content is Content.NONE
            and not self.memory[number].protected
            for number in unit.pages()
        )
        return may_come and len(self.mappings_of(unit)) == 1

    def is_unmapped(self, unit: Span) -> bool:
        pages = [self.memory[number] for number in unit.pages() if number in self.memory]
        return not any(page.content is not Content.NONE or page.protected for page in pages)

    def populate_huge(self, unit: Span, write: bool) -> None:
        for page in self.pages(unit):
            self.populate(page, write)
            page.huge = True
            page.was_anonymous = page.was_anonymous or page.is_private_anonymous
            page.is_of_huge_page = not page.is_private_anonymous
            page.of_huge_frame = page.content is Content.PRESENT
        self.memory.tables.discard(unit.start // self.facts.pages_per_huge_page)
