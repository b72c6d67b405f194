"""The C program of the whole suite: it comes to the same outcomes as the tests that it is printed from."""

import errno
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree as tree
from contextlib import nullcontext
from pathlib import Path

import pytest

from helpers.host import find_sizes
from helpers.interface.native import MACHINE
from helpers.machine import JOURNAL, Machine
from helpers.tests import ktap
from helpers.tests.broken import ALTERED, BROKEN, PLACE
from helpers.tests.faults import FAULTS
from helpers.tests.needs import on_kernel
from helpers.tests.test_c_source import CANNOT_ASK, DIFFERS, KEEPS, LINE, ROOT, STRICT, compiled, pytest_run, status_of
from helpers.tests.test_machine import state_of_the_machine
from helpers.tests.test_verdict import forbid

#: Kernels that lie of what a program finds out before it asks.
LIES = sorted(re.findall(r'\blies\("([\w-]+)"\)', (ROOT / "helpers" / "tests" / "altered.c").read_text()))
#: To print the program of the suite takes a minute or two, and the first test that needs it waits for that.
pytestmark = [pytest.mark.long, pytest.mark.timeout(1500), on_kernel]


@pytest.fixture(scope="session")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the program of the whole suite, compiled, and programs that notice what broken stubs do.

    All workers of a run share it: while one makes it, the others wait.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if run else base) / f"printed{run}"
    directory.mkdir(exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        source = directory / "pagemap_scan.c"
        if not source.with_suffix("").exists():
            which = ("--stub", "faithful", f"--write-suite={source}", "-p", "helpers.tests.broken")
            done = pytest_run(*which, **{PLACE: str(directory)})
            assert done.returncode == 0, done.stdout[-2000:]
            compiled(source)
    return directory


@pytest.fixture
def suite_program(printed: Path) -> Path:
    return printed / "pagemap_scan"


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
    left_out = ("--ignore=suites/test_programs.py", "-k", "not mask_combination")
    pytest_run("suites", *left_out, f"--junit-xml={tmp_path / 'report.xml'}")
    done = subprocess.run([suite_program], capture_output=True, text=True, timeout=400)
    by_program = ktap.read(done.stdout).outcomes
    by_pytest = outcomes_by_pytest(tmp_path / "report.xml")
    compared = {name: outcome for name, outcome in by_program.items() if "mask_comb" not in name}
    assert len(compared) > 2200
    assert {name: by_pytest[name] for name in compared} == compared
    assert done.returncode == (DIFFERS if "fail" in by_program.values() else KEEPS)


def test_a_part_of_the_suite_can_be_a_program(alone: None, tmp_path: Path) -> None:
    """Of which some kinds of memory are no part: those that probes and tests have are the same all the same."""
    source = tmp_path / "filling.c"
    done = pytest_run("suites/test_filling.py", "--stub", "faithful", f"--write-suite={source}")
    assert (
        done.returncode == 0
        and '"hugetlb-shared", ' in source.read_text()
        and '"file-shared", ' not in source.read_text()
    )
    pytest_run("suites/test_filling.py", f"--junit-xml={tmp_path / 'report.xml'}")
    told = subprocess.run([compiled(source)], capture_output=True, text=True, timeout=100)
    outcomes, by_pytest = ktap.read(told.stdout).outcomes, outcomes_by_pytest(tmp_path / "report.xml")
    assert told.returncode == KEEPS and outcomes == {name: by_pytest[name] for name in outcomes}


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
    altered = {"LD_PRELOAD": str(altering_library), "ALTER": stub}
    done = subprocess.run([suite_program], env=altered, capture_output=True, text=True, timeout=400)
    (tmp_path / "said").write_text(done.stdout)
    parsed = ktap.kunit(tmp_path / "said")
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
    compiler = "i686-linux-gnu-gcc"
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}: on Debian install gcc-i686-linux-gnu and libc6-dev-i386-cross")
    subprocess.run([compiler, "-static", "-o", tmp_path / "trial", trial], check=True, timeout=60)
    if subprocess.run([tmp_path / "trial"], stdout=subprocess.DEVNULL).returncode:
        pytest.skip("no process of 32 bits runs here")
    programs = (suite_program, compiled(suite_program.with_suffix(".c"), compiler, "-static"))
    said = [subprocess.run([program], capture_output=True, text=True, timeout=200).stdout for program in programs]
    assert ktap.read(said[0]).outcomes == ktap.read(said[1]).outcomes


def test_a_test_that_is_another_one_on_new_kernels_is_there_for_both(suite_program: Path) -> None:
    """Once for each kernel: what WRITTEN is said of differs, and so does what is expected."""
    text = suite_program.with_suffix(".c").read_text()
    rows = [text.count(f".only_on = {name}") for name in ("OLD_WRITTEN", "NEW_WRITTEN")]
    assert min(rows) > 30
    listed = subprocess.run([suite_program, "-l"], capture_output=True, text=True, timeout=60).stdout.splitlines()
    assert len(listed) == len(set(listed)) > 2900


def test_the_program_of_the_suite_is_small_enough_to_be_read(suite_program: Path) -> None:
    lines = suite_program.with_suffix(".c").read_text().splitlines()
    listed = subprocess.run([suite_program, "-l"], capture_output=True, text=True, timeout=60).stdout.splitlines()
    assert len(lines) < 2.6 * len(listed)
    assert max(len(line.expandtabs()) for line in lines) <= LINE


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_the_program_of_the_suite_puts_the_machine_back(suite_program: Path, alone: None, end: signal.Signals) -> None:
    before = state_of_the_machine()
    status_of(suite_program, "-t", "test_end_is_rounded_up")
    assert state_of_the_machine() == before
    with subprocess.Popen([suite_program], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        while not run.stdout.readline().startswith("  ok"):
            pass
        run.send_signal(end)
        run.communicate(timeout=30)
    assert run.returncode == -end
    deadline = time.monotonic() + 30
    while state_of_the_machine() != before and time.monotonic() < deadline:
        time.sleep(0.05)  # The process that puts back what a killed one has changed says nothing when it has.
    assert state_of_the_machine() == before


def test_the_program_of_the_suite_waits_for_a_run_that_has_changed_the_machine(
    suite_program: Path, alone: None
) -> None:
    with JOURNAL.open("w") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        command = [suite_program, "-t", "test_end_is_rounded_up"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None and run.stderr is not None
            assert run.stderr.readline() == "# waiting for another run, which has changed this machine\n"
            assert not select.select([run.stdout], [], [], 0)[0]
            JOURNAL.unlink()  # As whoever has the lock does when it is done.
            fcntl.flock(journal, fcntl.LOCK_UN)
            assert "\nok 1" in run.communicate(timeout=60)[0]
    assert (run.returncode, JOURNAL.exists()) == (0, False)


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


@pytest.mark.parametrize("stub", BROKEN)
def test_a_program_notices_what_each_broken_stub_does(printed: Path, alone: None, stub: str) -> None:
    source = printed / f"{stub}.c"
    assert source.exists(), "no test tells this stub from the contract"
    with Machine(1, find_sizes()) if os.geteuid() == 0 else nullcontext():
        status = status_of(compiled(source))
    if status == CANNOT_ASK:
        pytest.skip("this kernel hasn't what the stub breaks, or only root can set it up: run as root, on one that has")
    assert status == DIFFERS
