"""What is done to memory keeps or loses protection as it shouldn't."""

from __future__ import annotations

from helpers.deviations import Deviation
from helpers.model import Content, Page, Space
from helpers.operations import (
    Advice,
    Advise,
    Answer,
    Filler,
    KernelWrite,
    Map,
    Move,
    Register,
    Resize,
    Span,
    Tracking,
    Truncate,
    Unregister,
    WriteProtect,
    Writer,
)


class DontneedKeepsProtection(Deviation):
    """Dropped anonymous memory isn't WRITTEN."""

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        was = page.protected
        super().advise_page(advice, number, page)
        if advice is Advice.DONTNEED:
            page.protected = was


class SwapLosesProtection(Deviation):
    """A page that went to swap is WRITTEN."""

    def advise(self, op: Advise) -> Answer:
        answer = super().advise(op)
        if op.advice is Advice.PAGEOUT:
            for page in self.pages(op.span):
                page.protected = False
        return answer


class ReclaimOfAPartUnprotectsTheRest(Deviation):
    """A huge page that is reclaimed or aged in part loses the protection of its other pages."""

    def split_frames(self, op: Advise) -> None:
        was = [page for page in self.memory.values() if page.of_huge_frame]
        super().split_frames(op)
        for page in was:
            page.protected = page.protected and page.of_huge_frame


class UnregisterKeepsProtection(Deviation):
    """Memory stays protected after UFFDIO_UNREGISTER."""

    def unregister(self, op: Unregister) -> None:
        was = [page.protected for page in self.pages(op.span)]
        super().unregister(op)
        for page, protected in zip(self.pages(op.span), was, strict=True):
            page.protected = protected


class UnregisterLeavesMarkers(Deviation):
    """UFFDIO_UNREGISTER passes over what isn't there: it is still protected when it is registered again."""

    def unregister(self, op: Unregister) -> None:
        markers = [page for page in self.pages(op.span) if page.protected and page.content is Content.NONE]
        super().unregister(op)
        for page in markers:
            page.protected = True


class MoveKeepsProtection(Deviation):
    """Memory stays protected when it is moved."""

    def move(self, op: Move) -> None:
        was = [page.protected for page in self.pages(op.span)]
        super().move(op)
        for offset, protected in enumerate(was):
            self.memory[op.to + offset].protected = protected


class KeptMappingIsUnregistered(Deviation):
    """A mapping whose pages are moved, and which stays, isn't registered any more."""

    def move(self, op: Move) -> None:
        super().move(op)
        for page in self.pages(op.span) if op.keeps_mapping else ():
            page.tracking = Tracking.NONE


class MappedOverStaysRegistered(Deviation):
    """What is mapped in place of registered memory is registered as well."""

    def map(self, op: Map) -> None:
        was = {number: self.memory[number].tracking for number in op.span.pages() if number in self.memory}
        super().map(op)
        for number, tracking in was.items():
            self.memory[number].tracking = tracking


class CopyForgetsToProtect(Deviation):
    """UFFDIO_COPY in its mode WP doesn't protect."""

    def fill_page(self, by: Filler, page: Page) -> None:
        super().fill_page(by, page)
        page.protected = False


class CopyKeepsMarkers(Deviation):
    """What is copied to where memory was protected before it had content isn't WRITTEN."""

    def fill_page(self, by: Filler, page: Page) -> None:
        was = page.protected
        super().fill_page(by, page)
        page.protected = page.protected or was


class DropKeepsPoison(Deviation):
    """What is poisoned stays so when it is dropped."""

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        if advice is not Advice.DONTNEED or page.content is not Content.POISONED:
            super().advise_page(advice, number, page)


class PoisonIsProtected(Deviation):
    """A page that is poisoned isn't WRITTEN."""

    def fill_page(self, by: Filler, page: Page) -> None:
        super().fill_page(by, page)
        page.protected = page.protected or by is Filler.POISON


class TruncationUnprotects(Deviation):
    """A page that was cut off a file is WRITTEN."""

    def truncate(self, op: Truncate) -> None:
        super().truncate(op)
        for page in self.pages_of_file(op.file, op.span):
            page.protected = False


class GuardRemovalKeepsProtection(Deviation):
    """A guard region that was protected leaves protected memory: what came after isn't recorded."""

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        was = page.protected and page.content is Content.GUARD
        super().advise_page(advice, number, page)
        if advice is Advice.GUARD_REMOVE:
            page.protected = was


