"""The suite tells what is wrong with a kernel: each erratum, each planted fault, and each fault beside each erratum.

The programs of the suite are recorded once, and run on models with deviations, without pytest. The many sequences of
the small scope, of masks and of random patterns aren't among them: they take as long as all the others. Nor are the
probes, which are tests as well: it is the other tests that must tell what is wrong.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import pickle
import random
from collections import Counter

import pytest

from helpers.deviations import Erratum, name_of, together
from helpers.errata import responsible
from helpers.model import Model
from helpers.steps import Step
from helpers.stubs import stub_with
from helpers.tests.faults import FAULTS
from helpers.tests.programs import Program
from helpers.tests.recording import RECORD
from helpers.tests.replays import ASKED, Replays, found_by_probing
from helpers.tests.test_stubs import run_suite, verdict_of
from suites.errata import ERRATA

NOT_RECORDED = ("small_scope", "mask_combination", "random_patterns", "known_defect", "test_programs")
#: History that a model can express is as good as planted.
HISTORY = [one for one in ERRATA if not one.has_probe() and any(callable(value) for value in vars(one).values())]
#: What can go wrong.
BROKEN: dict[str, type[Model]] = {**FAULTS, **{name_of(erratum): erratum for erratum in HISTORY}}
pytestmark = pytest.mark.timeout(300)
each_erratum = pytest.mark.parametrize("erratum", ASKED, ids=name_of)
#: Faults that do in the probes of errata what these do. The suite tells them elsewhere.
TAKEN_FOR = {
    "clearing-does-nothing": {"hugetlb-stays-soft-dirty", "split-is-soft-dirty"},
    "clearing-forgets-new-mappings": {"hugetlb-stays-soft-dirty", "split-is-soft-dirty"},
    "does-not-merge": {"split-breaks-merging"},
    "does-not-protect": {"poisoned-hugetlb-not-protected"},
    "dontneed-keeps-protection": {"hugetlb-dontneed-stays-protected"},
    "expansion-loses-soft-dirty": {"growth-is-not-soft-dirty", "soft-dirty-lost-in-merge"},
    "holes-are-accessed": {"guards-are-accessed"},
    "followed-child-is-not-protected": {"fork-unprotects-guards", "fork-unprotects-huge-pages-of-files"},
    "new-mappings-are-clean": {"soft-dirty-lost-in-merge"},
    "pagemap-does-not-say-soft-dirty": {"pagemap-hugetlb-soft-dirty"},
    "protected-is-accessed": {"guards-are-accessed"},
    "protects-one-too-many": {"wp-without-vec-ignores-masks"},
    "registering-protects": {"shmem-split-is-a-hole"},
    "unregister-keeps-protection": {"guards-stay-protected"},
    "without-pfnzero": {"huge-zero-pfnzero"},
    "without-huge": {"empty-hugetlb-not-huge"},
    "without-written": {
        "empty-pte-not-written",
        "hugetlb-dontneed-loses-written",
        "hole-not-written",
        "wp-without-vec-ignores-masks",
    },
    "writing-is-not-soft-dirty": {"pagemap-hugetlb-soft-dirty"},
}
SAME = "does in these tests what the erratum does"
TAKEN = "is taken for another erratum, which does in these tests what it does"
#: What else: with the erratum these tests answer the same, be there the fault or not.
GONE = "would alter what isn't there any more"
#: By erratum, the faults that no test tells that meets the erratum, though such tests do without it. Other tests do.
HIDDEN: dict[str, dict[str, set[str]]] = {
    SAME: {
        "fork-unprotects-guards": {"followed-child-is-not-protected"},
        "fork-unprotects-huge-pages-of-files": {"followed-child-is-not-protected"},
        "growth-is-not-soft-dirty": {"expansion-loses-soft-dirty"},
        "guards-are-accessed": {"holes-are-accessed", "protected-is-accessed"},
        "guards-stay-protected": {"unregister-keeps-protection"},
        "hugetlb-dontneed-loses-written": {"without-written"},
        "hugetlb-dontneed-stays-protected": {"dontneed-keeps-protection"},
        "hugetlb-stays-soft-dirty": {"reading-is-soft-dirty"},
        "pagemap-hugetlb-soft-dirty": {"pagemap-does-not-say-soft-dirty"},
        "poisoned-hugetlb-not-protected": {"does-not-protect"},
        "split-breaks-merging": {"does-not-merge"},
        "split-is-soft-dirty": {"clearing-does-nothing", "clearing-forgets-new-mappings"},
    },
    TAKEN: {
        "growth-is-not-soft-dirty": {"without-written"},
        "guard-install-does-not-return": {"without-written"},
        "hugetlb-dontneed-loses-written": {"dontneed-keeps-protection"},
        "hugetlb-dontneed-stays-protected": {"drop-keeps-poison"},
        "hugetlb-stays-soft-dirty": {"pagemap-does-not-say-soft-dirty"},
        "huge-zero-pfnzero": {"without-written"},
        "pagemap-file-on-huge-zero": {"without-pfnzero"},
        "walk-end-after-eperm": {"without-written"},
    },
    "alters regions, of which the tests get fewer": {
        "fault-on-vec-loses-writes": {"loses-last-region", "regions-overlap"},
        "hole-punch-stays-protected": {"loses-last-region", "regions-overlap"},
        "hugetlb-stays-soft-dirty": {"reports-inverted"},
        "merging-loses-soft-dirty": {"does-not-merge"},
        "wp-without-vec-ignores-masks": {"does-not-merge", "ignores-inverted", "ignores-return-mask"},
        "zero-filled-loses-soft-dirty": {"does-not-merge"},
    },
    "is about pages that are protected, and not WRITTEN, in any case": {
        "hole-punch-stays-protected": {
            "get-only-scan-protects",
            "protects-without-being-asked",
            "without-written",
        },
        "hugetlb-dontneed-stays-protected": {
            "get-only-scan-protects",
            "protects-without-being-asked",
            "without-written",
        },
        "wp-without-vec-ignores-masks": {"protects-one-too-many", "protects-only-with-vec"},
    },
    "is about pages that aren't protected in any case": {
        "gigantic-hugetlb-not-protected": {"does-not-protect"},
        "huge-shmem-reclaimed-loses-protection": {"with-written-on-markers"},
        "poisoned-hugetlb-not-protected": {"with-written-on-markers", "without-marker"},
        "zero-filled-loses-protection": {"protects-one-too-few"},
    },
    "is about empty pages, which aren't WRITTEN in any case": {
        "empty-pte-not-written": {
            "anyof-means-all",
            "followed-child-is-not-protected",
            "swap-loses-protection",
            "the-end-of-a-child-unprotects",
            "writes-of-a-child-are-its-parents",
        },
        "hole-not-written": {
            "anyof-means-all",
            "followed-child-is-not-protected",
            "guard-removal-keeps-protection",
            "swap-loses-protection",
            "the-end-of-a-child-unprotects",
            "unregister-keeps-protection",
            "unregister-leaves-markers",
            "writes-of-a-child-are-its-parents",
        },
    },
    "is about pages that match, of which there are none": {
        "growth-is-not-soft-dirty": {"does-not-merge", "get-only-scan-protects", "protects-without-being-asked"},
    },
    "is about errors that don't come": {
        "vec-len-overflow": {"efault-is-einval", "protects-pages-before-checking-vec"},
    },
    "is about guard regions that never come about": {
        "guard-install-does-not-return": {"guard-install-passes-over-protected"},
    },
}
#: By erratum, the faults that can't show in any test, for the last reason.
UNTOLD = {"guard-install-does-not-return": {"guard-install-passes-over-protected"}}


@pytest.fixture(scope="session")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Replays:
    """The programs of the suite, in an order that is no order. They are recorded once for all workers of a run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    directory = tmp_path_factory.getbasetemp()
    path = (directory.parent if run else directory) / f"programs{run}.pickle"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            # What soft-dirty adds is one bit more of each page: nothing is missed for it.
            which = " and ".join(f"not {name}" for name in NOT_RECORDED)
            plugin = ("-p", "helpers.tests.recording")
            done = run_suite("faithful-soft-dirty", "--dangerous", "-k", which, *plugin, **{RECORD: str(path)})
            assert (done.returncode, verdict_of(done)) == (0, "conforms"), done.stdout[-2000:]
    programs: list[Program] = pickle.loads(path.read_bytes())
    programs.sort(key=lambda program: program.name)
    random.Random(1).shuffle(programs)
    return Replays(programs)


