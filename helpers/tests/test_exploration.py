"""Programs that nobody wrote: that all short ones run, that what is wrong is found, and that a find can be pasted."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers.deviations import name_of
from helpers.exploration.alphabet import letters
from helpers.exploration.as_test import as_test
from helpers.exploration.breadth import ALL_KINDS, MANY_PAGES
from helpers.exploration.judge import Judge, RandomTally
from helpers.exploration.random_programs import programs
from helpers.exploration.random_search import RandomSearch
from helpers.exploration.search import Search
from helpers.exploration.settings import SETTINGS, Setting
from helpers.exploration.stretched import SHORT, Stretch
from helpers.exploration.worlds import full_world, small_world, world_of_stub
from helpers.host import Host
from helpers.kernel import Sizes
from helpers.lab import KernelDiffers, Lab
from helpers.model import Facts, Model, Unspecified
from helpers.operations import Operation, Region, ScanResult, Span, Target, Unmap
from helpers.stubs import facts_of, stub_with
from helpers.tests import first_failure
from helpers.tests.faults import FAULTS
from helpers.tests.reach import DIRECTORY, Branch, not_reached
from helpers.tests.rediscovery import programs_until_found
from suites.errata import ERRATA

ROOT = Path(__file__).parents[2]
#: So many programs suffice to find any planted fault.
PROGRAMS = 60_000
#: Errata, and a planted fault, that no short program shows, and why.
NOT_SHORT = {
    "fork-unprotects-huge-pages-of-files": "huge pages are followed by random programs alone: each fork takes long",
    "moved-in-takes-pages-from-others": "it takes three operations: a place is emptied, a child comes, a page is moved",
    "empty-hugetlb-partly-protected": "what shows it may hang a machine",
    "gigantic-hugetlb-not-protected": "it takes pages of 1 GiB",
    "merging-is-writing": "KSM comes by when it likes",
    "merging-loses-soft-dirty": "KSM comes by when it likes",
    "soft-dirty-lost-in-merge": "it takes three operations, and mappings that are alike in every flag",
    "walk-end-of-a-full-buffer": "it takes more regions than pages of a huge page: random programs have them",
}
#: The branches of the model that the search doesn't take, by the reason.
NOT_REACHED = {
    Branch(*branch): reason
    for reason, branches in {
        "it is said of what the alphabet takes care not to ask": (
            ("argument.py", "if isinstance(value, At):", 'raise Unspecified("an address where a number belongs")'),
            (
                "advice.py",
                "if len(takes) > 1:",
                'raise Unspecified("how far advice comes that isn\'t for all of the memory")',
            ),
            (
                "mappings.py",
                "if new.start < op.span.end and op.span.start < new.end:",
                'raise Unspecified("what is moved onto itself")',
            ),
            (
                "mappings.py",
                "if op.keeps_mapping and not all(page.is_private_anonymous for page in self.pages(op.span)):",
                'raise Unspecified("whether a mapping stays that isn\'t private anonymous memory")',
            ),
        ),
        "random programs come to it, but which of them do is for Hypothesis to say": (
            (
                "advice.py",
                "if not stretches:",
                'raise Unspecified("with what MADV_COLLAPSE is refused where there is no room for a huge page")',
            ),
            (
                "filling.py",
                "if op.span.start < source.end and source.start < op.span.end:",
                'raise Unspecified("what is moved onto itself")',
            ),
        ),
        "it harms the machine": (("advice.py", "case Advice.HWPOISON:", "page.drop(keep_protection=False)"),),
        "it takes three operations and more": (
            (
                "advice.py",
                "if any(page.backing is Backing.FILE or (page.backing.has_file and not page.shared) "
                "for page in pages):",
                'raise Unspecified("whether a private mapping of a file is collapsed, or one of a file system\'s own")',
            ),
            ("filling.py", "if page.huge or page.of_huge_frame:", 'return "huge pages, or parts of them"'),
            (
                "filling.py",
                "if self.has_child and page.content is not Content.NONE and not page.of_child_too:",
                'raise Unspecified("whether a page that a child had is known not to be shared any more")',
            ),
            (
                "advice.py",
                "elif part.was_huge_of_file and part.content is Content.PRESENT and not part.anonymous:",
                "part.alternative = Content.NONE",
            ),
            (
                "access.py",
                "if not (page.is_private_anonymous or page.is_of_huge_page):",
                'raise Unspecified(f"whether a huge page is made for page {number}, which is a file\'s or shared")',
            ),
            (
                "advice.py",
                "if not any(self.has_content(page) for page in pages):",
                'raise Unspecified("what there is to be collapsed")',
            ),
            (
                "mappings.py",
                "if not self.surely_has_table(number) and not has_another and not self.memory[to].huge:",
                "self.memory.doubtful_tables.add(to // size)",
            ),
            (
                "witnesses.py",
                "if page and page.may_be_new and self.undecided(page) & SOFT_DIRTY:",
                'raise Unspecified(f"whether page {number} is soft-dirty")',
            ),
            (
                "access.py",
                "if page.is_huge_of_file and Faults.MINOR in page.faults:",
                'raise Unspecified(f"whether a write to page {number} of a file\'s huge page is a minor fault")',
            ),
            (
                "access.py",
                "if page.is_huge_of_file and not page.is_of_huge_page and page.tracking is Tracking.NONE:",
                'raise Unspecified("whether a file\'s huge page stays one when it is written to where none is wanted")',
            ),
            (
                "categories.py",
                "if page.may_be_new and self.facts.soft_dirty and not page.dirtied:",
                "found |= SOFT_DIRTY",
            ),
            (
                "processes.py",
                "if any(page.content is Content.POISONED for page in self.memory.values()):",
                'raise Unspecified("whether what is poisoned is so for a child")',
            ),
            ("processes.py", "if self.child is None:", "raise Refused(errno.ESRCH)"),
        ),
        "small pages are mapped, and their room is emptied and protected in part, before a huge page may come": (
            (
                "access.py",
                "if number // self.facts.pages_per_huge_page in self.memory.tables:",
                'raise Unspecified(f"whether a huge page is made for page {number}, where small pages were mapped")',
            ),
        ),
        "errata alone ask it": (
            (
                "memory.py",
                "if table in space.tables & space.doubtful_tables:",
                'raise Unspecified(f"whether there is a page table for page {number}")',
            ),
            ("memory.py", "if table in space.tables & space.doubtful_tables:", "return table in space.tables"),
        ),
        "pages that stand for many aren't moved to where they stand for themselves": (
            ("mappings.py", "if any(page.huge for page in pages):", "self.split(self.memory, unit)"),
        ),
        "test_errors.py asks every argument": (
            (
                "argument.py",
                "if last < first or last > USER_END:",
                "return (first - BASE) // size, -((BASE - last) // size)",
            ),
            ("argument.py", "if not isinstance(place, At):", "return False"),
            (
                "scan.py",
                "if place is not None and not self.is_mapped(place, SCAN_ARG_SIZE, for_writing=True):",
                "raise Refused(errno.EFAULT)",
            ),
        ),
    }.items()
    for branch in branches
}
FACTS = facts_of("faithful")
BY_NAME = {str(setting): setting for setting in SETTINGS}


def host_of(facts: Facts) -> Host:
    return Host(Sizes(facts.page_size, facts.page_size * facts.pages_per_huge_page), facts, {})


def search(setting: Setting, broken: Sequence[type[Model]] = (), facts: Facts = FACTS) -> Search:
    """A search on a stub; a program is told again on another."""

    def target(sizes: Facts) -> Target:
        return stub_with(broken)(sizes)

    def retell(program: Sequence[Operation]) -> Lab:
        lab = Lab(host_of(facts), target(facts))
        for operation in program:
            lab.do(operation)
        return lab

    world = (small_world if setting.has_huge_pages else full_world)(facts, target)
    return Search(setting, world, [], letters(setting, world.facts), retell)


def test_every_program_is_counted() -> None:
    found = search(BY_NAME["anon"])
    tally = found.all_of(2)
    letters_of = len(found.alphabet)
    assert tally.programs == letters_of + letters_of**2 == tally.ran + tally.unspecified + tally.passed_over
    assert tally.ran > tally.programs // 2


def test_the_first_letters_divide_the_programs() -> None:
    whole = search(BY_NAME["anon-guard"]).all_of(2)
    every = len(search(BY_NAME["anon-guard"]).alphabet)
    parts = [search(BY_NAME["anon-guard"]).all_of(2, range(place, every, 3)) for place in range(3)]
    assert sum(part.programs for part in parts) == whole.programs
    assert sum(part.ran for part in parts) == whole.ran


def test_no_letter_is_another_one_by_a_different_name() -> None:
    for setting in SETTINGS:
        alphabet = letters(setting, FACTS)
        assert len({str(letter) for letter in alphabet}) == len(alphabet) >= 20


def test_what_the_search_does_not_reach_is_still_there() -> None:
    for branch in NOT_REACHED:
        lines = {line.strip() for line in (DIRECTORY / branch.file).read_text().splitlines()}
        assert {branch.line, branch.to} <= lines, f"{branch} is no branch of the model any more: take it off the list"


@pytest.mark.long
def test_the_search_reaches_the_whole_model() -> None:
    """Each branch of it is taken by a program of two operations, or by one of the random ones that a run asks."""
    assert {*not_reached()} - {*NOT_REACHED} == set()


def test_what_no_short_program_shows_is_an_erratum_or_a_fault() -> None:
    assert {*NOT_SHORT} <= {name_of(erratum) for erratum in ERRATA} | {*FAULTS}


def test_the_settings_have_different_names() -> None:
    assert len(BY_NAME) == len(SETTINGS)


def test_the_first_difference_is_the_shortest() -> None:
    found = search(BY_NAME["anon-protected"], [FAULTS["move-keeps-protection"]])
    with pytest.raises(KernelDiffers, match=r"move\(.*\)\n(.*scan|.*read_pagemap)"):
        found.all_of(3)
    assert found.tally.ran <= len(found.alphabet)


def test_a_find_can_be_pasted_as_a_test() -> None:
    program: list[Operation] = []
    broken = [FAULTS["guard-removal-keeps-protection"]]
    lab = Lab(host_of(FACTS), stub_with(broken)(FACTS))

    def retell(told: Sequence[Operation]) -> Lab:
        for operation in told:
            program.append(operation)
            lab.do(operation)
        return lab

    setting = BY_NAME["anon-protected"]
    world = full_world(FACTS, lambda sizes: stub_with(broken)(sizes))
    with pytest.raises(KernelDiffers):
        Search(setting, world, [], letters(setting, FACTS), retell).all_of(2)
    names: dict[str, object] = {}
    exec(as_test(program), names)
    test = names["test_found_by_a_search"]
    with pytest.raises(KernelDiffers):
        test(Lab(host_of(FACTS), stub_with(broken)(FACTS)))
    test(Lab(host_of(FACTS), stub_with([])(FACTS)))


@pytest.mark.parametrize("page", range(3 * SHORT + 1))
def test_a_page_of_the_small_world_is_found_again(page: int) -> None:
    stretch = Stretch(FACTS)
    assert stretch.short(stretch.long(page)) == page


def test_the_small_world_has_no_name_for_the_middle_of_a_page() -> None:
    stretch = Stretch(FACTS)
    known = [stretch.long(page) for page in range(2 * SHORT)]
    assert [page for page in range(2 * FACTS.pages_per_huge_page) if stretch.short(page) is not None] == known
    assert stretch.short(0.5) is None
    answer = ScanResult(1, (Region(0, 7, FACTS.known),), 7)
    assert isinstance(stretch.short_result(answer), str)
    assert stretch.short_result(answer._replace(regions=(Region(0, 3, FACTS.known),), walk_end=None)) == ScanResult(
        1, (Region(0, 3, FACTS.known),), None
    )


def test_what_is_stretched_has_the_size_of_a_huge_page() -> None:
    assert Stretch(FACTS).long(SHORT) == FACTS.pages_per_huge_page
    assert Span(*map(Stretch(FACTS).long, (SHORT, 2 * SHORT))) == Span(512, 1024)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("setting", [one for one in SETTINGS if one.has_huge_pages], ids=str)
def test_the_small_world_answers_as_the_large_one_does(setting: Setting) -> None:
    found = search(setting)
    tally = found.all_of(1)
    assert tally.ran > 0
    assert tally.told_apart <= 2  # Of a max_pages that ends among the pages that one page stands for.


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in NOT_SHORT])
def test_a_planted_fault_is_found(name: str) -> None:
    programs = programs_until_found(FAULTS[name])
    assert programs is not None and programs <= PROGRAMS


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "erratum",
    [
        one
        for one in ERRATA
        if name_of(one) not in NOT_SHORT and any(callable(value) for key, value in vars(one).items() if key != "probe")
    ],
    ids=name_of,
)
def test_an_erratum_is_found(erratum: type[Model]) -> None:
    assert programs_until_found(erratum) is not None


def random_search(
    broken: Sequence[type[Model]], kept: Path, replays: bool = True
) -> tuple[RandomSearch, list[list[Operation]]]:
    """A search on a stub, and the programs that were told again, in their order."""
    told: list[list[Operation]] = []

    def target(sizes: Facts) -> Target:
        return stub_with(broken)(sizes)

    def retell(program: Sequence[Operation]) -> Lab:
        told.append([*program])
        lab = Lab(host_of(FACTS), target(FACTS))
        try:
            for operation in program:
                lab.do(operation)
        except KernelDiffers as difference:
            difference.add_note("as a test")
            raise
        return lab

    judge = Judge(world_of_stub(FACTS, target), retell, RandomTally())
    return RandomSearch(judge, programs(judge.world.facts, [], (), ALL_KINDS), kept, replays), told


def test_random_programs_are_the_contracts_on_a_faithful_stub(tmp_path: Path) -> None:
    found, told = random_search([], tmp_path)
    tally = found.run(first_seed=0, programs=30)
    assert (tally.programs, tally.ran, told) == (30, 30, [])
    assert not [*tmp_path.iterdir()]


@pytest.mark.long
def test_what_a_random_program_finds_is_shrunk_and_kept(tmp_path: Path) -> None:
    broken = [FAULTS["without-pfnzero"]]  # Found soon: what takes long here is the search, not what is asked of it.
    first, told = random_search(broken, tmp_path)
    with pytest.raises(KernelDiffers) as difference:
        first.run(first_seed=0, programs=2_000)
    assert difference.value.__notes__ == ["as a test"]
    shortest = told[-1]
    assert len(shortest) <= 30 and len(told) > 10
    again, told = random_search(broken, tmp_path)
    with pytest.raises(KernelDiffers):
        again.run(first_seed=1, programs=1)
    assert len(told[0]) <= len(shortest)
    other, told = random_search(broken, tmp_path, replays=False)
    other.run(first_seed=1, programs=1)
    assert not told, "each of the searches of a run would end where the first one does"


def test_random_programs_differ_by_their_seed(tmp_path: Path) -> None:
    ran: list[list[Operation]] = []
    for number in (1, 1, 2):
        found, _ = random_search([], tmp_path)
        asked: list[Operation] = []
        found.judge.judge = lambda program, *rest, asked=asked: asked.extend(program)  # type: ignore[method-assign]
        found.run_batch(number, 5)
        ran.append(asked)
    assert ran[0] == ran[1] != ran[2]


def test_the_limits_of_random_programs_are_around_a_huge_page_of_any_size() -> None:
    for huge in (512, 2048, 8192):
        assert {huge - 1, huge, huge + 1} <= {*MANY_PAGES.limits(huge)}
        assert MANY_PAGES.many(huge) > 2 * huge


def test_an_erratum_without_which_a_model_does_not_go_on_is_found_out_again() -> None:
    class Stops(Model):
        def unmap(self, op: Unmap) -> None:
            raise Unspecified("nothing")

    def target(sizes: Facts) -> Target:
        return stub_with([])(sizes)

    judge = Judge(full_world(FACTS, target), lambda program: Lab(host_of(FACTS), target(FACTS)), RandomTally())
    judge.met = [Stops]  # type: ignore[list-item]
    assert not judge.is_explained([Unmap(Span(0, 1))], [None])


@pytest.mark.parametrize(
    ("stub", "status", "said"), [("faithful", 0, "conforms"), ("without-marker", 1, "not conform")]
)
def test_the_last_lines_of_a_run_say_how_many_programs_ran(stub: str, status: int, said: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "suites/test_programs.py",
        "-k",
        "anon-guard and not followed",
    ]
    options = [f"--stub={stub}", f"--failures={tmp_path}"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.returncode, said in done.stdout.splitlines()[-1]) == (status, True)
    if status:
        assert "def test_found_by_a_search(lab: Lab)" in done.stdout
        assert [*tmp_path.glob("*.c")]
    else:
        asked = search(BY_NAME["anon-guard"]).all_of(2).programs
        assert f"pagemap-scan: {asked:,} programs: " in done.stdout


def test_the_slowest_first_failure_is_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    first_failure.main(["soon", "late", "never"], {"soon": 1.0, "late": 4.0, "never": None}.__getitem__)
    assert capsys.readouterr().out.splitlines() == [
        "never: not found",
        "late: 4.0 s",
        "soon: 1.0 s",
        "median of 2: 2.5 s",
    ]
