"""The suite's own parts: the catalogue, the oracle in C, what a difference shows, the race."""

import errno
import re
import resource
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.deviations import Erratum, Harm, name_of
from helpers.host import find_host
from helpers.interface.native import SuiteError, checked, ffi, lib
from helpers.interface.uapi import Category, ScanFlag
from helpers.kernel import Kernel
from helpers.lab import KernelDiffers, Lab, harm_of
from helpers.model import Facts, Model, Unspecified
from helpers.model.pages import Page
from helpers.operations import (
    Advice,
    Advise,
    Backing,
    ChildWrite,
    Faults,
    KernelWrite,
    Map,
    Move,
    Read,
    Refusal,
    Register,
    Resize,
    Scan,
    ScanResult,
    Span,
    Target,
    Tracking,
    Unregister,
    Write,
    WriteProtect,
    verbs,
)
from helpers.plugins.clauses import catalogue
from helpers.stubs import facts_of
from helpers.tests.needs import on_kernel
from suites.errata import ERRATA

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "suites").glob("test_*.py"))


def test_every_operation_has_its_method_in_the_targets() -> None:
    assert all(verb in Target.__abstractmethods__ for verb in verbs())


def test_every_clause_is_proven_and_says_where_it_is_written() -> None:
    named = set()
    for suite in SUITES:
        for arguments in re.findall(r"mark\.clause\(([^)]*)\)", suite.read_text()):
            named |= set(re.findall(r'"([^"]+)"', arguments))
    assert named == set(catalogue())
    assert all(clause["where"] and clause["says"] for clause in catalogue().values())
    assert {clause["kind"] for clause in catalogue().values()} == {"promise", "code", "silent"}


@pytest.mark.parametrize("erratum", ERRATA, ids=name_of)
def test_an_erratum_has_evidence_and_names_clauses_and_whom_it_hurts(erratum: type[Erratum]) -> None:
    assert erratum.says() and erratum.evidence and erratum.fixed and erratum.harm in Harm
    assert erratum.clauses and set(erratum.clauses) <= set(catalogue())


bits = st.integers(0, 0x1FF)


@settings(max_examples=300, deadline=None)
@given(pages=st.lists(bits, min_size=1, max_size=8), masks=st.tuples(bits, bits, bits, bits))
def test_the_oracle_in_c_agrees_with_the_model(pages: list[int], masks: tuple[int, int, int, int]) -> None:
    class Painted(Model):
        def categories(self, page):
            return pages[page.file_page]

        def undecided(self, page):
            return 0

    model = Painted(Facts())
    span = Span(0, len(pages))
    model.map(Map(span))
    inverted, mask, anyof, returned = map(Category, masks)
    expected = model.scan(Scan(span, inverted=inverted, mask=mask, anyof=anyof, returned=returned)).regions
    memory = ffi.new("struct page_region[]", [(n, n + 1, told) for n, told in enumerate(pages)])
    found = ffi.new("struct page_region[]", 8)
    arg = ffi.new(
        "struct pm_scan_arg *",
        {
            "category_inverted": masks[0],
            "category_mask": masks[1],
            "category_anyof_mask": masks[2],
            "return_mask": masks[3],
        },
    )
    count = lib.native_expected_regions(memory, len(pages), arg, found)
    assert [(found[n].start, found[n].end, found[n].categories) for n in range(count)] == [tuple(r) for r in expected]


@settings(max_examples=100, deadline=None)
@given(pattern=st.integers(0, 255), max_pages=st.integers(0, 9), vec_len=st.integers(1, 9))
def test_the_model_reports_in_order_within_the_limits(pattern: int, max_pages: int, vec_len: int) -> None:
    model, span = Model(Facts()), Span(0, 8)
    model.map(Map(span))
    model.register(Register(span))
    model.scan(Scan(span, ScanFlag.WP_MATCHING, mask=Category.WRITTEN))
    for page in range(8):
        if pattern >> page & 1:
            model.write(Write(Span(page, page + 1)))
    found = model.scan(Scan(span, mask=Category.WRITTEN, max_pages=max_pages, vec_len=vec_len))
    pages = [page for region in found.regions for page in range(region.start, region.end)]
    assert pages == [page for page in range(8) if pattern >> page & 1][: len(pages)]
    assert len(found.regions) <= vec_len and (not max_pages or len(pages) <= max_pages)


