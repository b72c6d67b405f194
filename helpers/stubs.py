"""Stub kernels: the model, and the model with one thing broken. The suite must fail on every broken one."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from helpers.interface.uapi import Category, PagemapBit
from helpers.model import (
    Argument,
    Content,
    Facts,
    Model,
    Output,
    Page,
    Refused,
    Space,
)
from helpers.model.bits import (
    ACCESSED,
    CHECK_WPASYNC,
    FILE,
    GUARD,
    HUGE,
    PFNZERO,
    PRESENT,
    SWAPPED,
    WP_MATCHING,
    WPALLOWED,
    WRITTEN,
)
from helpers.operations import (
    Advice,
    Advise,
    ClearRefs,
    Map,
    Move,
    PunchHole,
    Read,
    Scan,
    ScanResult,
    Span,
    Tracking,
    Truncate,
    Unregister,
)

#: What the kernel has that a stub plays, whatever is asked of it.
_HAS = {"faithful-soft-dirty": {"soft-dirty"}, "faithful-rwp": {"rwp"}}
#: Stubs with nothing broken: the model itself.
FAITHFUL = ("faithful", *_HAS)
STUBS: dict[str, Callable[[Facts], Model]] = dict.fromkeys(FAITHFUL, Model)


def facts_of(stub: str, needs: Iterable[str] = ()) -> Facts:
    """What has to be known of the kernel that a stub plays for a test: it has what the test needs.

    ``needs``: keys of :func:`helpers.host.missing`.
    """
    has = {*needs, *_HAS.get(stub, ())}
    return Facts(written_needs_registration="rwp" in has, soft_dirty="soft-dirty" in has)


def _name_of(stub: type[Model]) -> str:
    return "".join("-" + letter.lower() if letter.isupper() else letter for letter in stub.__name__)[1:]


def broken(stub: type[Model]) -> type[Model]:
    """Adds a stub to the list; its name is that of the class in words, its docstring says what is broken."""
    STUBS[_name_of(stub)] = stub
    return stub


def _without(name: str, bit: int, when: Callable[[Page], bool] = lambda page: True) -> None:
    def categories(self: Model, page: Page) -> int:
        told = Model.categories(self, page)
        return told & ~bit if when(page) else told

    broken(type(name, (Model,), {"categories": categories, "__doc__": "A category isn't reported."}))


def _with(name: str, bit: int, when: Callable[[Page], bool]) -> None:
    def categories(self: Model, page: Page) -> int:
        told = Model.categories(self, page)
        return told | bit if when(page) else told

    broken(type(name, (Model,), {"categories": categories, "__doc__": "A category too many is reported."}))


_without("WithoutWpallowed", WPALLOWED)
_without("WithoutWritten", WRITTEN, lambda page: page.content is Content.NONE)
_without("WithoutFile", FILE)
_without("WithoutPresent", PRESENT, lambda page: page.content is Content.ZERO)
_without("WithoutSwapped", SWAPPED, lambda page: page.content is Content.SWAPPED)
_without("WithoutMarker", SWAPPED, lambda page: page.content is Content.NONE)
_without("WithoutPfnzero", PFNZERO)
_without("WithoutPfnzeroOnHuge", PFNZERO, lambda page: page.huge)
_without("WithoutHuge", HUGE, lambda page: page.backing.is_hugetlb)
_without("WithoutGuard", GUARD)
_with("WithFileOnCopies", FILE, lambda page: page.anonymous and page.backing.has_file)
_with("WithWrittenOnMarkers", WRITTEN, lambda page: page.content is Content.NONE and page.protected)
_with("WithPresentInSwap", PRESENT, lambda page: page.content is Content.SWAPPED)


class _AlteredResult(Model):
    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        raise NotImplementedError

    def scan(self, op: Scan) -> ScanResult:
        result = super().scan(op)
        return self.alter(op, result) if result.result >= 0 else result


@broken
class LosesLastRegion(_AlteredResult):
    """The last of several regions isn't reported."""

    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        if len(result.regions) < 2:
            return result
        return ScanResult(result.result - 1, result.regions[:-1], result.walk_end)


@broken
class CountsWrongly(_AlteredResult):
    """The return value is one too large when vec is full."""

    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        return result._replace(result=result.result + 1) if result.result == op.vec_len else result


