"""A scan on its way."""

from __future__ import annotations

from dataclasses import dataclass, field

from helpers.model.argument import Argument
from helpers.model.output import Output
from helpers.model.pages import Space


@dataclass(slots=True)
class Walk:
    """Whose memory is scanned, what for, and what has come of it so far."""

    space: Space
    argument: Argument
    output: Output
    #: The pages that are to be protected once they are reported.
    matched: list[int] = field(default_factory=list)
    #: What the pages of a huge page were that had to be split to be protected in part.
    split: dict[int, int] = field(default_factory=dict)
    #: A place that passes for walk_end. The contract doesn't read it: there are errata that do.
    noted: int | None = None
