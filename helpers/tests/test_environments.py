"""What a run says where the environment isn't as it should be: a sentence, and a status that isn't the kernel's.

Each row is one way to go wrong, tried on the running kernel or on a stub. In none of them a traceback, or anything left
behind.
"""

import ctypes
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.tests.needs import on_kernel
from helpers.tests.replays import on_stub
from helpers.tests.test_machine import state_of_the_machine
from helpers.tests.test_verdict import KILLS, forbid

pytestmark = [pytest.mark.long, on_kernel]
ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--tb=line", "--no-machine-setup"]
#: Some of each memory that every machine has.
ASKED = "never-protected and not swapped and not hugetlb"
KERNEL = ("suites/test_witness.py", "-k", ASKED)
WRITERS = ("suites/test_categories.py", "-k", "by_the_kernel and anon")
KEEPS = (*on_stub("faithful"), "suites/test_witness.py", "-k", "anon-protected")
DIFFERS = (*on_stub("without-marker"), "suites/test_witness.py", "-k", "file-unpopulated", "--failures=/dev/null/no")
CONFORMS, DIFFERENT, NOT_TOLD, USAGE, NOT_TESTED = 0, 1, 3, 4, 5
PR_SET_THP_DISABLE, PR_SET_TIMERSLACK, PR_SET_MDWE = 41, 29, 65
NATIVE_BUILD = ROOT / "helpers" / "interface" / "_build"


def limit(**limits: int) -> Callable[[], None]:
    """resource limits by their names in small letters."""

    def set_limits() -> None:
        for name, value in limits.items():
            kind = getattr(resource, f"RLIMIT_{name.upper()}")
            resource.setrlimit(kind, (value, resource.getrlimit(kind)[1] if name == "cpu" else value))

    return set_limits


def control(*arguments: int) -> Callable[[], None]:
    """prctl(2); an older kernel doesn't know every option."""
    return lambda: ctypes.CDLL(None).prctl(*arguments, *[0] * (5 - len(arguments)))


def ignore(*numbers: int) -> Callable[[], None]:
    return lambda: [signal.signal(number, signal.SIG_IGN) for number in numbers] and None


def block_all() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def refuse(call: str, number: int = errno.EPERM) -> Callable[[], None]:
    """A system call fails, or its caller is killed: as by the filter of a container."""
    return lambda: forbid(NUMBERS[call], number)


#: Of x86-64; the rows that name them are left out on other machines.
NUMBERS = {
    **{"madvise": 28, "mremap": 25, "clone": 56, "memfd_create": 319, "timer_create": 222},
    **{"fsync": 74, "fallocate": 285, "prctl": 157, "swapon": 167, "setresuid": 117, "ftruncate": 77},
}


def in_namespace(*commands: str, flags: str = "-m") -> tuple[str, ...]:
    """A command in namespaces of its own, after others that a shell carries out there."""
    script = " && ".join([*commands, 'exec "$@"'])
    return ("unshare", *flags.split(), "sh", "-c", script, "sh")


def with_shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script, "sh")


def with_environment(*words: str) -> tuple[str, ...]:
    return ("env", *words)


@dataclass(frozen=True)
class Row:
    """One way: before or around which run, and what it ends with. ``says``: a part of what is said."""

    name: str
    status: int
    says: str
    run: tuple[str, ...] = KERNEL
    wrap: tuple[str, ...] = ()
    before: Callable[[], None] | None = None
    needs_root: bool = False
    is_x86: bool = False

    def __str__(self) -> str:
        return self.name


