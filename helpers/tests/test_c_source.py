"""Programs in C come to the same outcome as the tests that they are printed from."""

import errno
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as tree
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from helpers.c_source.group import stems
from helpers.c_source.parts import DIRECTORY, FILES, parts, words
from helpers.host import find_sizes
from helpers.interface.native import MACHINE
from helpers.machine import Machine
from helpers.tests import ktap
from helpers.tests.faults import FAULTS
from helpers.tests.test_machine import state_of_the_machine
from helpers.tests.test_verdict import forbid

ROOT = Path(__file__).parents[2]
STRICT = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
KEEPS, DIFFERS, CANNOT_ASK = 0, 1, 4
ALTERATIONS = (ROOT / "helpers" / "tests" / "altered.c").read_text()
#: What is broken in these can be brought about under a program: a preloaded library alters the ioctl.
ALTERED = sorted(re.findall(r'\bis\("([\w-]+)"\)', ALTERATIONS))
#: Kernels that lie of what a program finds out before it asks.
LIES = sorted(re.findall(r'\blies\("([\w-]+)"\)', ALTERATIONS))
BROKEN = sorted(set(FAULTS) - set(ALTERED))


#: To print the program of the suite takes minutes, and the first test that needs it waits for that.
pytestmark = pytest.mark.timeout(1500)


