"""A category isn't reported, or one too many."""

from __future__ import annotations

from collections.abc import Callable

from helpers.deviations import Deviation
from helpers.model import Content, Page
from helpers.model.bits import FILE, GUARD, HUGE, PFNZERO, PRESENT, SWAPPED, WPALLOWED, WRITTEN


def _changed(name: str, without: int = 0, added: int = 0, when: Callable[[Page], bool] = lambda page: True) -> type:
    class Changed(Deviation):
        def categories(self, page: Page) -> int:
            told = super().categories(page)
            return (told & ~without | added) & self.known if when(page) else told

    Changed.__name__ = Changed.__qualname__ = name
    Changed.__doc__ = "A category isn't reported." if without else "A category too many is reported."
    return Changed


WithoutWpallowed = _changed("WithoutWpallowed", WPALLOWED)
WithoutWritten = _changed("WithoutWritten", WRITTEN, when=lambda page: page.content is Content.NONE)
WithoutFile = _changed("WithoutFile", FILE)
WithoutPresent = _changed("WithoutPresent", PRESENT, when=lambda page: page.content is Content.ZERO)
WithoutSwapped = _changed("WithoutSwapped", SWAPPED, when=lambda page: page.content is Content.SWAPPED)
WithoutMarker = _changed("WithoutMarker", SWAPPED, when=lambda page: page.content is Content.NONE)
WithoutPfnzero = _changed("WithoutPfnzero", PFNZERO)
WithoutHuge = _changed("WithoutHuge", HUGE, when=lambda page: page.backing.is_hugetlb)
WithoutGuard = _changed("WithoutGuard", GUARD)
WithFileOnCopies = _changed("WithFileOnCopies", added=FILE, when=lambda page: page.anonymous and page.backing.has_file)
WithWrittenOnMarkers = _changed(
    "WithWrittenOnMarkers", added=WRITTEN, when=lambda page: page.content is Content.NONE and page.protected
)
WithPresentInSwap = _changed("WithPresentInSwap", added=PRESENT, when=lambda page: page.content is Content.SWAPPED)
