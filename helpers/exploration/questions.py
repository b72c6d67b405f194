"""What every program ends with: questions that change nothing, about all the memory that it has used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from helpers.interface.uapi import Category, ScanFlag
from helpers.model import Model, Unspecified
from helpers.operations import Operation, ReadPagemap, Scan, Span

WRITTEN = Category.WRITTEN


def questions(model: Model, known: Model) -> Iterator[tuple[Operation, Any, Any]]:
    """Scans by shape, and read(2) of pagemap, each with what two models say: as far as documents decide it where a
    program has ended."""
    used = Span(min(model.memory, default=0), max(model.memory, default=0) + 1)
    around = Span(used.start, used.end + 1)
    everything = Scan(around, returned=model.decided_of(model.memory.values()))
    written = Scan(around, mask=WRITTEN, returned=WRITTEN)
    asked: list[Operation] = [
        everything,
        written,
        replace(written, max_pages=1, returned=Category.PRESENT),
        replace(written, vec_len=1, inverted=WRITTEN),
        replace(written, mask=Category(0), anyof=Category.PRESENT | Category.SWAPPED, returned=Category.SWAPPED),
        replace(written, flags=ScanFlag.CHECK_WPASYNC),
        ReadPagemap(used),
    ]
    if model.child is not None:
        asked.append(replace(everything, returned=model.decided_of(model.child.values()), process="child"))
    for question in asked:
        try:
            told = question.run(model)
            yield question, told, told if known is model else question.run(known)
        except Unspecified:
            continue