def test_the_model_refuses_what_no_document_says() -> None:
    model = Model(Facts())
    with pytest.raises(Unspecified):
        model.write_protect(WriteProtect(Span(0, 1)))


@on_kernel
def test_a_difference_shows_what_a_reader_needs() -> None:
    class Deaf(Model):
        def scan(self, op: Scan) -> ScanResult:
            return super().scan(op)._replace(result=7)

    host = find_host()
    lab = Lab(host, Deaf(host.facts))
    lab.write(lab.map((0, 4)))
    with pytest.raises(KernelDiffers) as raised:
        lab.scan((0, 4), mask=Category.WRITTEN)
    text = str(raised.value)
    for part in (
        "operations:",
        ".category_mask = WRITTEN",
        "expected: returns",
        "observed: returns 7 regions",
    ):
        assert part in text


def run_race(in_two_steps: bool) -> object:
    host = find_host()
    kernel = Kernel(host.sizes)
    lab = Lab(host, kernel)
    span = lab.map((0, 64))
    lab.write(span)
    lab.register(span)
    lab.protect(span)
    found = ffi.new(
        "struct race *",
        {
            "pagemap": kernel.pagemaps["self"],
            "userfaultfd": kernel.userfaultfd(Tracking.ASYNC),
            "memory": kernel.address(0),
            "pages": 64,
            "page_size": host.sizes.page,
            "written_pages": 64,
            "writers": 2,
            "rounds": 300,
            "limit_seconds": 1,
            "vec_len": 512,
            "in_two_steps": in_two_steps,
        },
    )
    checked(lib.native_race(found), "a race")
    lab.close()
    return found


@pytest.mark.parametrize("may_hang", [False, True])
@pytest.mark.parametrize(
    ("shared", "read", "to", "loses"),
    [
        (False, [], 4, True),
        (False, [0], 4, True),
        (False, [1], 4, False),
        (False, [], 1, False),
        (True, [], 4, False),
    ],
    ids=["empty", "what-stays-is-empty", "what-is-moved-is-empty", "onto-what-stays", "shared"],
)
def test_no_program_loses_pages_of_the_pool_of_hugetlb_memory(
    shared: bool, read: list[int], to: int, loses: bool, may_hang: bool
) -> None:
    """In a guest neither: it would lack them later, and children lose theirs where there are none."""
    huge = facts_of("faithful").pages_per_huge_page
    model = Model(facts_of("faithful"))
    model.map(Map(Span(0, 2 * huge), Backing.HUGETLB, shared))
    for unit in read:
        model.read(Read(Span(unit * huge, (unit + 1) * huge)))
    told = harm_of(Move(Span(0, huge), to * huge), model, may_hang)
    assert (told or "").startswith("what is reserved") == loses
    if not (shared or read):
        assert harm_of(Move(Span(0, 2 * huge), 4 * huge), model) is None


@on_kernel
def test_a_race_that_cannot_be_run_is_no_finding() -> None:
    """The stack of a thread is larger than what is left of the address space."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (4 << 20), before[1]))
    try:
        with pytest.raises(SuiteError, match="a race: EAGAIN"):
            run_race(in_two_steps=False)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@on_kernel
def test_a_tracker_that_protects_in_a_second_step_loses_writes() -> None:
    """The race can fail: copying before protecting, what is written between is gone.

    A page that is lost shows at the end of a race unless it was written once more: many short ones are run.
    """
    end = time.monotonic() + 90
    while not run_race(in_two_steps=True).lost_pages:
        assert time.monotonic() < end


@on_kernel
def test_a_kernel_without_huge_pages_has_none_to_keep_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """It doesn't know the advice; any other that is refused is answered so, and what no document allows is an error."""
    kernel = Kernel(find_host().sizes)
    refused = SimpleNamespace(
        native_madvise=lambda *arguments: -errno.EINVAL, NATIVE_DOES_NOT_RETURN=lib.NATIVE_DOES_NOT_RETURN
    )
    monkeypatch.setattr("helpers.kernel.advice.lib", refused)
    assert Advise(Span(0, 1), Advice.NOHUGEPAGE).run(kernel) is None
    assert Advise(Span(0, 1), Advice.HUGEPAGE).run(kernel) == Refusal(errno.EINVAL)
    refused.native_madvise = lambda *arguments: -errno.EIO
    with pytest.raises(SuiteError, match="EIO"):
        Advise(Span(0, 1), Advice.NOHUGEPAGE).run(kernel)
    kernel.close()


