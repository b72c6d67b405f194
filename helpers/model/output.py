"""What a scan has found so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from helpers.interface.uapi import category
from helpers.operations import Region


@dataclass(slots=True)
class Output:
    """The regions found so far, within the limits of vec_len and max_pages."""

    vec_len: int | None
    max_pages: int
    regions: list[Region] = field(default_factory=list)
    pages: int = 0
    #: Whether the last region isn't lengthened any more. The contract doesn't set it: there is an erratum that does.
    is_broken: bool = False

    def room(self, start: int, end: int, categories: int) -> int:
        """Up to which page of start..end there is room for pages of these categories."""
        if self.vec_len is None:
            return end
        if self.max_pages:
            end = min(end, start + self.max_pages - self.pages)
        return end if self.continues(start, categories) or len(self.regions) < self.vec_len else start

    def continues(self, start: int, categories: int) -> bool:
        """Whether pages from start on lengthen the last region."""
        if not self.regions or self.is_broken:
            return False
        return self.regions[-1].end == start and self.regions[-1].categories == categories

    def add(self, start: int, end: int, categories: int) -> None:
        if self.vec_len is None:
            return
        self.pages += end - start
        continues = self.continues(start, categories)
        self.is_broken = False
        if continues:
            self.regions[-1] = self.regions[-1]._replace(end=end)
        else:
            self.regions.append(Region(start, end, category(categories)))
