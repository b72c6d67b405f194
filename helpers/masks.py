"""Every combination of masks, against memory that holds every set of categories side by side."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from helpers.interface.native import ffi, lib
from helpers.interface.uapi import Category, ScanFlag, category
from helpers.kernel import Kernel
from helpers.kinds import BY_NAME, Kind
from helpers.lab import KernelDiffers, Lab
from helpers.operations import Region, Scan, Span, Tracking

#: Far from where other programs put their mappings, so that this memory can stay.
START = 1 << 20
#: Fewer combinations a second than this, and a run proves an evenly spread part.
FAST_ENOUGH = 50_000
#: The part of the combinations that a slow kernel is asked for.
SLOW_PART = 1024
_SAMPLE = 1000
#: Kinds that can share a mapping, one for each set of categories. Each mapping more, and each page that says
#: nothing new, makes every one of the scans slower.
_GROUPS = (
    ("thp", "thp-zero"),
    ("hugetlb-shared",),
    ("anon", "anon-zero", "anon-swapped", "anon-unpopulated", "anon-guard"),
    ("memfd-shared",),
)
_ADVICE = ("hugepage", "nohugepage")


@dataclass(frozen=True)
class Mosaic:
    """The memory: the lab in which it was made, and its pages as runs of equal categories."""

    lab: Lab
    span: Span
    runs: tuple[Region, ...]


def build(lab: Lab) -> Mosaic:
    """Memory of each kind, written, protected and not registered, as far as the machine has what it needs."""
    place = START
    for names, registered in itertools.product(_GROUPS, (True, False)):
        kinds = [BY_NAME[name] for name in names]
        kinds = [kind for kind in kinds if not set(kind.needs) & set(lab.host.missing)]
        if not registered:
            kinds = [kind for kind in kinds if kind.is_populated]  # What else is, no document says.
        if kinds:
            place = _lay(lab, kinds, registered, place)
    span = Span(START, place)
    lab.verify(span)
    runs = itertools.groupby(span.pages(), lambda number: lab.model.categories(lab.model.memory[number]))
    regions = []
    for told, run in runs:
        pages = list(run)
        regions.append(Region(pages[0], pages[-1] + 1, category(told)))
    return Mosaic(lab, span, tuple(regions))


def _lay(lab: Lab, kinds: list[Kind], registered: bool, place: int) -> int:
    """One mapping with a page, or huge page, of each kind; when registered, one written and one protected."""
    length = lab.huge if kinds[0].is_huge else 1
    members = list(itertools.product(kinds, (False, True) if registered else (False,)))
    whole = Span(place, place + len(members) * length)
    spans = [Span(start, start + length) for start in range(whole.start, whole.end, length)]
    lab.map(whole, kinds[0].backing, kinds[0].shared, file=f"{kinds[0].name} {registered}")
    steps = kinds[0].populate
    if steps[0] in _ADVICE:
        lab.do(Kind.step(steps[0], whole))
    for (kind, _), span in zip(members, spans, strict=True):
        for step in kind.populate:
            if step not in _ADVICE:
                lab.do(Kind.step(step, span))
    if steps[0] == "hugepage":
        lab.do(Kind.step("nohugepage", whole))
    if registered:
        lab.register(whole, Tracking.ASYNC)
    for (_, protect), span in zip(members, spans, strict=True):
        if protect:
            lab.scan(span, ScanFlag.WP_MATCHING, mask=Category.WRITTEN)
    return whole.end


def masks_of(combination: int, bits: int) -> dict[str, Category]:
    """The three masks that a combination stands for."""
    everything = (1 << bits) - 1
    return {
        "inverted": category(combination & everything),
        "mask": category(combination >> bits & everything),
        "anyof": category(combination >> 2 * bits & everything),
    }


def page_regions(mosaic: Mosaic, kernel: Kernel) -> object:
    """The runs as an array of ``struct page_region``, in addresses."""
    size = kernel.sizes.page
    return ffi.new(
        "struct page_region[]",
        [(kernel.base + run.start * size, kernel.base + run.end * size, run.categories.value) for run in mosaic.runs],
    )


def prove(mosaic: Mosaic, first: int, count: int, stride: int, bits: int, returned: Category) -> int:
    """Scans with ``count`` combinations, every stride-th from first on; returns how many were right: all.

    Raises KernelDiffers at the first that isn't.
    """
    kernel = mosaic.lab.target
    if not isinstance(kernel, Kernel):
        return _prove_one_by_one(mosaic, range(first, first + count * stride, stride), bits, returned)
    failure = ffi.new("struct mask_failure *")
    proven = lib.native_prove_masks(
        kernel.pagemaps["self"], page_regions(mosaic, kernel), len(mosaic.runs),
        first, count, stride, bits, returned.value, failure,
    )  # fmt: skip
    if proven < count:
        _prove_one_by_one(mosaic, range(failure.combination, failure.combination + 1), bits, returned)
        raise KernelDiffers(f"combination {failure.combination:#x} failed once and then not again")
    return int(proven)


def _prove_one_by_one(mosaic: Mosaic, combinations: range, bits: int, returned: Category) -> int:
    kept = len(mosaic.lab.steps)
    for combination in combinations:
        try:
            mosaic.lab.do(Scan(mosaic.span, returned=returned, **masks_of(combination, bits)))  # type: ignore[arg-type]
        finally:
            del mosaic.lab.steps[kept:]
    return len(combinations)


def stride_for(mosaic: Mosaic, bits: int) -> int:
    """1, or on a kernel that is too slow for all combinations the distance between those to prove."""
    if not isinstance(mosaic.lab.target, Kernel):
        return 1 << 16
    begun = time.perf_counter()
    prove(mosaic, 0, _SAMPLE, 4099, bits, category((1 << bits) - 1))
    return 1 if _SAMPLE / (time.perf_counter() - begun) > FAST_ENOUGH else SLOW_PART