#: Without bytecode, which would be cut off, and all other processes of these tests would find it.
NO_BYTECODE, SMALL_FILES = with_environment("PYTHONDONTWRITEBYTECODE=1"), limit(fsize=4096)
SAME = "pagemap-scan: conforms"
CANNOT_FIND_OUT = "pagemap-scan: not tested: this process can't find out what there is: "
OVER_BUILD = f"mount -t tmpfs none {NATIVE_BUILD}"
ROWS = [
    # Limits of the process.
    Row("few-descriptors", NOT_TOLD, "OSError: [Errno 24] Too many open files", before=limit(nofile=18)),
    Row("small-files", NOT_TOLD, "File too large", (*KEEPS, "--html=$TMPDIR/../report.html"), NO_BYTECODE, SMALL_FILES),
    Row("no-queued-signals", NOT_TESTED, "EAGAIN: Resource temporarily unavailable", before=limit(sigpending=0)),
    Row("little-memory", CONFORMS, SAME, before=limit(**{"as": 600 << 20})),
    Row("nothing-locked", CONFORMS, SAME, before=limit(memlock=0)),
    Row("no-core", CONFORMS, SAME, before=limit(core=0)),
    Row("small-stack", CONFORMS, SAME, before=limit(stack=1 << 20)),
    Row("no-queues", CONFORMS, SAME, before=limit(msgqueue=0, nice=0, rtprio=0)),
    # How the process was started.
    Row("children-ignored", CONFORMS, SAME, before=ignore(signal.SIGCHLD)),
    Row("hang-ups-ignored", CONFORMS, SAME, before=ignore(signal.SIGHUP, signal.SIGINT, signal.SIGPIPE)),
    Row("all-signals-blocked", CONFORMS, SAME, before=block_all),
    Row("blocked-past-a-limit", NOT_TOLD, "TookTooLong: ", (*KEEPS, "-o", "timeout=0.000001"), before=block_all),
    Row("no-huge-pages", CONFORMS, SAME, before=control(PR_SET_THP_DISABLE, 1)),
    Row("no-writable-code", CONFORMS, SAME, before=control(PR_SET_MDWE, 1)),
    Row("lazy-timers", CONFORMS, SAME, before=control(PR_SET_TIMERSLACK, 10**9)),
    Row("one-processor", CONFORMS, SAME, before=lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])),
    Row("no-random-addresses", CONFORMS, SAME, wrap=("setarch", "-R")),
    Row("old-layout", CONFORMS, SAME, wrap=("setarch", "--addr-compat-layout")),
    Row("read-implies-exec", CONFORMS, SAME, wrap=("setarch", "-X")),
    Row("no-input", CONFORMS, SAME, wrap=with_shell('exec "$@" <&-')),
    Row(
        "no-permissions", DIFFERENT, "pagemap-scan: does not conform", DIFFERS, before=lambda: os.umask(0o777) and None
    ),
    # What Python is told.
    Row("no-environment", CONFORMS, SAME, wrap=with_environment("-i")),
    Row("ascii", CONFORMS, SAME, wrap=with_environment("LC_ALL=C", "PYTHONIOENCODING=ascii:strict")),
    Row("no-home", CONFORMS, SAME, wrap=with_environment("-u", "HOME", "XDG_CACHE_HOME=/dev/null/no")),
    Row("narrow", CONFORMS, SAME, wrap=with_environment("COLUMNS=1", "TERM=dumb", "TZ=no/where")),
    Row("no-assertions", DIFFERENT, "pagemap-scan: does not", DIFFERS, with_environment("PYTHONOPTIMIZE=2")),
    Row("warnings-are-errors", CONFORMS, SAME, wrap=with_environment("PYTHONWARNINGS=error")),
    Row("an-option-from-elsewhere", USAGE, "--last-failed: ", wrap=with_environment("PYTEST_ADDOPTS=--lf")),
    Row("no-such-scratch", USAGE, "--scratch=/no: there is no such directory", (*KERNEL, "--scratch=/no")),
    # What cannot be written.
    Row("no-failures", DIFFERENT, "C programs couldn't be written to /dev/null/no: ", DIFFERS),
    Row(
        "full-output", NOT_TOLD, "standard output can't be written: No space", KEEPS, with_shell('exec "$@" >/dev/full')
    ),
    Row("no-report", NOT_TOLD, "/proc/no/r.xml can't be written", (*KEEPS, "--junit-xml=/proc/no/r.xml")),
    Row("full-report", NOT_TOLD, "/dev/full can't be written: No space", (*KEEPS, "--html=/dev/full")),
    Row("full-log", NOT_TOLD, "/proc/no can't be written: ", (*KEEPS, "--report-log=/proc/no")),
    # Filters of system calls.
    Row("no-madvise", NOT_TESTED, CANNOT_FIND_OUT, before=refuse("madvise"), is_x86=True),
    Row("no-timers", NOT_TESTED, CANNOT_FIND_OUT, before=refuse("timer_create"), is_x86=True),
    Row("no-children", NOT_TESTED, CANNOT_FIND_OUT, before=refuse("clone", errno.EAGAIN), is_x86=True),
    Row("no-memfd", NOT_TESTED, CANNOT_FIND_OUT, before=refuse("memfd_create"), is_x86=True),
    Row(
        "no-room",
        CONFORMS,
        "with 4 MiB to write: name one with --scratch=DIR",
        before=refuse("fallocate", errno.ENOSPC),
        is_x86=True,
    ),
    Row("no-prctl", CONFORMS, SAME, before=refuse("prctl"), is_x86=True),
    Row("no-truncation", NOT_TESTED, CANNOT_FIND_OUT, before=refuse("ftruncate"), is_x86=True),
    Row("killed-for-memfd", -signal.SIGSYS, "", before=refuse("memfd_create", KILLS), is_x86=True),
    # Namespaces and mounts.
    Row("processes-of-its-own", CONFORMS, SAME, wrap=("unshare", "-p", "-f"), needs_root=True),
    Row("hidden-processes", CONFORMS, SAME, KERNEL, in_namespace("mount -t proc -o hidepid=2 proc /proc"), None, True),
    Row(
        "half-a-proc",
        NOT_TESTED,
        "/proc/meminfo",
        KERNEL,
        in_namespace("mount -t proc -o subset=pid p /proc"),
        None,
        True,
    ),
    Row("no-proc", NOT_TESTED, CANNOT_FIND_OUT, KERNEL, in_namespace("mount -t tmpfs none /proc"), None, True),
    Row(
        "no-pagemap",
        NOT_TESTED,
        "/proc/self/pagemap can't be opened",
        KERNEL,
        in_namespace(
            "mount -t tmpfs none /proc",
            "mkdir /proc/self",
            "echo '1 1 0:1 / / rw - ext4 d rw' >/proc/self/mountinfo",
            "touch /proc/meminfo",
        ),
        None,
        True,
    ),
    Row("no-sys", CONFORMS, SAME, KERNEL, in_namespace("mount -t tmpfs none /sys"), None, True),
    Row("a-user-namespace", CONFORMS, SAME, wrap=("unshare", "-U", "-r")),
    Row("full-tmpfs", CONFORMS, SAME, KERNEL, in_namespace("mount -t tmpfs -o size=8k none /dev/shm"), None, True),
    Row(
        "zero-is-null",
        NOT_TOLD,
        "/dev/zero gave 0 bytes, not 1",
        WRITERS,
        in_namespace("mount --bind /dev/null /dev/zero"),
        None,
        True,
    ),
    Row(
        "no-compiler",
        NOT_TESTED,
        "no C compiler: 'no-cc' isn't there",
        KEEPS,
        in_namespace(OVER_BUILD, "export CC=no-cc"),
        None,
        True,
    ),
    Row(
        "bad-compiler",
        NOT_TESTED,
        "pagemap-scan: not tested: false -std=",
        KEEPS,
        in_namespace(OVER_BUILD, "export CC=false"),
        None,
        True,
    ),
    Row(
        "cannot-build",
        NOT_TESTED,
        "_build can't be written: Read-only file system",
        KEEPS,
        in_namespace(OVER_BUILD, f"mount -o remount,ro {NATIVE_BUILD}"),
        None,
        True,
    ),
]