@pytest.mark.long
def test_there_is_enough_to_be_told(replays: Replays) -> None:
    assert len(replays.programs) > 2000
    assert not {name_of(erratum) for erratum in ERRATA} & set(FAULTS)
    assert HISTORY and len(ASKED) * len(BROKEN) > 1000


@pytest.mark.long
@each_erratum
def test_an_erratum_is_found_and_no_other(replays: Replays, erratum: type[Erratum]) -> None:
    """So what is known of a stub that has it is what the stub is, and the suite conforms with known defects."""
    assert found_by_probing(erratum) == replays.found(erratum) == (erratum,)


@pytest.mark.long
@each_erratum
def test_an_erratum_makes_no_difference_before_a_program_meets_it(replays: Replays, erratum: type[Erratum]) -> None:
    """So a model with the erratum needn't be asked until then."""
    for program in replays.programs:
        if program.meets(erratum):
            answers = zip(program.operations, replays.known((erratum,), program), program.expected, strict=True)
            for operation, answer, expected in answers:
                if erratum.is_met_by()(operation, program.facts):
                    break
                assert answer == expected, (program.name, operation)


@pytest.mark.long
def test_any_two_errata_are_told_apart(replays: Replays) -> None:
    """On a kernel that has them the probes find the two, and nothing else."""
    for pair in itertools.combinations(ASKED, 2):
        assert replays.found(*pair) == tuple(one for one in pair if not {*one.hidden_by} & {*pair})