class Careless(Model):
    """Takes it that every access comes back."""

    def require_access(self, number: int, page: Page, write: bool) -> None:
        pass


@on_kernel
@pytest.mark.parametrize("access", [Read, Write, ChildWrite], ids=["load", "store", "store of a child"])
def test_an_access_that_waits_for_the_owner_of_a_userfaultfd_is_ended(access: type[Read | Write | ChildWrite]) -> None:
    """Nobody owns one here. What is filled is accessed, behind that it waits; and the program goes on."""
    lab = Lab(find_host(), Kernel(find_host().sizes), model=Careless(find_host().facts))
    tracking = Tracking.FOLLOWING if access is ChildWrite else Tracking.ASYNC
    lab.require(*["fork events"] * (access is ChildWrite))
    lab.map((0, 4))
    lab.register((0, 4), tracking, Faults.MISSING)
    lab.fill((0, 2))
    if access is ChildWrite:
        lab.fork()
    lab.do(access(Span(0, 2)))
    with pytest.raises(KernelDiffers, match="doesn't return"):
        lab.do(access(Span(1, 3)))
    assert Read(Span(0, 2)).run(lab.target) is None
    lab.close()


@pytest.mark.parametrize("protects", [True, False])
@pytest.mark.parametrize("writes", [Write, KernelWrite])
def test_a_write_for_which_a_userfaultfd_is_waited_for_is_left_alone(
    writes: type[Write | KernelWrite], protects: bool
) -> None:
    """To a huge page of a file that is protected, or was, and registered for minor faults: it leaves the tables."""
    model = Model(facts_of("faithful"))
    span = Span(0, model.facts.pages_per_huge_page)
    for operation in (
        Map(span, shared=True),
        Write(span),
        Advise(span, Advice.COLLAPSE),
        Register(span, faults=Faults.MINOR),
        Scan(span, flags=ScanFlag.WP_MATCHING, mask=Category.WRITTEN)
        if protects
        else WriteProtect(span, protect=False),
    ):
        operation.run(model)
    with pytest.raises(Unspecified):
        writes(Span(1, 2)).run(model)


@pytest.mark.parametrize("writes", [Read, Write], ids=["read", "write"])
@pytest.mark.parametrize("is_files", [False, True], ids=["private", "of-a-file"])
def test_whether_a_huge_page_comes_where_small_ones_were_no_document_says(
    writes: type[Read] | type[Write], is_files: bool
) -> None:
    """Kernels don't make one where there is a page table already: a marker of protection has left one here."""
    model = Model(facts_of("faithful"))
    span = Span(0, model.facts.pages_per_huge_page)
    files = (Write(span), Advise(span, Advice.COLLAPSE), Read(span), Register(span), Advise(span, Advice.DONTNEED))
    private = (Advise(span, Advice.HUGEPAGE), Register(span))
    for operation in (
        Map(span, shared=is_files),
        *(files if is_files else private),
        WriteProtect(Span(0, 1)),
        Unregister(span),
    ):
        operation.run(model)
    with pytest.raises(Unspecified, match="small pages were mapped"):
        writes(Span(0, 1)).run(model)


@on_kernel
def test_a_limit_of_the_machine_is_no_answer_of_mremap(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOMEM is the answer where the room is taken, or where the kernel has no other reason to give."""
    kernel = Kernel(find_host().sizes)
    refused = SimpleNamespace(native_mremap=lambda *arguments: -errno.ENOMEM, native_munmap=lambda *arguments: 0)
    monkeypatch.setattr("helpers.kernel.mappings.lib", refused)
    for result in (-errno.EEXIST, kernel.address(1)):
        refused.native_mmap = lambda *arguments, result=result: result
        assert Resize(Span(0, 1), 2).run(kernel) == Refusal(errno.ENOMEM)
    refused.native_mmap = lambda *arguments: -errno.ENOMEM
    with pytest.raises(SuiteError, match="ENOMEM"):
        Resize(Span(0, 1), 2).run(kernel)
    kernel.close()
