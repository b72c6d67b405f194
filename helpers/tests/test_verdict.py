"""What a run says when nothing, or not everything, can be asked."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.interface.native import MACHINE
from helpers.tests.needs import on_kernel
from helpers.tests.replays import on_stub

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, "-m", "pytest", "-q", "-n", "0"]
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
#: In the place of an errno: who asks is ended.
KILLS = -1
#: Instructions of classic BPF, and where struct seccomp_data has the number and the second argument's low half.
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
NR, SECOND_ARGUMENT = 0, 24 if sys.byteorder == "little" else 28


class Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.c_void_p))


def forbid(system_call: int, errno: int, second_argument: int | None = None) -> None:
    """From now on a system call of this process (with a certain second argument) fails: seccomp(2)."""
    rest = [(LOAD, 0, 0, SECOND_ARGUMENT), (EQUAL, 0, 1, second_argument)] if second_argument is not None else []
    steps = [(LOAD, 0, 0, NR), (EQUAL, 0, len(rest) + 1, system_call), *rest]
    answer = SECCOMP_RET_KILL_PROCESS if errno == KILLS else SECCOMP_RET_ERRNO | errno
    steps += [(RETURN, 0, 0, answer), (RETURN, 0, 0, SECCOMP_RET_ALLOW)]
    instructions = (Instruction * len(steps))(*steps)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    program = Program(len(steps), ctypes.addressof(instructions))
    assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0


@on_kernel
@pytest.mark.parametrize(
    ("forbidden", "says"),
    [
        ((MACHINE["__NR_ioctl"], 25, MACHINE["PAGEMAP_SCAN"]), "this kernel has no PAGEMAP_SCAN (ENOTTY)"),
        ((MACHINE["__NR_ioctl"], 22, MACHINE["UFFDIO_API"]), "the kernel lacks UFFD_FEATURE_WP_ASYNC"),
        ((MACHINE["__NR_userfaultfd"], 1), "start the container with a seccomp profile that allows userfaultfd"),
        ((MACHINE["__NR_userfaultfd"], 38), "built without CONFIG_USERFAULTFD"),
        ((MACHINE["__NR_userfaultfd"], KILLS), "userfaultfd: who asks is killed (SIGSYS), as by a seccomp filter"),
        ((MACHINE["__NR_ioctl"], KILLS, MACHINE["PAGEMAP_SCAN"]), "PAGEMAP_SCAN: who asks is killed (SIGSYS)"),
    ],
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_is_missing_is_said_in_a_sentence(forbidden: tuple[int, ...], says: str, workers: str) -> None:
    done = subprocess.run(
        [*RUN[:-1], workers, "suites/test_witness.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: forbid(*forbidden),
    )
    assert done.returncode == 5
    said = done.stdout + done.stderr
    assert "pagemap-scan: not tested: " in said and says in said
    assert "Traceback" not in said


def test_a_selection_of_nothing_does_not_exit_zero() -> None:
    command = [*RUN, *on_stub("faithful"), "-k", "exhaustive"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 5 and "not tested" in done.stdout.splitlines()[-1]


@on_kernel
@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="becomes another user: needs root")
def test_an_ordinary_user_asks_what_an_ordinary_user_may(alone: None) -> None:
    """The one thing that sets this user apart: it may read this checkout and this Python, wherever they lie."""
    capability = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    identity = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+dac_read_search"]
    done = subprocess.run(
        [
            "setpriv",
            *identity,
            *capability,
            *RUN,
            *(f"suites/test_{topic}.py" for topic in ("errors", "witness", "categories")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "only root may: run as root" in done.stdout
    assert int(done.stdout.splitlines()[-1].split(" passed")[0].rsplit(" ", 1)[1]) > 500


@pytest.mark.parametrize("named", [[], ["suites"], ["--pyargs", "suites.test_witness"]], ids=str)
def test_the_known_defects_are_known_however_the_tests_are_named(named: list[str]) -> None:
    command = [*RUN, *on_stub("pagemap-file-on-huge-zero"), "-k", "pagemap_says and thp-zero-protected", *named]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "conforms with known defects; " in done.stdout.splitlines()[-1]