@contextmanager
def made_once(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A directory that all workers of a run share: what one is making, the others wait for."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    base = factory.getbasetemp()
    directory = (base.parent if run else base) / f"{name}{run}"
    directory.mkdir(exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


def pytest_run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


def compiled(source: Path, compiler: str = "cc", *options: str) -> Path:
    """The program, as the compiler makes it when it may complain of nothing."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} isn't there: install it")
    program = source.with_suffix("".join(options).replace("-", "."))
    static = ["-static"] if compiler == "musl-gcc" else []
    subprocess.run([compiler, *STRICT, *static, *options, "-o", program, source], check=True, timeout=200)
    return program


def status_of(program: Path, *arguments: str, **options: object) -> int:
    return subprocess.run([program, *arguments], stdout=subprocess.DEVNULL, timeout=100, **options).returncode  # type: ignore


@pytest.fixture(scope="session")
def suite_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the whole suite, compiled."""
    with made_once(tmp_path_factory, "suite") as directory:
        source = directory / "pagemap_scan.c"
        if not source.with_suffix("").exists():
            done = pytest_run("--stub", "faithful", f"--write-suite={source}")
            assert done.returncode == 0, done.stdout[-2000:]
            compiled(source)
    return source.with_suffix("")


def outcomes_by_pytest(report: Path) -> dict[str, str]:
    """What pytest says of each test that the program has, by name."""
    found = {}
    for case in tree.parse(report).iter("testcase"):
        outcome = "pass" if len(case) == 0 or (case.find("properties") is not None and len(case) == 1) else "fail"
        if (skipped := case.find("skipped")) is not None:
            outcome = "xfail" if skipped.get("type") == "pytest.xfail" else "skip"
        found[str(case.get("name"))] = outcome
    return found


def test_the_program_of_the_suite_comes_to_the_same_outcomes(suite_program: Path, alone: None, tmp_path: Path) -> None:
    pytest_run("suites", "-k", "not mask_combination", f"--junit-xml={tmp_path / 'report.xml'}")
    done = subprocess.run([suite_program], capture_output=True, text=True, timeout=400)
    by_program = ktap.read(done.stdout).outcomes
    by_pytest = outcomes_by_pytest(tmp_path / "report.xml")
    compared = {name: outcome for name, outcome in by_program.items() if "mask_comb" not in name}
    assert len(compared) > 2200
    assert {name: by_pytest[name] for name in compared} == compared
    assert done.returncode == (DIFFERS if "fail" in by_program.values() else KEEPS)


def test_the_program_of_the_suite_speaks_ktap(suite_program: Path, alone: None) -> None:
    listed = subprocess.run([suite_program, "-l"], capture_output=True, text=True, timeout=10).stdout.splitlines()
    assert len(listed) > 2400 and len(set(listed)) == len(listed)
    whole = subprocess.run([suite_program], capture_output=True, text=True, timeout=400)
    assert list(ktap.read(whole.stdout).outcomes) == listed
    told = subprocess.run([suite_program, "-t", "test_end_is_rounded_up"], capture_output=True, text=True, timeout=10)
    tests = {f"test_end_is_rounded_up[{end}]": "pass" for end in ("first-byte", "inside", "last-byte")}
    assert ktap.read(told.stdout).groups == {"end_is_rounded_up": tests}


@pytest.mark.parametrize("stub", ["", "ignores-return-mask"])
def test_the_kernels_own_parser_understands_the_program_of_the_suite(
    suite_program: Path, altering_library: Path, alone: None, tmp_path: Path, stub: str
) -> None:
    """Where there is a kernel tree; test_the_program_of_the_suite_speaks_ktap doesn't need one."""
    places = ("/usr/src/linux*", "/lib/modules/*/source", os.environ.get("KERNEL_TREE", "/nowhere"))
    found = [path for place in places for path in glob.glob(f"{place}/tools/testing/kunit/kunit.py")]
    if not found:
        pytest.skip("no kernel tree with tools/testing/kunit in /usr/src: unpack one, or name it in KERNEL_TREE")
    altered = {"LD_PRELOAD": str(altering_library), "ALTER": stub}
    done = subprocess.run([suite_program], env=altered, capture_output=True, text=True, timeout=400)
    (tmp_path / "said").write_text(done.stdout)
    parse = [sys.executable, found[0], "parse", tmp_path / "said"]
    parsed = subprocess.run(parse, capture_output=True, text=True, timeout=200, cwd=Path(found[0]).parents[3]).stdout
    count = ktap.read(done.stdout).counts
    due = {"passed": count["pass"] + count["xfail"], "failed": count["fail"], "skipped": count["skip"]}
    summary = ", ".join(f"{word}: {number}" for word, number in due.items() if number)
    assert re.search(r"Testing complete. Ran (.*)", parsed)[1] == f"{sum(due.values())} tests: {summary}"
    assert "[ERROR]" not in parsed


@pytest.mark.timeout(300)
def test_the_program_of_the_suite_comes_to_the_same_outcomes_in_32_bits(
    suite_program: Path, alone: None, tmp_path: Path
) -> None:
    """As a process of 32 bits on a kernel of 64, whose ioctl has the same structures."""
    trial = tmp_path / "trial.c"
    trial.write_text('#include <stdio.h>\nint main(void) { return puts("") < 0; }\n')
    linked = subprocess.run(["cc", "-m32", "-static", "-o", tmp_path / "trial", trial], capture_output=True)
    if linked.returncode or subprocess.run([tmp_path / "trial"], stdout=subprocess.DEVNULL).returncode:
        pytest.skip("nothing is compiled with cc -m32 -static, or runs, here: on Debian install gcc-multilib")
    programs = (suite_program, compiled(suite_program.with_suffix(".c"), "cc", "-m32", "-static"))
    said = [subprocess.run([program], capture_output=True, text=True, timeout=200).stdout for program in programs]
    assert ktap.read(said[0]).outcomes == ktap.read(said[1]).outcomes


def test_the_program_of_the_suite_is_small_enough_to_be_read(suite_program: Path) -> None:
    lines = suite_program.with_suffix(".c").read_text().splitlines()
    assert len(lines) < 6600
    assert max(len(line.expandtabs()) for line in lines) <= 120


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        (["test_collapse"], ["collapse"]),
        (["test_a_hole", "test_a_hole_is_written"], ["a_hole", "a_hole_is_written"]),
        (["test_a_hole_is_written", "test_a_hole"], ["a_hole_is_written", "a_hole"]),
        (["test_not_on_it"], ["not_on_it"]),
        (["test_a_hole_in_a_file_is_written", "test_a_hole_in_a_disk"], ["a_hole_in_a_file", "a_hole_in_a_disk"]),
        (["test_a_hole_in_a_file_is_written"], ["a_hole_in_a_file"]),
        (["test_scan", "test_8_pages", "test_register"], ["try_scan", "try_8_pages", "try_register"]),
        (["test_walk_end_is_end_after_all"], ["walk_end_is_end"]),
        (["test_scan", "test_try_scan"], ["try_scan", "try_try_scan"]),
    ],
    ids=lambda names: names[0],
)
def test_what_tests_do_has_a_short_name_that_is_its_own(functions: list[str], expected: list[str]) -> None:
    assert list(stems(functions, words()).values()) == expected