@pytest.mark.long
def test_all_errata_together_are_known(replays: Replays) -> None:
    """Each is found beside all others, and none leaves open what a kernel answers that has them all."""
    told = tuple(one for one in ASKED if not {*one.hidden_by} & {*ASKED})
    assert found_by_probing(*ASKED) == replays.found(*ASKED) == told
    assert len(replays.met(ASKED)) > 250


@pytest.mark.parametrize("erratum", [one for one in ASKED if one.hidden_by], ids=name_of)
def test_an_erratum_is_hidden_by_those_that_it_says(erratum: type[Erratum]) -> None:
    for other in (one for one in ASKED if one is not erratum):
        assert (erratum in found_by_probing(erratum, other)) is (other not in erratum.hidden_by), name_of(other)


@pytest.mark.long
def test_the_errata_that_are_named_are_those_that_matter(replays: Replays) -> None:
    """On a kernel that has all: without those that a failing test doesn't name, its answers are the same."""
    named: Counter[str] = Counter()
    for program in replays.met(ASKED)[::4]:
        answers = zip(program.operations, program.expected, replays.known(ASKED, program), strict=True)
        steps = [
            Step(operation, due, answer, answer, number in program.preconditions)
            for number, (operation, due, answer) in enumerate(answers)
        ]
        found = responsible(ASKED, program.facts, steps)
        assert found and program.is_answered(together(found), replays.known(ASKED, program)), (program.name, found)
        named.update(map(name_of, found))
    print(dict(named))
    assert len(named) > 10


@pytest.mark.long
@pytest.mark.parametrize("name", BROKEN)
def test_the_suite_fails_on_a_stub_with_a_fault(replays: Replays, name: str) -> None:
    """Also where the probes take the fault for an erratum, which then explains a part of what it does."""
    mistaken = found_by_probing(BROKEN[name])
    assert mistaken == replays.found(BROKEN[name])
    assert {name_of(one) for one in mistaken} == TAKEN_FOR.get(name, set())
    assert replays.is_told([BROKEN[name]], mistaken), "no test of the suite tells it"


@pytest.mark.long
@each_erratum
def test_a_fault_is_told_beside_an_erratum(replays: Replays, erratum: type[Erratum]) -> None:
    """Each fault beside this erratum: it is told, and by tests that meet the erratum, too, if any of them tells it."""
    met, count = replays.met((erratum,)), Counter[str]()
    hidden, untold = {}, set()
    assert met, "no test of the suite but its probe meets the erratum"
    for name, fault in BROKEN.items():
        known = replays.found(erratum, fault)
        both = list(replays.telling(met, [fault]))
        told = list(replays.telling(both, [erratum, fault], known))
        if both and not told:
            hidden[name] = why_hidden(replays, erratum, fault, both)
        if not told and not replays.is_told([erratum, fault], known):
            untold.add(name)
        count["faults"] += 1
        count["beside which the probe finds the erratum"] += erratum in known
        count["told by tests that meet the erratum"] += bool(both)
        count["still told by some of these beside it"] += bool(told)
        count["such tests"] += len(both)
        count["that still tell it"] += len(told)
    print(f"{name_of(erratum)}: met by {len(met)} tests; {dict(count)}")
    listed = {fault: why for why, pairs in HIDDEN.items() for fault in pairs.get(name_of(erratum), ())}
    assert hidden == {fault: why if why in (SAME, TAKEN) else GONE for fault, why in listed.items()}
    assert untold == UNTOLD.get(name_of(erratum), set())


def why_hidden(replays: Replays, erratum: type[Erratum], fault: type[Model], programs: list[Program]) -> str:
    """Why programs that meet an erratum don't tell a fault beside it."""
    with_erratum = [replays.known((erratum,), program) for program in programs]
    if with_erratum != [tuple(program.answers(stub_with([erratum, fault]))) for program in programs]:
        return TAKEN
    return SAME if with_erratum == [tuple(program.answers(stub_with([fault]))) for program in programs] else GONE
