"""Where a program runs: on the kernel and on the model side by side, every answer compared."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from helpers.deviations import Erratum, name_of, together
from helpers.errata import answers, are_met, conditions, responsible
from helpers.explain import difference
from helpers.host import Host
from helpers.interface.native import SuiteError
from helpers.interface.uapi import Category, ScanFlag
from helpers.kinds import Kind
from helpers.model import Content, Model, Space
from helpers.operations import (
    ROOM,
    Advice,
    Advise,
    At,
    Backing,
    ChildWrite,
    ClearRefs,
    CloseUserfaultfd,
    Faults,
    FileWrite,
    Fill,
    Filler,
    Fork,
    KernelWrite,
    KillChild,
    Map,
    Move,
    MoveIn,
    Operation,
    Prot,
    Protection,
    PunchHole,
    Read,
    ReadPagemap,
    ReadUsage,
    Register,
    Resize,
    RwProtect,
    Scan,
    ScanResult,
    Span,
    Target,
    Tracking,
    Truncate,
    Unmap,
    Unregister,
    Write,
    WriteProtect,
    Writer,
    as_span,
    len_of,
)
from helpers.steps import Prepared, Step, told

Pages = int | tuple[int, int] | Span


class CannotAsk(Exception):
    """This machine can't be asked what a test asks; the message says what is missing and how to get it."""


class KernelDiffers(AssertionError):
    """The kernel answered otherwise than the contract says. A finding, unlike SuiteError."""


def harm_of(operation: Operation, model: Model, may_hang: bool = False) -> str | None:
    """What an operation may do to the machine, on a kernel with a known defect: hang it, say, beyond killing.

    With ``may_hang`` nothing but what a guest suffers from too, since it goes on behind it.
    """
    if isinstance(operation, Move):
        return _loss_of(operation, model)
    if may_hang or not isinstance(operation, Scan) or not operation.flags & ScanFlag.WP_MATCHING:
        return None
    pages = {number: page for number in operation.span.pages() if (page := model.memory.get(number)) and page.huge}
    for number, page in pages.items():
        if page.content is Content.NONE and not page.protected:
            return f"protecting the empty hugetlb page {number} may hang the machine"
    has_vec = operation.vec_len or operation.raw
    for border in operation.span if not has_vec else ():
        if border != model.unit(border).start and any(number in pages for number in model.unit(border).pages()):
            return f"protecting a part of the huge page around page {border} without a vec may kill the kernel"
    return None


def _loss_of(operation: Move, model: Model) -> str | None:
    """What is lost for good by mremap(2) of a part of private hugetlb memory: (code) copy_vma_and_data() in mm/mremap.c
    forgets what is reserved for the whole mapping before it is cut, and nobody gives back what is the rest's.

    All such memory that the part lies in is taken for one mapping.
    """

    def is_private_hugetlb(number: int) -> bool:
        page = model.memory.get(number)
        return page is not None and page.backing.is_hugetlb and not page.shared

    moved = operation.span
    replaced = Span(operation.to, operation.to + len_of(moved))
    if not any(map(is_private_hugetlb, (moved.start, moved.end - 1))):
        return None
    before = itertools.takewhile(is_private_hugetlb, range(moved.start - 1, -1, -1))
    behind = itertools.takewhile(is_private_hugetlb, range(moved.end, max(model.memory) + 1))
    rest = [model.memory[number] for number in (*before, *behind) if number not in replaced.pages()]
    if any(page.content is Content.NONE for page in rest):
        return "what is reserved for hugetlb memory that isn't moved would stay reserved until the next boot"
    return None