def test_a_part_needs_only_parts_before_it() -> None:
    assert sorted(path.stem for path in DIRECTORY.glob("*.c")) == sorted(FILES)
    before: set[str] = set()
    for name, (needs, _) in parts().items():
        assert set(needs) <= before, name
        before.add(name)


def test_the_program_of_a_test_has_only_what_it_uses(tmp_path: Path) -> None:
    assert pytest_run("--stub", "faithful", "-k", "empty_range", f"--write-c={tmp_path}").returncode == 0
    [source] = tmp_path.glob("*.c")
    text = source.read_text()
    assert "sys/mman.h" in text
    assert not re.search(r"sys/(reboot|swap|mount|wait|statfs)|regex|setjmp|UFFD|MADV_|HUGETLB_MEMFD", text)


def test_the_program_of_the_suite_puts_the_machine_back(suite_program: Path, alone: None) -> None:
    before = state_of_the_machine()
    status_of(suite_program)
    assert state_of_the_machine() == before
    with subprocess.Popen([suite_program], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        while not run.stdout.readline().startswith("  ok"):
            pass
        run.terminate()
        run.communicate(timeout=30)
    assert run.returncode == -signal.SIGTERM
    assert state_of_the_machine() == before


def test_a_kernel_without_the_ioctl_cannot_be_asked(suite_program: Path, alone: None, tmp_path: Path) -> None:
    assert pytest_run("--stub", "faithful", "-k", "empty_range", f"--write-c={tmp_path}").returncode == 0
    [source] = tmp_path.glob("*.c")
    no_scan = (MACHINE["__NR_ioctl"], 25, MACHINE["PAGEMAP_SCAN"])
    for program in (suite_program, compiled(source)):
        assert status_of(program, preexec_fn=lambda: forbid(*no_scan)) == CANNOT_ASK


@pytest.mark.parametrize(
    "forbidden",
    [
        (MACHINE["__NR_userfaultfd"], errno.EPERM),
        (MACHINE["__NR_ioctl"], errno.EINVAL, MACHINE["UFFDIO_API"]),
    ],
    ids=["userfaultfd", "UFFDIO_API"],
)
def test_a_kernel_without_asynchronous_protection_cannot_be_asked_the_suite(
    suite_program: Path, alone: None, forbidden: tuple[int, ...]
) -> None:
    assert status_of(suite_program, preexec_fn=lambda: forbid(*forbidden)) == CANNOT_ASK


@pytest.mark.parametrize("compiler", ["gcc", "clang", "musl-gcc"])
def test_a_program_compiles_without_a_word_and_keeps_or_breaks_its_clause(compiler: str, tmp_path: Path) -> None:
    """Of a test that uses much; then with an expectation broken on purpose."""
    name = "test_memory_is_not_tracked_after_mremap_nor_in_a_child[anon]"
    assert pytest_run("--stub", "faithful", f"--write-c={tmp_path}", "suites", "-k", name).returncode == 0
    [source] = tmp_path.glob("*.c")
    assert status_of(compiled(source, compiler)) == KEEPS
    text = source.read_text()
    broken = text.replace("R(64, 72, PAGE_IS_WRITTEN", "R(64, 71, PAGE_IS_WRITTEN")
    assert broken != text
    source.write_text(broken)
    assert status_of(compiled(source, compiler)) == DIFFERS


def test_a_test_that_fails_names_its_program(tmp_path: Path) -> None:
    which = ["--stub", "without-wpallowed", "-k", "exactly_the_categories and anon-zero"]
    done = pytest_run(*which, f"--html={tmp_path / 'r.html'}")
    found = re.search(r"^(failures/\S+\.c)$", done.stdout, re.MULTILINE)
    assert done.returncode == 1 and found and "failures/" in (tmp_path / "r.html").read_text()
    assert status_of(compiled(ROOT / found[1])) == KEEPS


@pytest.fixture(scope="session")
def altering_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("altered") / "altered.so"
    source = ROOT / "helpers" / "tests" / "altered.c"
    subprocess.run(["cc", *STRICT, "-fPIC", "-shared", "-o", library, source], check=True, timeout=60)
    return library


@pytest.mark.parametrize("stub", ["", *ALTERED, *LIES])
def test_the_program_of_the_suite_fails_on_an_altered_kernel(
    suite_program: Path, altering_library: Path, alone: None, stub: str
) -> None:
    altered = {"LD_PRELOAD": str(altering_library), "ALTER": stub}
    assert status_of(suite_program, env=altered) == (DIFFERS if stub else KEEPS)


@pytest.mark.parametrize(
    "lie", ["refuses-written", "refuses-to-register", "refuses-to-protect", "reads-nothing-present"]
)
def test_what_a_kernel_refuses_is_not_skipped(
    suite_program: Path, altering_library: Path, alone: None, lie: str
) -> None:
    """Where it works, tests that need it are asked; so they are where it doesn't."""
    skipped = []
    for name in ("", lie):
        altered = {"LD_PRELOAD": str(altering_library), "ALTER": name}
        done = subprocess.run([suite_program], env=altered, capture_output=True, text=True, timeout=100)
        skipped.append({test for test, outcome in ktap.read(done.stdout).outcomes.items() if outcome == "skip"})
    assert skipped[1] <= skipped[0]


def test_every_broken_stub_is_tried_under_a_program() -> None:
    assert set(ALTERED) < set(FAULTS) and len(BROKEN) + len(ALTERED) == len(FAULTS)


#: Finds, for each stub, a test whose answers it alters, and prints that test with the stub's answers in the place of
#: the contract's: what a program says of this kernel then is what it would say of a broken one.
PRINT_BROKEN = """
import sys
from dataclasses import replace
from pathlib import Path
import pytest
from helpers.c_source.reproducer import reproducer
from helpers.deviations import together
from helpers.errata import answers
from helpers.model import Model, Unspecified
from helpers.operations import Advise, ReadPagemap, Scan
from helpers.plugins import recorder
from helpers.steps import states_of
from helpers.tests.faults import FAULTS
from suites.errata import ERRATA

recorded = []
recorder.Recorder.write = lambda self, config, path: recorded.extend(self.records)
pytest.main(["-q", "-n", "0", "--stub", "faithful", "--write-suite=unused", "suites", "-k", "not small_scope"])
records = [record for record in recorded if record.steps and "swap" not in record.parameters]
KNOWN = together(erratum for erratum in ERRATA if erratum.has_probe())
records.sort(key=lambda record: max(getattr(step.operation, "span", (0, 0))[1] for step in record.steps))

def altered(stub, record, any_will_do):
    model, steps = FAULTS[stub](record.facts), []
    for step in record.steps:
        try:
            answer = step.operation.run(model)
        except Unspecified:
            return None
        if step.is_precondition and isinstance(step.operation, ReadPagemap):
            if states_of(answer) != states_of(step.expected):
                return None
            answer = step.expected  # Nothing else is looked at.
        steps.append(replace(step, expected=answer))
        if answer != step.expected:
            asks = not step.is_precondition and isinstance(step.operation, (Scan, ReadPagemap, Advise))
            # A defect that is known may be what the program says.
            known, due = (list(answers(model(record.facts), record.steps)) for model in (KNOWN, Model))
            if asks and (known == due or any_will_do):
                return reproducer(stub, steps, record.facts, [], "a stub")
            return None
    return None

for stub in sys.argv[2:]:
    tries = (altered(stub, record, any_will_do) for any_will_do in (False, True) for record in records)
    found = next(filter(None, tries), None)
    if found:
        Path(sys.argv[1], stub + ".c").write_text(found)
"""


@pytest.fixture(scope="session")
def broken_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a program for each broken stub."""
    with made_once(tmp_path_factory, "broken") as directory:
        if not any(directory.iterdir()):
            command = [sys.executable, "-c", PRINT_BROKEN, str(directory), *BROKEN]
            subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=900)
    return directory


@pytest.mark.parametrize("stub", BROKEN)
def test_a_program_notices_what_each_broken_stub_does(broken_programs: Path, alone: None, stub: str) -> None:
    source = broken_programs / f"{stub}.c"
    assert source.exists(), "no test tells this stub from the contract"
    with Machine(1, find_sizes()) if os.geteuid() == 0 else nullcontext():
        status = status_of(compiled(source))
    if status == CANNOT_ASK:
        pytest.skip("this kernel hasn't what the stub breaks, or only root can set it up: run as root, on one that has")
    assert status == DIFFERS
