"""The bits of a scan as plain numbers: the enumerations are for reading, and slow to compute with."""

from __future__ import annotations

from helpers.interface.uapi import Category, ScanFlag

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