class Lab:
    """Runs operations one by one on a target, on the contract's model, and on the kernel as it is known.

    Each method carries out the operation it is named after, on pages given as a number, a pair of start and end, or a
    Span. Raises KernelDiffers with the whole story so far as soon as the target answers otherwise than the kernel as
    it is known: the contract with the errata that the kernel has. Where these make a difference, the program goes on
    behind it, and :attr:`deviates` tells.
    """

    def __init__(
        self,
        host: Host,
        target: Target,
        errata: Sequence[type[Erratum]] = (),
        may_hang: bool = False,
        model: Model | None = None,
        untold: Mapping[type[Erratum], str] | None = None,
    ) -> None:
        """``model``: stands for the contract, when it isn't the contract itself. ``untold``: errata of which it isn't
        known whether the target has them, and why."""
        self.host = host
        self.facts = host.facts
        self.target = target
        self.errata = errata
        self.untold = untold or {}
        self.model = model or Model(host.facts)
        #: The target as it is known: the contract itself until the program may meet an erratum.
        self.known = self.model
        self.conditions = conditions(errata)
        self.may_hang = may_hang
        self.steps: list[Step] = []
        self.memory: list[str] = []
        self.prepared: list[Prepared] = []
        #: Which errata made a difference to which steps, when that was found out last: it takes long.
        self.found_out: tuple[list[Step], list[type[Erratum]]] = ([], [])
        #: Labs whose differences count as this one's.
        self.others: list[Lab] = []
        #: An erratum that a failure may be: what it predicts is shown then as well.
        self.suspected: type[Erratum] | None = None

    def close(self) -> None:
        self.target.close()

    def beside(self, host: Host, target: Target) -> Lab:
        """Another lab, with the same errata, whose differences count as this one's."""
        found = Lab(host, target, self.errata, self.may_hang, untold=self.untold)
        found.suspected = self.suspected
        self.others.append(found)
        return found

    def do(self, operation: Operation) -> Any:
        """Carries an operation out and returns what the contract says that it answers.

        That is the kernel's answer as well, unless an erratum predicts another: then :attr:`deviates` is set, and the
        program is the same as on a kernel that keeps the contract.
        """
        __tracebackhide__ = True
        self.refuse_harm(operation)
        self.recall(operation)
        expected = operation.run(self.model)
        predicted = expected if self.known is self.model else operation.run(self.known)
        step = Step(operation, expected, predicted, operation.run(self.target))
        self.steps.append(step)
        self.compare(step)
        return expected

    def recall(self, operation: Operation) -> None:
        """From the first operation on by which the program may meet an erratum, what is known is another model."""
        if self.known is self.model and are_met(self.conditions, (operation,), self.facts):
            self.known = together(self.errata)(self.facts)
            for step in self.steps:
                step.operation.run(self.known)

    def compare(self, step: Step) -> None:
        """Raises KernelDiffers when the kernel's answer isn't that of the kernel as it is known; SuiteError when that
        may be for an erratum which it couldn't be asked for."""
        __tracebackhide__ = True
        if step.observed != step.predicted:
            observed = [
                told(one.operation, one.observed) if one.is_precondition else one.observed for one in self.steps
            ]
            for erratum in self.untold:
                if self.answers_with(erratum) == observed:
                    why = f"for which the kernel couldn't be asked: {self.untold[erratum]}"
                    raise SuiteError(f"{step.operation} is answered as by {name_of(erratum)}, {why}")
            near = [name_of(erratum) for erratum in self.errata_met()] if step.deviates else []
            raise KernelDiffers(difference(self.memory, self.steps, near, self.suspicion()))

    def suspicion(self) -> tuple[str, Any] | None:
        """The name of the erratum that is suspected, and what it says to the last operation beside those known."""
        if self.suspected is None or self.suspected in self.errata:
            return None
        told = self.answers_with(self.suspected)
        return (name_of(self.suspected), told[-1]) if told else None

    def answers_with(self, erratum: type[Erratum]) -> list[Any]:
        """What a kernel that has one more erratum than those known answers to all so far; nothing where it is open."""
        told = list(answers(together([*self.errata, erratum])(self.facts), self.steps))
        return told if len(told) == len(self.steps) else []

    @property
    def deviates(self) -> bool:
        """Whether an answer so far wasn't the contract's, but one that errata predict."""
        return any(step.deviates for step in self.steps) or any(other.deviates for other in self.others)

    def errata_met(self) -> list[type[Erratum]]:
        """The errata without which an answer so far would have been another."""
        if self.found_out[0] != self.steps:
            own = any(step.deviates for step in self.steps)
            self.found_out = [*self.steps], responsible(self.errata, self.facts, self.steps) if own else []
        met = {*self.found_out[1], *(one for other in self.others for one in other.errata_met())}
        return [one for one in self.errata if one in met]

    def refuse_harm(self, operation: Operation) -> None:
        if harm := harm_of(operation, self.known, self.may_hang):
            raise SuiteError(f"{operation}: {harm}")

    def require(self, *needs: str) -> None:
        """Raises CannotAsk when one of these keys of :func:`helpers.host.missing` isn't met."""
        for need in needs:
            if need in self.host.missing:
                raise CannotAsk(self.host.missing[need])

    @property
    def huge(self) -> int:
        """Pages of a huge page."""
        return self.facts.pages_per_huge_page

    @property
    def all(self) -> Category:
        """Every category that the kernel knows."""
        return self.facts.known

    def decided(self, pages: Pages, process: str = "self") -> Category:
        """Every category of which a document says for each of some mapped pages whether the page has it."""
        memory = self.model.memory if process == "self" else self.model.child or Space()
        return self.model.decided_of(memory[number] for number in as_span(pages).pages())

    # --- Kinds of memory --------------------------------------------------------------------------------

    def prepare(self, kind: Kind, start: int = 0, tracking: Tracking = Tracking.ASYNC, file: str = "file") -> Span:
        """Memory of a kind, verified by pagemap and smaps to be what it says, then registered.

        Raises CannotAsk when the machine can't have it.
        """
        __tracebackhide__ = True
        self.require(*kind.needs)
        span = kind.span(self.huge, start)
        self.memory.append(f"{span}: {kind.name}, {kind.description}")
        first = len(self.steps)
        for operation in kind.operations(span, file):
            self.do(operation)
        self.verify(span)
        if tracking is not Tracking.NONE:
            self.register(span, tracking)
        are = self.model.categories(self.model.memory[span.start]) & ~Category.WRITTEN
        self.prepared.append(Prepared(range(first, len(self.steps)), kind, span, are))
        return span

    def verify(self, span: Span, usage: bool = True) -> None:
        """Raises SuiteError when the memory isn't what it should be by other witnesses than the scan.

        smaps counts by mapping: with ``usage``, no mapping may reach out of the span.
        """
        questions: list[Operation] = [ReadPagemap(span)]
        if usage and any(
            page.huge or page.in_swap or page.content is Content.SWAPPED for page in self.model.pages(span)
        ):
            questions.append(ReadUsage(span))
        for question in questions:
            expected = question.run(self.model)
            predicted = expected if self.known is self.model else question.run(self.known)
            found = question.run(self.target)
            self.steps.append(Step(question, expected, predicted, found, is_precondition=True))
            if told(question, predicted) != told(question, found):
                raise SuiteError(
                    f"the memory isn't what it should be: {question} says\n{told(question, found)}, "
                    f"not\n{told(question, predicted)}"
                )

    # --- Operations -------------------------------------------------------------------------------------

    def map(
        self,
        pages: Pages,
        backing: Backing = Backing.ANON,
        shared: bool = False,
        prot: Prot = Prot.WRITE,
        file: str = "",
        file_page: int = 0,
    ) -> Span:
        span = as_span(pages)
        name = file or ("file" if backing.has_file else "")
        self.do(Map(span, backing, shared, prot, name, file_page))
        return span

    def unmap(self, pages: Pages) -> None:
        self.do(Unmap(as_span(pages)))

    def move(self, pages: Pages, to: int, keeps_mapping: bool = False) -> None:
        self.do(Move(as_span(pages), to, keeps_mapping))

    def resize(self, pages: Pages, end: int) -> Any:
        return self.do(Resize(as_span(pages), end))

    def mprotect(self, pages: Pages, prot: Prot) -> None:
        self.do(Protection(as_span(pages), prot))

    def advise(self, pages: Pages, advice: Advice) -> Any:
        return self.do(Advise(as_span(pages), advice))

    def register(self, pages: Pages, tracking: Tracking = Tracking.ASYNC, faults: Faults = Faults(0)) -> Any:
        return self.do(Register(as_span(pages), tracking, faults))

    def unregister(self, pages: Pages) -> None:
        self.do(Unregister(as_span(pages)))

    def close_userfaultfd(self) -> None:
        self.do(CloseUserfaultfd())

    def protect(self, pages: Pages) -> Any:
        return self.do(WriteProtect(as_span(pages)))

    def unprotect(self, pages: Pages) -> Any:
        return self.do(WriteProtect(as_span(pages), protect=False))

    def rw_protect(self, pages: Pages) -> None:
        self.do(RwProtect(as_span(pages)))

    def fill(self, pages: Pages, by: Filler = Filler.COPY) -> None:
        self.do(Fill(as_span(pages), by))

    def move_in(self, pages: Pages, source: int) -> Any:
        return self.do(MoveIn(as_span(pages), source))

    def read(self, pages: Pages) -> None:
        self.do(Read(as_span(pages)))

    def write(self, pages: Pages) -> None:
        self.do(Write(as_span(pages)))

    def kernel_write(self, pages: Pages, by: Writer = Writer.READ) -> None:
        self.do(KernelWrite(as_span(pages), by))

    def file_write(self, pages: Pages, file: str = "file") -> None:
        self.do(FileWrite(file, as_span(pages)))

    def punch_hole(self, pages: Pages, file: str = "file") -> None:
        self.do(PunchHole(file, as_span(pages)))

    def truncate(self, pages: Pages, file: str = "file") -> None:
        self.do(Truncate(file, as_span(pages)))

    def clear_refs(self) -> None:
        self.do(ClearRefs())

    def fork(self) -> None:
        self.do(Fork())

    def child_write(self, pages: Pages) -> None:
        self.do(ChildWrite(as_span(pages)))

    def kill_child(self) -> None:
        self.do(KillChild())

    def read_pagemap(self, pages: Pages) -> Any:
        __tracebackhide__ = True
        return self.do(ReadPagemap(as_span(pages)))

    def scan(
        self,
        pages: Pages,
        flags: ScanFlag = ScanFlag(0),
        mask: Category = Category(0),
        anyof: Category = Category(0),
        inverted: Category = Category(0),
        returned: Category | None = None,
        max_pages: int = 0,
        vec_len: int | None = ROOM,
        process: str = "self",
        raw: Mapping[str, int | At] | None = None,
    ) -> ScanResult:
        """PAGEMAP_SCAN. ``returned`` None: all categories that the kernel knows. ``raw``: as in Scan."""
        __tracebackhide__ = True
        wanted = self.all if returned is None else returned
        operation = Scan(
            as_span(pages),
            flags,
            mask,
            anyof,
            inverted,
            wanted,
            max_pages,
            vec_len,
            tuple((raw or {}).items()),
            process,
        )
        result: ScanResult = self.do(operation)
        return result
