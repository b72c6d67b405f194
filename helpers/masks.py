"""Every combination of masks, against memory that holds every set of categories side by side."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

from helpers.interface.native import ffi, lib
from helpers.interface.uapi import Category, ScanFlag, category
from helpers.kernel import Kernel
from helpers.kinds import BY_NAME, Kind
from helpers.lab import KernelDiffers, Lab
from helpers.operations import Region, Scan, Span, Tracking

#: Far from where other programs put their mappings, so that this memory can stay.
START = 1 << 16
#: Fewer combinations a second than this, and a run proves an evenly spread part: far below what hardware does, and
#: far above what an emulator does, so that all parts of a run decide alike.
FAST_ENOUGH = 150_000
#: The part of the combinations that a slow kernel is asked for.
SLOW_PART = 1024
_SAMPLE = 1000
_SAMPLES = 8
_SMALL = ("anon", "anon-zero", "anon-swapped", "anon-unpopulated", "anon-guard")
_HUGE = ("thp", "thp-zero")
#: The mappings in their order, whether they are registered, and the kinds of their pages: one for each set of
#: categories, and such an order that huge pages are aligned without gaps. Each mapping more, each gap and each
#: page that says nothing new makes every one of the scans slower.
_MAPPINGS = (
    (True, ("memfd-shared",)),
    (False, ("memfd-shared",)),
    (False, _SMALL + _HUGE),
    (False, ("hugetlb-shared",)),
    (True, ("hugetlb-shared",)),
    (True, _HUGE + _SMALL),
)
_ADVICE = ("hugepage", "nohugepage")
#: Without these, a page is what it would be before, in its place: every machine has the same layout.
_SPARED = {"swap", "guard regions"}


@dataclass(frozen=True)
class Mosaic:
    """The memory: the lab in which it was made, in so many steps, and its pages as runs of equal categories."""

    lab: Lab
    steps: int
    span: Span
    runs: tuple[Region, ...]

    @property
    def deviates(self) -> bool:
        """Whether the kernel has errata that show in it: what is said of a page then depends on more than the page."""
        scans = [Scan(self.span, returned=self.lab.all), Scan(self.span, mask=Category.WRITTEN)]
        return any(scan.run(self.lab.model) != scan.run(self.lab.known) for scan in scans)


def build(lab: Lab, with_empties: bool = True) -> Mosaic:
    """Memory of each kind, written, protected and not registered, as far as the machine has what it needs.

    ``with_empties``: with pages whose entries are empty. Without, they are written to: for kernels that don't say of
    them what they should, and whose selection is to be proven all the same.
    """
    mappings = []
    for registered, names in _MAPPINGS:
        kinds = [BY_NAME[name] for name in names]
        members = [
            (kind, protect)
            for kind in kinds
            for protect in (False, True)[: 1 + registered]
            # What else memory that isn't registered and unpopulated is, no document says.
            if not (set(kind.needs) - _SPARED) & set(lab.host.missing) and (registered or kind.is_populated)
        ]
        if members:
            mappings.append((registered, members))
    kinds = [kind for _, members in mappings for kind, _ in members]
    start = place = START - next((number for number, kind in enumerate(kinds) if kind.is_huge), 0)
    runs: list[Region] = []
    for registered, members in mappings:
        spans = _lay(lab, members, registered, place, with_empties)
        whole = Span(place, spans[-1].end)
        lab.verify(whole)
        runs.extend(run for span in spans for run in _runs(lab, span))
        place = whole.end
    return Mosaic(lab, len(lab.steps), Span(start, place), tuple(runs))


def _runs(lab: Lab, span: Span) -> Iterator[Region]:
    for told, run in itertools.groupby(span.pages(), lambda number: lab.model.categories(lab.model.memory[number])):
        pages = list(run)
        yield Region(pages[0], pages[-1] + 1, category(told))


def _lay(lab: Lab, members: list[tuple[Kind, bool]], registered: bool, place: int, with_empties: bool) -> list[Span]:
    """One mapping, each member a page or huge page of a kind, which is protected or not. Returns their spans."""
    spans = []
    end = place
    for kind, _ in members:
        start, end = end, end + (lab.huge if kind.is_huge else 1)
        spans.append(Span(start, end))
    whole = Span(place, end)
    first = members[0][0]
    lab.map(whole, first.backing, first.shared, file=f"{first.name} {registered}")
    advice = ""
    for (kind, protect), span in zip(members, spans, strict=True):
        for step in kind.populate:
            if step not in _ADVICE:
                lab.do(Kind.step("cold" if set(kind.needs) & set(lab.host.missing) and step != "write" else step, span))
            elif step != advice:
                advice = step
                lab.do(Kind.step(step, whole))  # To a part, it would make a mapping of it.
        if not kind.is_populated and not protect:
            lab.write(Span(span.start, span.start if with_empties else span.end))
    if registered:
        lab.register(whole, Tracking.ASYNC)
    for (kind, protect), span in zip(members, spans, strict=True):
        if protect and kind.is_accessible:
            lab.protect(span)
        elif protect:  # UFFDIO_WRITEPROTECT passes over guard regions (an erratum), the scan doesn't.
            lab.scan(span, ScanFlag.WP_MATCHING, mask=Category.WRITTEN)
    return spans


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
    for combination in combinations:
        del mosaic.lab.steps[mosaic.steps :]  # Of what was asked, only the last is told when it fails.
        mosaic.lab.do(Scan(mosaic.span, returned=returned, **masks_of(combination, bits)))  # type: ignore[arg-type]
    return len(combinations)


def stride_for(mosaic: Mosaic, bits: int) -> int:
    """1, or on a kernel that is too slow for all combinations the distance between those to prove.

    The best of some samples tells how fast the kernel is: the others tell what else the machine does.
    """
    if not isinstance(mosaic.lab.target, Kernel):
        return 1 << 16
    try:
        return 1 if max(_rate(mosaic, bits) for _ in range(_SAMPLES)) > FAST_ENOUGH else SLOW_PART
    except KernelDiffers:  # It isn't known what a scan takes that is right. The tests tell what is wrong.
        return SLOW_PART


def _rate(mosaic: Mosaic, bits: int) -> float:
    begun = time.perf_counter()
    prove(mosaic, 0, _SAMPLE, 4099, bits, category((1 << bits) - 1))
    return _SAMPLE / (time.perf_counter() - begun)
