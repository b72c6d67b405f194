"""Measures the suite against bare C: ``python -m helpers.benchmark``. Prints ratios taken in one run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from helpers import masks
from helpers.host import find_host, find_sizes
from helpers.interface.native import lib
from helpers.interface.uapi import Category, ScanFlag, category
from helpers.kernel import Kernel, scan_buffers
from helpers.lab import Lab
from helpers.machine import Machine
from helpers.operations import Scan, Span

COMBINATIONS = 400_000
SCANS = 50_000
ROUNDS = 5


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def brute_force(lab: Lab) -> None:
    """The loop over mask combinations, beside a loop that makes the same calls and compares nothing."""
    mosaic = masks.build(lab)
    kernel = lab.target
    if not isinstance(kernel, Kernel):
        raise TypeError("a benchmark is of a kernel")
    runs, all_bits = masks.page_regions(mosaic, kernel), category(0xFF)
    arguments = (kernel.pagemaps["self"], runs, len(mosaic.runs), 0, COMBINATIONS, 41, 8, all_bits.value)
    pairs = [
        (
            seconds(lambda: lib.native_bare_masks(*arguments)),
            seconds(lambda: masks.prove(mosaic, 0, COMBINATIONS, 41, 8, all_bits)),
        )
        for _ in range(ROUNDS)
    ]
    ratios = sorted(bare / proven for bare, proven in pairs)
    best = COMBINATIONS / min(proven for _, proven in pairs)
    print(f"brute force: {best:,.0f} combinations/s, {ratios[ROUNDS // 2]:.2f} of the rate of a bare C loop")


def one_scan(lab: Lab) -> None:
    """A scan from Python, beside the bare ioctl."""
    span = lab.map((0, 8))
    lab.register(span)
    operation = Scan(span, mask=Category.WRITTEN, returned=Category.WRITTEN)
    lab.do(operation)
    python = seconds(lambda: [lab.target.scan(operation) for _ in range(SCANS)]) / SCANS
    kernel = lab.target
    if isinstance(kernel, Kernel):
        bare = lib.native_bare_scans(kernel.pagemaps["self"], scan_buffers().arg, SCANS) / SCANS
        scan_buffers().take(kernel.base, kernel.sizes.page)
        print(
            f"one scan: {python * 1e6:.2f} µs from Python, {bare * 1e6:.2f} µs bare: "
            f"{(python - bare) * 1e6:.2f} µs more"
        )


def small_scope(lab: Lab) -> None:
    """Programs of the small-scope proof: protect, write, scan, compare with the model."""
    span, programs = Span(0, 8), 2_000
    kept = len(lab.steps)

    def run() -> None:
        for number in range(programs):
            del lab.steps[kept:]
            lab.protect(span)
            lab.write(number % 8)
            lab.scan(span, ScanFlag.WP_MATCHING, mask=Category.WRITTEN, returned=Category.WRITTEN)

    print(f"small scope: {programs / seconds(run):,.0f} programs/s")


def main() -> None:
    """Prints the three figures; root has the machine set up for it, as in a run."""
    sizes = find_sizes()
    machine = Machine(1, sizes) if os.geteuid() == 0 else None
    try:
        if machine:
            machine.__enter__()
        host = find_host()
        lab = Lab(host, Kernel(sizes))
        for measure in (brute_force, one_scan, small_scope):
            measure(lab)
        lab.close()
    finally:
        if machine:
            machine.put_back()


if __name__ == "__main__":
    main()