class GuardInstallPassesOverProtected(Deviation):
    """MADV_GUARD_INSTALL leaves protected pages of files and of shared memory as they are, and says that it is done."""

    def advise_page(self, advice: Advice, number: int, page: Page) -> None:
        if advice is not Advice.GUARD_INSTALL or not page.protected or page.is_private_anonymous:
            super().advise_page(advice, number, page)


class CollapseIgnoresProtection(Deviation):
    """MADV_COLLAPSE makes one huge page of pages of which some are protected: all of it is WRITTEN."""

    def collapse_unit(self, unit: Span) -> Answer:
        for page in self.pages(unit):
            page.protected = False
        return super().collapse_unit(unit)


class CollapseUnmapsProtected(Deviation):
    """MADV_COLLAPSE that is refused for one protected page has dropped the others."""

    def collapse_unit(self, unit: Span) -> Answer:
        answer = super().collapse_unit(unit)
        for page in self.pages(unit) if answer else ():
            if not page.protected:
                page.drop(keep_protection=False)
        return answer


class AsynchronousTrackingNeedsPopulation(Deviation):
    """UFFD_FEATURE_WP_ASYNC doesn't imply UFFD_FEATURE_WP_UNPOPULATED: empty anonymous memory isn't protected."""

    def write_protect(self, op: WriteProtect) -> Answer:
        empty = [page for page in self.pages(op.span) if page.is_private_anonymous and page.content is Content.NONE]
        was = [page.protected for page in empty]
        answer = super().write_protect(op)
        for page, protected in zip(empty, was, strict=True):
            page.protected = protected and op.protect
        return answer


class BothFeaturesAreSynchronous(Deviation):
    """A userfaultfd that was asked for WP_UNPOPULATED as well doesn't track asynchronously."""

    def tracking_by(self, op: Register) -> Tracking:
        return Tracking.SYNC if op.tracking is Tracking.EXPLICIT else super().tracking_by(op)


class LoadsMapNeighbours(Deviation):
    """A load from registered memory of a file maps neighbours as well."""

    def fault_around(self, page: Page, space: Space) -> None:
        super().fault_around(page, space)
        for other in space.values() if page.tracking is Tracking.ASYNC and page.backing.has_file else ():
            if other.content is Content.NONE and not other.protected:
                other.hold(Content.PRESENT)


class RegisteringProtects(Deviation):
    """Memory is protected as soon as it is registered: what was written before is lost."""

    def register(self, op: Register) -> Answer:
        answer = super().register(op)
        for page in self.pages(Span(*op.span)):
            page.protected = page.tracking is Tracking.ASYNC and page.content is Content.PRESENT
        return answer


class ShrinkingUnprotects(Deviation):
    """What is left of a mapping that is shrunk is WRITTEN."""

    def resize(self, op: Resize) -> Answer:
        answer = super().resize(op)
        for number in range(op.span.start, min(op.end, op.span.end)):
            self.memory[number].protected = False
        return answer


class GrowsUnregistered(Deviation):
    """What a registered mapping grows by isn't registered."""

    def resize(self, op: Resize) -> Answer:
        answer = super().resize(op)
        for number in range(op.span.end, op.end):
            if answer is None:
                self.memory[number].tracking = Tracking.NONE
        return answer


class GrowsProtected(Deviation):
    """What a registered mapping grows by is protected from the start."""

    def resize(self, op: Resize) -> Answer:
        answer = super().resize(op)
        for number in range(op.span.end, op.end):
            if answer is None:
                self.memory[number].protected = self.memory[number].tracking.is_asynchronous
        return answer


class GrowsOverOthers(Deviation):
    """A mapping grows over what is mapped behind it."""

    def resize(self, op: Resize) -> Answer:
        self.discard(Span(op.span.end, max(op.span.end, op.end)))
        return super().resize(op)


def _lost(name: str, writer: Writer) -> type:
    class Lost(Deviation):
        def kernel_write(self, op: KernelWrite) -> None:
            was = [page.protected for page in self.pages(op.span)]
            super().kernel_write(op)
            for page, protected in zip(self.pages(op.span), was, strict=True):
                page.protected = page.protected or (protected and op.by is writer)

    Lost.__name__ = Lost.__qualname__ = name
    Lost.__doc__ = f"What is written by {writer.value} isn't recorded."
    return Lost


WritesToMemAreLost = _lost("WritesToMemAreLost", Writer.MEM)
WritesOfOtherProcessesAreLost = _lost("WritesOfOtherProcessesAreLost", Writer.VM_WRITEV)
DirectReadsAreLost = _lost("DirectReadsAreLost", Writer.DIRECT)
PopulatingIsLost = _lost("PopulatingIsLost", Writer.POPULATE)
