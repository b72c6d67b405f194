"""Bad input: the exact errno, and for errors of the argument nothing done."""

import errno
import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from helpers.host import FAILSLAB
from helpers.interface import procfs
from helpers.interface.native import MACHINE, ffi, lib
from helpers.interface.uapi import PM_SCAN_ARG_FIELDS, Category, ScanFlag
from helpers.kernel import Kernel, scan_buffers
from helpers.lab import Lab
from helpers.model.argument import REGION_SIZE
from helpers.operations import ROOM, Advice, At, Filler, Map, Prot, Register, Scan, Span, Unmap, Write, len_of

WRITTEN = Category.WRITTEN
WP = ScanFlag.WP_MATCHING
TOP = 1 << 64
GAP, READ_ONLY, POISONED = At(40), At(20), At(30)

#: Fields, each with wrong values, and the errno that is due.
WRONG: list[tuple[str, Any, int]] = [
    *((f"size-{size}", {"size": size}, errno.EINVAL) for size in (0, 1, 8, 95, 97, 104, 1 << 32, TOP - 1)),
    *((f"flags-bit-{bit}", {"flags": 1 << bit}, errno.EINVAL) for bit in (2, 3, 7, 31, 32, 63)),
    *((f"flags-bit-{bit}-with-known", {"flags": 3 | 1 << bit}, errno.EINVAL) for bit in (2, 63)),
    *(
        (f"{mask}-bit-{bit}", {mask: 1 << bit}, errno.EINVAL)
        for mask in ("category_inverted", "category_mask", "category_anyof_mask", "return_mask")
        for bit in (12, 31, 32, 63)
    ),
    *((f"start-unaligned-{offset}", {"start": At(0, offset)}, errno.EINVAL) for offset in (1, 8, 2048)),
    ("start-unaligned-last-byte", {"start": At(1, -1)}, errno.EINVAL),
    ("end-before-start", {"start": At(4), "end": At(2)}, errno.EFAULT),
    ("end-zero", {"end": 0}, errno.EFAULT),
    ("end-of-the-kernel", {"end": TOP - 4096}, errno.EFAULT),
    ("start-of-the-kernel", {"start": TOP - (1 << 20), "end": TOP - 4096}, errno.EFAULT),
    ("vec-null-with-length", {"vec": 0, "vec_len": 1}, errno.EINVAL),
    ("vec-null-with-huge-length", {"vec": 0, "vec_len": TOP - 1}, errno.EINVAL),
    ("vec-of-the-kernel", {"vec": TOP - 4096, "vec_len": 1}, errno.EFAULT),
    *((f"vec_len-2^{power}", {"vec_len": 1 << power}, errno.EFAULT) for power in (60, 61, 62, 63)),
    ("vec_len-max", {"vec_len": TOP - 1}, errno.EFAULT),
    ("arg-nowhere", {"arg": GAP}, errno.EFAULT),
    ("arg-null", {"arg": 0}, errno.EFAULT),
    ("arg-of-the-kernel", {"arg": TOP - 4096}, errno.EFAULT),
    # Two things wrong: the one that is checked first.
    ("size-before-flags", {"size": 0, "flags": 4, "vec": TOP - 4096}, errno.EINVAL),
    ("alignment-before-range", {"start": At(4, 1), "end": At(2)}, errno.EINVAL),
    ("range-before-vec", {"start": At(4), "end": At(2), "vec": 0, "vec_len": 3}, errno.EFAULT),
]
WRONG_VEC = [("vec-nowhere", GAP), ("vec-read-only", READ_ONLY)]


def written_memory(lab: Lab) -> None:
    lab.map((0, 4))
    lab.register((0, 4))
    lab.write((0, 4))
    lab.map((20, 21), prot=Prot.READ)