def carried_out(row: Row, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*row.wrap, *options, *row.run],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        preexec_fn=row.before,
    )


def check(row: Row, done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == row.status and row.says in done.stdout, done.stdout[-2000:]
    assert "Traceback" not in done.stdout and "INTERNALERROR> " not in done.stdout.replace("INTERNALERROR> \n", "")


@pytest.fixture
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files go where no other test's do, and are gone in the end."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_wrong_with_the_environment_is_not_the_kernels_fault(row: Row, nothing_left: None) -> None:
    if row.needs_root and os.geteuid() != 0:
        pytest.skip("mounts in a namespace: run as root")
    if row.is_x86 and os.uname().machine != "x86_64":
        pytest.skip("knows the numbers of system calls of x86-64 alone")
    if row.wrap and not shutil.which(row.wrap[0]):
        pytest.skip(f"wants {row.wrap[0]}: install util-linux")
    check(row, carried_out(row, *RUN))


#: Ways that a run as root meets which sets the machine up.
FOR_ROOT = [
    Row("read-only-sys", CONFORMS, SAME, wrap=in_namespace("mount -o remount,ro,bind /sys")),
    Row(
        "read-only-run",
        CONFORMS,
        "the machine's settings stay as they are: /run/pagemap-scan-suite.journal can't be written: Read-only",
        wrap=in_namespace("mount -t tmpfs -o ro none /run"),
    ),
    Row("root-of-a-user-namespace", CONFORMS, SAME, wrap=in_namespace("mount -t tmpfs none /run", flags="-U -r -m")),
    Row("killed-for-swapon", CONFORMS, SAME, before=refuse("swapon", KILLS), is_x86=True),
    Row("no-swapon", CONFORMS, SAME, before=refuse("swapon"), is_x86=True),
    Row("no-other-user", CONFORMS, SAME, before=refuse("setresuid"), is_x86=True),
]


@pytest.mark.skipif(os.geteuid() != 0, reason="sets the machine up: run as root")
@pytest.mark.parametrize("row", FOR_ROOT, ids=str)
def test_a_machine_that_cannot_be_set_up_is_asked_what_it_can_be_asked(row: Row, alone: None) -> None:
    if row.is_x86 and os.uname().machine != "x86_64":
        pytest.skip("knows the numbers of system calls of x86-64 alone")
    before = state_of_the_machine()
    check(row, carried_out(row, *RUN[:-1]))
    assert state_of_the_machine() == before


@pytest.fixture
def without_hugetlb(alone: None) -> Iterator[Path]:
    """A control group that may not have hugetlb pages: cgroup.procs takes whoever is in it."""
    root = next(
        (Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in line), None
    )
    if os.geteuid() != 0 or root is None or "hugetlb" not in (root / "cgroup.controllers").read_text().split():
        pytest.skip("no control group for hugetlb pages: run as root, with the controller of cgroup v2")
    subtree = root / "cgroup.subtree_control"
    had = "hugetlb" in subtree.read_text().split()
    group = root / f"pagemap-scan-{os.getpid()}"
    try:
        subtree.write_text("+hugetlb")
        group.mkdir()
        for limit_of_size in group.glob("hugetlb.*.max"):
            if "rsvd" not in limit_of_size.name:
                limit_of_size.write_text("0")
        yield group / "cgroup.procs"
    finally:
        if group.exists():
            group.rmdir()
        if not had:
            subtree.write_text("-hugetlb")


def test_hugetlb_pages_that_a_control_group_may_not_have_are_not_asked(without_hugetlb: Path) -> None:
    wrap = with_shell(f'echo $$ >{without_hugetlb} && exec "$@"')
    run = ("suites/test_witness.py", "-k", "hugetlb and never-protected", "-rs")
    row = Row("hugetlb", NOT_TESTED, "they aren't given out: a control group has a limit (hugetlb.*.max)", run, wrap)
    check(row, carried_out(row, *RUN[:-1]))


def test_there_are_forty_ways_or_more() -> None:
    names = [row.name for row in [*ROWS, *FOR_ROOT]]
    assert len(names) >= 40 and len(set(names)) == len(names)