@broken
class WalkEndIsAlwaysEnd(_AlteredResult):
    """A truncated walk says that it has come to the end."""

    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        return result._replace(walk_end=op.span.end)


@broken
class WalkEndIsOneTooFar(_AlteredResult):
    """A truncated walk skips a page."""

    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        if result.walk_end is None or result.walk_end >= op.span.end:
            return result
        return result._replace(walk_end=result.walk_end + 1)


@broken
class WalkEndIsOneTooShort(_AlteredResult):
    """A truncated walk reports a page twice."""

    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        if result.walk_end is None or op.span.end > result.walk_end > op.span.start:
            return result._replace(walk_end=(result.walk_end or 1) - 1)
        return result


@broken
class WalkEndIsNotWritten(_AlteredResult):
    """walk_end is left alone."""

    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        return result._replace(walk_end=None)


@broken
class RegionsOverlap(_AlteredResult):
    """A region reaches a page into the next."""

    def alter(self, op: Scan, result: ScanResult) -> ScanResult:
        if len(result.regions) < 2:
            return result
        first = result.regions[0]
        return result._replace(regions=(first._replace(end=first.end + 1), *result.regions[1:]))


@broken
class IgnoresMaxPages(Model):
    """max_pages doesn't limit."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.max_pages = 0
        return argument


@broken
class MaxPagesIsOneTooMany(Model):
    """max_pages lets a page more through."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.max_pages += argument.max_pages > 0
        return argument


@broken
class IgnoresVecLen(Model):
    """More regions are written than vec has room for."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.vec_len = argument.vec_len and argument.vec_len + 1
        return argument


@broken
class IgnoresReturnMask(Model):
    """Categories are reported that nobody asked for."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.returned = self.known
        return argument


@broken
class IgnoresInverted(Model):
    """category_inverted does nothing."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.inverted = 0
        return argument


@broken
class AnyofMeansAll(Model):
    """Every category of category_anyof_mask is demanded."""

    def is_selected(self, categories: int, argument: Argument) -> bool:
        told = categories ^ argument.inverted
        return super().is_selected(categories, argument) and told & argument.anyof == argument.anyof


@broken
class ReportsInverted(Model):
    """Categories are reported as they match, not as they are."""

    def walk(self, space: Space, argument: Argument, output: Output, matched: list[int]) -> int:
        walk_end = super().walk(space, argument, output, matched)
        output.regions = [
            region._replace(categories=Category(region.categories ^ (argument.inverted & argument.returned)))
            for region in output.regions
        ]
        return walk_end


@broken
class DoesNotMerge(Model):
    """Neighbours with equal categories are regions of their own."""

    def scan(self, op: Scan) -> ScanResult:
        result = super().scan(op)
        if len(result.regions) != 1 or result.regions[0].end - result.regions[0].start < 2:
            return result
        only = result.regions[0]
        halves = (only._replace(end=only.start + 1), only._replace(start=only.start + 1))
        return ScanResult(2, halves, result.walk_end)


@broken
class DoesNotProtect(Model):
    """WP_MATCHING does nothing."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        return


@broken
class ProtectsOneTooMany(Model):
    """The page behind the last one that was reported is protected too: a lost write."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        following = [numbers[-1] + 1] if numbers and numbers[-1] + 1 in space else []
        super().protect(space, numbers + following)


@broken
class ProtectsOneTooFew(Model):
    """The last page that was reported isn't protected."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        super().protect(space, numbers[:-1])


@broken
class ProtectsWithoutBeingAsked(Model):
    """A scan that only gets protects all the same."""

    def must_protect(self, categories: int, argument: Argument) -> bool:
        return bool(categories & WRITTEN and categories & WPALLOWED)


@broken
class ProtectsPagesBeforeCheckingVec(Model):
    """An argument error comes after the protection was applied."""

    def checked(self, op: Scan) -> Argument:
        try:
            return super().checked(op)
        except Refused:
            for number in op.span.pages():
                if op.flags & WP_MATCHING and number in self.memory:
                    self.memory[number].protected = True
            raise


