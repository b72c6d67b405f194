"""Sizes of pages, and where files may be made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    """Sizes of pages in bytes, and where files of a real file system and of tmpfs may be made."""

    page: int
    huge_page: int
    disk: Path | None = None
    tmpfs: Path | None = None

    @property
    def pages_per_huge_page(self) -> int:
        return self.huge_page // self.page
