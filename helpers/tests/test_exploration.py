"""Programs that nobody wrote: that all short ones run, that what is wrong is found, and that a find can be pasted."""

from collections.abc import Sequence

import pytest

from helpers.deviations import name_of
from helpers.exploration.alphabet import letters
from helpers.exploration.as_test import as_test
from helpers.exploration.search import Search
from helpers.exploration.settings import SETTINGS, Setting
from helpers.exploration.stretched import SHORT, Stretch
from helpers.exploration.worlds import full_world, small_world
from helpers.host import Host
from helpers.kernel import Sizes
from helpers.lab import KernelDiffers, Lab
from helpers.model import Facts, Model
from helpers.operations import Operation, Region, ScanResult, Span, Target
from helpers.stubs import facts_of, stub_with
from helpers.tests.faults import FAULTS
from helpers.tests.rediscovery import programs_until_found
from suites.errata import ERRATA

#: So many programs suffice to find any planted fault.
PROGRAMS = 60_000
#: Errata that no short program shows, and why.
NOT_SHORT = {
    "empty-hugetlb-partly-protected": "what shows it may hang a machine",
    "gigantic-hugetlb-not-protected": "it takes pages of 1 GiB",
    "merging-is-writing": "KSM comes by when it likes",
    "merging-loses-soft-dirty": "KSM comes by when it likes",
    "soft-dirty-lost-in-merge": "it takes three operations, and mappings that are alike in every flag",
    "walk-end-of-a-full-buffer": "it takes more regions than pages of a huge page: random programs have them",
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
    parts = [search(BY_NAME["anon-guard"]).all_of(2, range(place, 33, 3)) for place in range(3)]
    every = len(search(BY_NAME["anon-guard"]).alphabet)
    assert every == 33
    assert sum(part.programs for part in parts) == whole.programs
    assert sum(part.ran for part in parts) == whole.ran


def test_no_letter_is_another_one_by_a_different_name() -> None:
    for setting in SETTINGS:
        alphabet = letters(setting, FACTS)
        assert len({str(letter) for letter in alphabet}) == len(alphabet) >= 20


def test_what_no_short_program_shows_is_an_erratum() -> None:
    assert {*NOT_SHORT} <= {name_of(erratum) for erratum in ERRATA}


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
@pytest.mark.parametrize("name", FAULTS)
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