@broken
class IgnoresCheckWpasync(Model):
    """CHECK_WPASYNC does nothing."""

    def checked(self, op: Scan) -> Argument:
        argument = super().checked(op)
        argument.flags &= ~CHECK_WPASYNC
        return argument


@broken
class ProtectsOnlyWithVec(Model):
    """WP_MATCHING without a vec does nothing."""

    def must_protect(self, categories: int, argument: Argument) -> bool:
        return super().must_protect(categories, argument) and argument.vec_len is not None


@broken
class MarksGaps(Model):
    """CHECK_WPASYNC finds fault with unmapped addresses."""

    def walk(self, space: Space, argument: Argument, output: Output, matched: list[int]) -> int:
        if argument.flags & CHECK_WPASYNC:
            for number in range(argument.start, argument.end):
                if number not in space:
                    raise Refused(errno.EPERM, walk_end=number)
        return super().walk(space, argument, output, matched)


def _wrong_errno(name: str, right: int, wrong: int) -> None:
    def scan(self: Model, op: Scan) -> ScanResult:
        result = Model.scan(self, op)
        return result._replace(result=-wrong) if result.result == -right else result

    broken(type(name, (Model,), {"scan": scan, "__doc__": "A wrong errno."}))


_wrong_errno("EinvalIsEfault", errno.EINVAL, errno.EFAULT)
_wrong_errno("EfaultIsEinval", errno.EFAULT, errno.EINVAL)
_wrong_errno("EpermIsEinval", errno.EPERM, errno.EINVAL)


@broken
class AcceptsUnknownFlags(Model):
    """Flags that the kernel doesn't know are ignored."""

    def checked(self, op: Scan) -> Argument:
        raw = tuple((name, value) for name, value in op.raw if name != "flags")
        return super().checked(op) if raw == op.raw else super().checked(_with_raw(op, raw))


@broken
class AcceptsAnySize(Model):
    """size isn't looked at."""

    def checked(self, op: Scan) -> Argument:
        raw = tuple((name, value) for name, value in op.raw if name != "size")
        return super().checked(_with_raw(op, raw))


def _with_raw(op: Scan, raw: tuple[tuple[str, object], ...]) -> Scan:
    from dataclasses import replace

    return replace(op, raw=raw)  # type: ignore[arg-type]


@broken
class DontneedKeepsProtection(Model):
    """Dropped anonymous memory isn't WRITTEN."""

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        was = page.protected
        super().advise_page(advice, number, page)
        if advice is Advice.DONTNEED:
            page.protected = was


@broken
class SwapLosesProtection(Model):
    """A page that went to swap is WRITTEN."""

    def advise(self, op: Advise) -> None:
        super().advise(op)
        if op.advice is Advice.PAGEOUT:
            for page in self.pages(op.span):
                page.protected = False


@broken
class UnregisterKeepsProtection(Model):
    """Memory stays protected after UFFDIO_UNREGISTER."""

    def unregister(self, op: Unregister) -> None:
        was = [page.protected for page in self.pages(op.span)]
        super().unregister(op)
        for page, protected in zip(self.pages(op.span), was, strict=True):
            page.protected = protected


@broken
class MoveKeepsProtection(Model):
    """Memory stays protected when it is moved."""

    def move(self, op: Move) -> None:
        was = [page.protected for page in self.pages(op.span)]
        super().move(op)
        for offset, protected in enumerate(was):
            self.memory[op.to + offset].protected = protected


@broken
class HolesKeepProtection(Model):
    """A page punched out of a file isn't WRITTEN."""

    def punch_hole(self, op: PunchHole) -> None:
        pages = list(self.pages_of_file(op.file, op.span))
        was = [page.protected for page in pages]
        super().punch_hole(op)
        for page, protected in zip(pages, was, strict=True):
            page.protected = protected


@broken
class ClearingDoesNothing(Model):
    """Pages stay soft-dirty."""

    def clear_refs(self, op: ClearRefs) -> None:
        return


@broken
class ClearingForgetsNewMappings(Model):
    """Only what was written is clean afterwards: a new mapping stays soft-dirty."""

    def clear_refs(self, op: ClearRefs) -> None:
        self.was_cleared = True
        for page in self.memory.values():
            page.dirtied = False