@pytest.mark.clause("errors", "error-does-nothing")
@pytest.mark.parametrize(("fields", "due"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_argument_is_refused_and_does_nothing(lab: Lab, fields: dict[str, int | At], due: int) -> None:
    written_memory(lab)
    found = lab.scan((0, 4), WP, mask=WRITTEN, raw=fields)
    assert found == (-due, (), None)
    assert lab.scan((0, 4), mask=WRITTEN).regions[0][:2] == (0, 4)


@pytest.mark.clause("errors")
@pytest.mark.parametrize("bit", range(64))
@pytest.mark.parametrize("mask", ["category_inverted", "category_mask", "category_anyof_mask", "return_mask"])
@pytest.mark.in_c(call=lambda mask, bit: f"accepts_category(offsetof(struct pm_scan_arg, {mask}), {bit})")
def test_exactly_the_known_categories_are_accepted(lab: Lab, mask: str, bit: int) -> None:
    lab.map((0, 1))
    lab.write(0)
    due = 0 if 1 << bit & lab.all else -errno.EINVAL
    assert min(lab.scan(0, returned=Category(0), raw={mask: 1 << bit}).result, 0) == due


@pytest.mark.clause("errors", "undelivered")
@pytest.mark.parametrize("flags", [ScanFlag(0), WP], ids=["get", "wp"])
@pytest.mark.parametrize("place", [case[1] for case in WRONG_VEC], ids=[case[0] for case in WRONG_VEC])
def test_a_report_that_cannot_be_delivered_is_efault_and_loses_nothing(lab: Lab, place: At, flags: ScanFlag) -> None:
    written_memory(lab)
    assert lab.scan((0, 4), flags, mask=WRITTEN, raw={"vec": place}).result == -errno.EFAULT
    assert lab.scan((0, 4), mask=WRITTEN).regions[0][:2] == (0, 4)


@pytest.mark.clause("undelivered", "poisoned")
@pytest.mark.needs("UFFDIO_POISON")
def test_a_report_into_a_poisoned_page_is_efault_and_loses_nothing(lab: Lab) -> None:
    written_memory(lab)
    lab.map(POISONED.page)
    lab.register(POISONED.page)
    lab.fill(POISONED.page, Filler.POISON)
    assert lab.scan((0, 4), WP, mask=WRITTEN, raw={"vec": POISONED}).result == -errno.EFAULT
    assert lab.scan((0, 4), mask=WRITTEN).regions[0][:2] == (0, 4)


@pytest.mark.clause("undelivered")
@pytest.mark.parametrize("missing", ["a-page-within", "a-page-behind"])
def test_a_long_report_that_cannot_be_delivered_loses_nothing(lab: Lab, missing: str) -> None:
    """Of one region more than kernels copy at a time: those that they do copy end where a page ends."""
    pages, size = Span(0, 2 * lab.huge + 2), lab.facts.page_size
    first = Span(pages.end + 2, pages.end + 2 - (-lab.huge * REGION_SIZE // size))
    vec = At(first.start, len_of(first) * size - lab.huge * REGION_SIZE)
    lab.map(pages)
    lab.advise(pages, Advice.NOHUGEPAGE)
    lab.register(pages)
    lab.protect(pages)
    for page in range(0, pages.end, 2):
        lab.write(page)
    lab.map((first.start, first.end + 1))
    lab.unmap(first.end if missing == "a-page-behind" else first.start + len_of(first) // 2)
    found = lab.scan(pages, WP, mask=WRITTEN, vec_len=2 * lab.huge, raw={"vec": vec})
    assert found.result == -errno.EFAULT
    assert len(lab.scan(pages, mask=WRITTEN, vec_len=2 * lab.huge).regions) == lab.huge + 1


@pytest.mark.clause("errors")
@pytest.mark.parametrize("place", [case[1] for case in WRONG_VEC], ids=[case[0] for case in WRONG_VEC])
def test_a_vec_that_is_not_needed_may_be_anywhere(lab: Lab, place: At) -> None:
    written_memory(lab)
    lab.protect((0, 4))
    assert lab.scan((0, 4), mask=WRITTEN, raw={"vec": place}).result == 0


@pytest.mark.clause("range")
@pytest.mark.parametrize("end", [At(2, 1), At(2, 100), At(3, -1)], ids=["first-byte", "inside", "last-byte"])
def test_end_is_rounded_up(lab: Lab, end: At) -> None:
    lab.write(lab.map((0, 4)))
    found = lab.scan((0, 4), raw={"end": end})
    assert (found.regions[0][:2], found.walk_end) == ((0, 3), 3)


@pytest.mark.clause("range")
def test_an_empty_range_is_scanned_at_once(lab: Lab) -> None:
    lab.write(lab.map((0, 4)))
    assert lab.scan((2, 2)) == (0, (), 2)


@pytest.mark.clause("range")
def test_the_input_value_of_walk_end_is_ignored(lab: Lab) -> None:
    lab.write(lab.map((0, 4)))
    assert lab.scan((0, 4), raw={"walk_end": At(2)}).walk_end == 4


@pytest.mark.clause("errors")
@pytest.mark.parametrize("number", [15, 18, 0])
def test_another_ioctl_number_is_refused(lab: Lab, number: int) -> None:
    lab.map((0, 4))
    request = MACHINE["PAGEMAP_SCAN"] & ~0xFF | number
    assert lab.scan((0, 4), raw={"request": request}).result == -errno.EINVAL


def scan_file(path: str, flags: int = os.O_RDONLY) -> int:
    """The result of an empty scan on any file."""
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        arg = ffi.new("struct pm_scan_arg *", {"size": 8 * len(PM_SCAN_ARG_FIELDS)})
        return int(lib.native_ioctl(fd, MACHINE["PAGEMAP_SCAN"], arg))
    finally:
        os.close(fd)


@pytest.mark.kernel_only("asks other files than pagemap")
@pytest.mark.clause("errors")
@pytest.mark.parametrize("path", ["/proc/self/maps", "/proc/self/status", "/dev/null"])
def test_another_file_does_not_know_the_ioctl(path: str) -> None:
    assert scan_file(path) in (-errno.ENOTTY, -errno.EINVAL)


@pytest.mark.kernel_only("is about how pagemap is opened")
@pytest.mark.clause("errors")
def test_a_pagemap_that_is_open_for_reading_may_be_scanned() -> None:
    assert scan_file("/proc/self/pagemap") == 0


@pytest.mark.kernel_only("two answers are right")
@pytest.mark.clause("dead-process")
def test_a_process_that_is_gone_has_nothing_to_report(lab: Lab) -> None:
    span = lab.map((0, 4))
    lab.write(span)
    lab.fork()
    assert lab.scan(span, process="child").result == 1
    lab.kill_child()
    found = lab.target.scan(Scan(span, process="child"))
    assert found.result in (0, -errno.ESRCH)
    assert found.regions == ()


@pytest.mark.kernel_only("becomes another user")
@pytest.mark.clause("other-process")
def test_a_process_of_another_user_is_not_to_be_scanned(lab: Lab) -> None:
    lab.require("root")
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os.open(f"/proc/{parent}/pagemap", os.O_RDONLY)
        except OSError as refused:
            os._exit(refused.errno or 99)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (errno.EACCES, errno.EPERM)


@pytest.mark.kernel_only("is about a mapping that the kernel made")
@pytest.mark.clause("pfnmap")
def test_a_pfnmap_mapping_reports_nothing() -> None:
    mapping = next((vma for vma in procfs.read_smaps(0, 1 << 63) if "pf" in vma.flags), None)
    if mapping is None:
        pytest.skip("no mapping of this process is VM_PFNMAP: run on a kernel whose vvar is")
    start, end = mapping.start, mapping.end
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    vec = ffi.new("struct page_region[16]")
    arg = ffi.new(
        "struct pm_scan_arg *",
        {"size": 96, "start": start, "end": end, "vec": int(ffi.cast("uintptr_t", vec)), "vec_len": 16},
    )
    try:
        assert lib.native_ioctl(pagemap, MACHINE["PAGEMAP_SCAN"], arg) == 0
        assert arg.walk_end == end
    finally:
        os.close(pagemap)


@pytest.mark.kernel_only("what is right depends on the processor")
@pytest.mark.clause("tags")
@pytest.mark.parametrize("tag", [1 << 57, 0x5A << 56, 1 << 63], ids=hex)
def test_a_tag_is_removed_or_refused(lab: Lab, tag: int) -> None:
    span = lab.map((0, 4))
    lab.write(span)
    plain = lab.scan(span)
    tagged = Scan(span, returned=lab.all, raw=(("start", At(0, tag)), ("end", At(4, tag))))
    assert lab.target.scan(tagged) in (plain, (-errno.EFAULT, (), None))


@contextmanager
def allocations_that_may_fail() -> Iterator[None]:
    """Such that may wait, and single pages, too, where a thread asks for it; the kernel's log isn't told."""
    wanted = {
        "failslab": {"ignore-gfp-wait": "N", "verbose": "0"},
        "fail_page_alloc": {"ignore-gfp-wait": "N", "min-order": "0", "verbose": "0"},
    }
    knobs = {FAILSLAB.parent / name / knob: value for name, told in wanted.items() for knob, value in told.items()}
    before = {knob: knob.read_text() for knob in knobs if knob.exists()}
    try:
        for knob in before:
            knob.write_text(knobs[knob])
        yield
    finally:
        for knob, value in before.items():
            knob.write_text(value)


@pytest.mark.kernel_only("has the kernel fail")
@pytest.mark.needs("fault injection")
@pytest.mark.clause("no-memory")
def test_a_scan_without_memory_is_enomem_and_loses_nothing(lab: Lab) -> None:
    kernel = lab.target
    assert isinstance(kernel, Kernel)
    span, buffers, results = Span(0, 4 * lab.huge), scan_buffers(), set()
    ask = Scan(span, mask=WRITTEN, returned=WRITTEN)
    arg = ffi.new("struct pm_scan_arg *", {"size": 8 * len(PM_SCAN_ARG_FIELDS), "flags": WP, "vec_len": ROOM})
    arg.start, arg.end, arg.vec = kernel.address(span.start), kernel.address(span.end), buffers.address
    arg.category_mask = arg.return_mask = WRITTEN
    failed = ffi.new("int *", 1)
    with allocations_that_may_fail():
        for nth in itertools.count(1):
            # To protect what isn't there takes page tables: the memory is new each time.
            kernel.map(Map(span))
            kernel.register(Register(span))
            kernel.write(Write(Span(0, 4)))
            result = lib.native_failing_ioctl(kernel.pagemaps["self"], MACHINE["PAGEMAP_SCAN"], arg, nth, failed)
            reported = buffers.take(kernel.base, kernel.sizes.page)
            told = [
                page
                for found in (reported, kernel.scan(ask).regions)
                for region in found
                for page in range(*region[:2])
            ]
            assert {*told} == {*span.pages()}, f"protected and unreported, when allocation {nth} has failed"
            kernel.unmap(Unmap(span))
            results.add(int(result))
            if not failed[0]:
                break
    assert results == {-errno.ENOMEM, 1}


@pytest.mark.kernel_only("kills a process that scans")
@pytest.mark.clause("interrupted")
@pytest.mark.parametrize("flags", [ScanFlag(0), WP], ids=["get", "wp"])
def test_a_process_that_is_killed_in_long_scans_ends(lab: Lab, flags: ScanFlag) -> None:
    kernel = lab.target
    assert isinstance(kernel, Kernel)
    # So many regions take the kernel several walks, before each of which it looks whether the process is to end.
    span = lab.map((0, 1 << 13))
    lab.register(span)
    lab.protect(span)
    for page in range(0, span.end, 2):
        kernel.write(Write(Span(page, page + 1)))
    request = Scan(span, flags, mask=WRITTEN, vec_len=span.end)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        lib.native_die_with_parent()
        while True:
            kernel.scan(request)
            os.write(writing, b".")
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read(1), "one scan came to its end: what it protected stays so"
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline, "the process is still there, 20 s after SIGKILL"
        time.sleep(0.01)
    assert kernel.scan(request).result == (0 if flags else span.end // 2)


@pytest.mark.clause("undelivered")
def test_an_argument_in_read_only_memory_is_efault_and_loses_nothing(lab: Lab) -> None:
    written_memory(lab)
    if isinstance(lab.target, Kernel):
        lab.read(20)
    assert lab.scan((0, 4), WP, mask=WRITTEN, vec_len=None, raw={"arg": READ_ONLY}).result == -errno.EFAULT
    assert lab.scan((0, 4), mask=WRITTEN).regions[0][:2] == (0, 4)