@broken
class ClearingUnprotects(Model):
    """Clearing soft-dirty bits makes pages WRITTEN."""

    def clear_refs(self, op: ClearRefs) -> None:
        super().clear_refs(op)
        for page in self.memory.values():
            page.protected = False


@broken
class ClearingProtects(Model):
    """Clearing soft-dirty bits makes pages that were WRITTEN unwritten."""

    def clear_refs(self, op: ClearRefs) -> None:
        super().clear_refs(op)
        for page in self.memory.values():
            page.protected = page.content is not Content.NONE


@broken
class ReadingIsSoftDirty(Model):
    """A page that was read is soft-dirty."""

    def populate(self, page: Page, write: bool) -> None:
        super().populate(page, write)
        page.dirtied = True


@broken
class WritingIsNotSoftDirty(Model):
    """A write isn't recorded."""

    def populate(self, page: Page, write: bool) -> None:
        was = page.dirtied
        super().populate(page, write)
        page.dirtied = was


@broken
class ProtectingClearsSoftDirty(Model):
    """WP_MATCHING makes pages clean."""

    def protect(self, space: Space, numbers: list[int]) -> None:
        super().protect(space, numbers)
        for number in numbers:
            space[number].dirtied = False


@broken
class NewMappingsAreClean(Model):
    """What was mapped since soft-dirty bits were cleared isn't soft-dirty."""

    def map(self, op: Map) -> None:
        super().map(op)
        for page in self.pages(op.span):
            page.is_new = not self.was_cleared


@broken
class MergingLosesSoftDirty(Model):
    """A new mapping that becomes one with an old one isn't soft-dirty."""

    def expand(self) -> None:
        before = {number: page.is_new for number, page in self.memory.items()}
        super().expand()
        for number, page in self.memory.items():
            page.is_new = page.is_new and before[number] and number - 1 not in self.memory


@broken
class SwapLosesSoftDirty(Model):
    """A page that went to swap isn't soft-dirty any more."""

    def reclaim(self, page: Page) -> None:
        super().reclaim(page)
        page.dirtied = False


@broken
class PagemapDoesNotSaySoftDirty(Model):
    """read(2) of pagemap says of no page that it is soft-dirty."""

    def pagemap_bits(self, page: Page | None) -> int:
        return super().pagemap_bits(page) & ~PagemapBit.SOFT_DIRTY.value


@broken
class SplittingSharedHugePagesProtectsAll(Model):
    """Protecting a part of a huge page of shared memory protects the rest too: a lost write."""

    def split(self, space: Space, unit: Span) -> None:
        was_huge_of_file = space[unit.start].is_huge_of_file if unit.start in space else False
        super().split(space, unit)
        for number in unit.pages() if was_huge_of_file else ():
            space[number].protected = True


@broken
class TruncationUnprotects(Model):
    """A page that was cut off a file is WRITTEN."""

    def truncate(self, op: Truncate) -> None:
        super().truncate(op)
        for page in self.pages_of_file(op.file, op.span):
            page.protected = False


@broken
class ProtectedIsAccessed(Model):
    """ACCESSED is said of protected pages."""

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        return told | ACCESSED if page.tracking is Tracking.ACCESS else told


@broken
class OnlyWritesAreAccesses(Model):
    """A read isn't recorded."""

    def read(self, op: Read) -> None:
        was = [page.protected for page in self.pages(op.span)]
        super().read(op)
        for page, protected in zip(self.pages(op.span), was, strict=True):
            page.protected = page.protected or (protected and page.tracking is Tracking.ACCESS)


@broken
class AccessedIsWritten(Model):
    """WRITTEN is said of memory that is registered for read-write protection."""

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        return told | WRITTEN if told & ACCESSED else told


@broken
class HolesAreAccessed(Model):
    """ACCESSED is said of what isn't there."""

    def categories(self, page: Page) -> int:
        told = super().categories(page)
        return told | ACCESSED if page.tracking is Tracking.ACCESS and not page.protected else told


@broken
class SwapLosesReadWriteProtection(Model):
    """A page that went to swap is ACCESSED."""

    def reclaim(self, page: Page) -> None:
        super().reclaim(page)
        if page.tracking is Tracking.ACCESS:
            page.protected = False
