"""Ways for the environment to go wrong: each is said in a sentence, with the status of a run that couldn't ask.

In none of them there is a traceback, a verdict on the kernel that isn't its own, or anything left behind.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vm import CHECKOUT, CannotRun
from vm.cache import directory as cache_directory
from vm.guest import accel
from vm.guest.boot import interpreter_of
from vm.kernels.archive import Archive
from vm.results.directory import results_in
from vm.results.verdict import CONFORMS, DOES_NOT, INTERRUPTED, NOT_ASKED
from vm.tests import handwritten
from vm.tests.images import write_image
from vm.tests.needs import lacking, to_boot
from vm.tests.runs import MARKER, left_behind

pytestmark = pytest.mark.long
#: QEMU, as far as virtme-ng looks at it before it starts it; then it does what the test wants.
QEMU = """\
#!/bin/sh
[ "$1" = --version ] && {{ echo 'QEMU emulator version 7.2.0'; exit; }}
{does}
"""
BOOTED = "echo '[    1.000000] pagemap-scan-suite: booted'"
#: Without any of these a test has the directory's own.
STAND_IN = ("-m", "vm.tests.stand_in", "run")
RUN = ("-m", "vm", "run")
#: In these, what is in braces is a place of the test's own: a good and a bad kernel's image, directories.
GOOD, BAD = ("{good}", "--accel=tcg", "--results={results}"), ("{bad}", "--accel=tcg", "--results={results}")


@dataclass(frozen=True)
class Row:
    """An environment: what is different in it, what is asked of it, and what has to come of that."""

    name: str
    command: tuple[str, ...]
    says: str
    status: int = NOT_ASKED
    #: Variables, None for one that isn't set; what a shell does first; how it starts the command; what QEMU does.
    environment: Mapping[str, str | None] = field(default_factory=dict)
    before: str = ":"
    redirected: str = ""
    qemu: str = ""


NO_CACHE = r"the cache \S+ can't be (made|written): .*name another directory in XDG_CACHE_HOME"
NOT_WRITTEN = "the results directory {results} can't be written: "
ANOTHERS = "the results directory {results} is that of another run, which isn't over: give --results"
BLANKS = "virtme-ng takes no words with blanks or what else a shell changes: "
LOCKED = "mkdir {results} && exec 9>{results}/.lock && flock 9"
TOLD = "^reports and logs: "
NO_HOME = {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": None}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SAFE = {"PYTHONSAFEPATH": "1", "PYTHONPATH": None}
NOWHERE = {"PATH": "/nonexistent"}
ELSEWHERE = {"PYTHONPATH": "{link}", "PYTHONSAFEPATH": "1", "PATH": None}
ODD = {"TMPDIR": "/proc/nowhere", "PYTHONOPTIMIZE": "2", "PYTEST_ADDOPTS": "--no-such", "PATH": ""}
ROWS = [
    # --- The user's directories
    Row("home-missing-fetch", ("-m", "vm", "fetch", "6.12"), NO_CACHE, environment=NO_HOME),
    Row("home-missing-list", ("-m", "vm", "list"), NO_CACHE, environment=NO_HOME),
    Row("home-missing-run", (*STAND_IN, *GOOD), NO_CACHE, environment=NO_HOME),
    Row("home-missing-tree", (*RUN, "{tree}"), NO_CACHE, environment=NO_HOME),
    Row("cache-is-a-file", (*STAND_IN, *GOOD), NO_CACHE, environment={"XDG_CACHE_HOME": "{good}"}),
    Row(
        "directory-gone",
        (*RUN, *GOOD),
        "the current directory is gone .*: cd to another",
        before="mkdir {work}/gone && cd {work}/gone && rmdir {work}/gone",
    ),
    Row("directory-read-only", (*STAND_IN, "{good}"), "directory results/6.* can't be written", before="cd /proc"),
    Row("elsewhere-by-a-link", (*STAND_IN, *GOOD), TOLD, CONFORMS, ELSEWHERE, before="cd /"),
    Row("odd-variables", (*STAND_IN, *GOOD), TOLD, CONFORMS, ODD),
    # --- Results
    Row("results-are-a-file", (*RUN, *GOOD), f"{NOT_WRITTEN}File exists", before="touch {results}"),
    Row("results-on-proc", (*RUN, *GOOD, "--results=/proc/x"), "directory /proc/x can't be written: "),
    Row("results-of-another-run", (*STAND_IN, *GOOD), ANOTHERS, before=LOCKED),
    Row("results-of-another-matrix", ("-m", "vm", "matrix", "--results={results}"), ANOTHERS, before=LOCKED),
    Row(
        "results-removed",
        (*RUN, *GOOD),
        "6.99.*: its results directory was removed meanwhile",
        qemu=f"{BOOTED}; sleep 1; rm -rf {{results}}",
    ),
    # --- What is printed
    Row("stdout-closed", (*STAND_IN, *GOOD), "not told: stdout can't be written: it is closed", redirected=">&-"),
    Row("stdout-full", (*STAND_IN, *GOOD), "not told: stdout can't be written: No space left", redirected=">/dev/full"),
    Row("stdout-full-bad", (*STAND_IN, *BAD), "does not conform; .*; stdout can't", DOES_NOT, redirected=">/dev/full"),
    Row("stderr-closed", (*STAND_IN, *GOOD), "^$", CONFORMS, redirected="2>&-"),
    Row("all-closed", (*STAND_IN, *BAD), "^$", DOES_NOT, redirected="<&- >&- 2>&-"),
    Row("help-full", ("-m", "vm", "--help"), "stdout can't be written: No space left", redirected=">/dev/full"),
    # --- Names and languages
    Row("ascii", (*STAND_IN, *GOOD, "--results={work}/r\u00e9sultats"), TOLD, CONFORMS, ASCII),
    Row("ascii-missing", (*RUN, "{work}/noyau-\u00e9"), "can't be read: No such file or directory", environment=ASCII),
    Row("not-utf-8", (*RUN, "{work}/\udcff"), "can't be read: No such file or directory"),
    Row("blanks-in-results", (*RUN, *GOOD, "--results={work}/a b"), f"{BLANKS}give another name"),
    Row("blanks-in-checkout", ("{copy with blanks}/vm", "run", *GOOD), f"{BLANKS}move {{copy with blanks}}"),
    # --- The checkout and its Python
    Row("safe-path", (f"{CHECKOUT}/vm", "run", "{work}/x"), "{work}/x: can't be read", environment=SAFE, before="cd /"),
    Row("without-packages", ("-S", "-m", "vm", "list"), "No module named .*: run make setup in .*, and use its .venv"),
    Row("without-compiler", ("{copy unbuilt}/vm", "list"), "no C compiler", environment={"CC": "/nonexistent"}),
    Row("table-broken", ("{copy with broken}/vm", "run", *GOOD), "matrix.toml isn't a table of kernels: "),
    Row("table-missing", ("{copy without}/vm", "run", *GOOD), "matrix.toml can't be read: No such file"),
    # --- Programs
    Row("no-qemu", (*RUN, *GOOD), "qemu-system-.* is missing: install qemu-system-x86", environment=NOWHERE),
    Row("no-apt", ("-m", "vm", "fetch", "deb:linux-image-x"), "deb: needs Debian's apt", environment=NOWHERE),
    Row("qemu-killed-at-boot", (*RUN, *GOOD), r"didn't boot: QEMU was killed .*\(SIGKILL\)", qemu="kill -9 $$"),
    Row("qemu-killed", (*RUN, *GOOD), r"QEMU was killed .*\(SIGKILL\)", qemu=f"{BOOTED}; sleep 1; kill -9 $$"),
    Row("qemu-crashes", (*RUN, *GOOD), r"QEMU was killed .*\(SIGSEGV\)", qemu=f"{BOOTED}; sleep 1; kill -11 $$"),
    Row(
        "qemu-fails",
        (*RUN, *GOOD),
        "didn't boot: the guest ended before its script began: qemu-system-x: no",
        qemu="echo qemu-system-x: no; exit 1",
    ),
    # --- Limits
    Row("few-files", (*STAND_IN, *GOOD), "Too many open files", before="ulimit -n 8"),
    Row("small-files", (*RUN, *GOOD), "no room for a scratch disk in .*: File too large", before="ulimit -f 2048"),
    Row("small-reports", (*STAND_IN, *GOOD), "couldn't be made in {results}: .*File too large", before="ulimit -f 16"),
    Row("small-reports-bad", (*STAND_IN, *BAD), TOLD, DOES_NOT, before="ulimit -f 16"),
    Row("little-memory", (*RUN, *GOOD), "", before="ulimit -v 60000"),
    # --- What is no kernel, and no command
    Row("kernel-is-a-device", (*RUN, "/dev/zero"), "/dev/zero: this is not a kernel image"),
    Row("kernel-is-a-pipe", (*RUN, "{work}/pipe"), "pipe: this is not a kernel image", before="mkfifo {work}/pipe"),
    Row("kernel-is-no-tree", (*RUN, "{work}"), "{work} is not a kernel source tree"),
    Row("no-kernel", RUN, "python -m vm run: the following arguments are required: kernel"),
    Row("no-command", ("-m", "vm"), "the following arguments are required: command"),
    Row("no-processors", (*RUN, *GOOD, "--cpus=0"), "argument --cpus: '0' isn't 1 or more"),
    Row("no-time", (*RUN, *GOOD, "--boot-limit=nan"), "argument --boot-limit: 'nan' is no time in seconds"),
]
SLEEPS = Row(
    "sleeps", (*RUN, *GOOD), "", qemu="echo '[    0.100000] Linux version'; sleep 1000 & setsid sleep 1000 & sleep 1000"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all: bytecode is made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def world(tmp_path: Path, cache: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """The places that a row may name; those that take long only if it does."""
    row: Row = request.param
    named = " ".join((*row.command, *(value or "" for value in row.environment.values())))
    found = {"work": str(tmp_path / "work"), "results": str(tmp_path / "results"), "link": str(tmp_path / "link")}
    (tmp_path / "work").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "link").symlink_to(CHECKOUT)
    for state in ("good", "bad"):
        found[state] = str(write_image(tmp_path / state / "vmlinuz", f"6.99.0-{state}"))
    found["tree"] = str(tmp_path / "tree")
    for name in ("Kconfig", "Makefile", "arch"):
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / name).touch()
    for copy in ("copy unbuilt", "copy with blanks", "copy with broken", "copy without"):
        if f"{{{copy}}}" in named:
            found[copy] = str(copied(tmp_path / copy, copy))
    return found


def copied(to: Path, name: str) -> Path:
    """A checkout, with something wrong."""
    unneeded = [".git", ".venv", "__pycache__", ".*_cache", *(["_build"] if name.endswith("unbuilt") else [])]
    to = to.with_name(name if name.endswith("blanks") else name.replace(" ", "-"))
    to.mkdir()
    for part in ("conftest.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(CHECKOUT / part, to)
    for part in ("helpers", "suites", "vm"):
        shutil.copytree(CHECKOUT / part, to / part, ignore=shutil.ignore_patterns(*unneeded))
    table = to / "vm/matrix.toml"
    if name.endswith("broken"):
        table.write_text('[[kernel]]\nname = "6.12"\nunknown = 1\n')
    elif name.endswith("without"):
        table.unlink()
    return to


def filled(text: str, world: Mapping[str, str]) -> str:
    for name, place in world.items():
        text = text.replace(f"{{{name}}}", place)
    return text


def started(row: Row, world: Mapping[str, str], cache: Path, marker: str) -> subprocess.Popen[bytes]:
    """The command of a row in its environment."""
    work = Path(world["work"])
    environment = {**os.environ, MARKER: marker, "PYTHONPATH": str(CHECKOUT), "XDG_CACHE_HOME": str(cache)}
    environment["TMPDIR"] = str(work.with_name("tmp"))
    if row.qemu:
        fake = work / "bin" / f"qemu-system-{os.uname().machine}"
        fake.parent.mkdir()
        fake.write_text(QEMU.format(does=filled(row.qemu, world)))
        fake.chmod(0o755)
        environment["PATH"] = f"{fake.parent}:{environment['PATH']}"
    for name, value in row.environment.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = filled(value, world)
    script = f'{filled(row.before, world)} && exec "$@" {row.redirected}'
    words = [filled(word, world).encode(errors="surrogateescape") for word in row.command]
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", sys.executable, *words],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("row", "world"), [(row, row) for row in ROWS], ids=[row.name for row in ROWS], indirect=["world"]
)
def test_what_goes_wrong_is_said(row: Row, world: dict[str, str], cache: Path) -> None:
    marker = uuid.uuid4().hex
    run = started(row, world, cache, marker)
    out, err = (told.decode(errors="replace") for told in run.communicate(timeout=100))
    if row.environment is not NOWHERE and lacking() and (missing := re.search(r"\S+ is missing: install .*", err)):
        pytest.skip(missing[0])
    assert run.returncode == row.status, out + err
    assert "Traceback" not in out + err and "Exception ignored" not in err
    places = {name: re.escape(place) for name, place in world.items()}
    assert re.search(filled(row.says, places), err.rstrip("\n"), re.MULTILINE), err
    if row.status == NOT_ASKED:
        assert re.match(r"pagemap-scan: not (tested|told): ", verdict_in(err)), err
    assert left_behind(marker, Path(world["work"]).with_name("tmp")) == []


def verdict_in(said: str) -> str:
    """The last line that is one."""
    return [line for line in said.splitlines() if line.startswith("pagemap-scan: ")][-1]


@to_boot
@pytest.mark.parametrize("world", [SLEEPS], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_run_that_is_killed_leaves_nothing(world: dict[str, str], cache: Path, number: signal.Signals) -> None:
    """And another can have its results directory at once."""
    marker = uuid.uuid4().hex
    run = started(SLEEPS, world, cache, marker)
    console = Path(world["results"]) / "console.log"
    deadline = time.monotonic() + 60
    while not (console.exists() and "Linux version" in console.read_text()):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    run.send_signal(number)
    run.communicate(timeout=60)
    assert run.returncode == (-number if number == signal.SIGKILL else INTERRUPTED)
    with results_in(Path(world["results"])):
        assert not console.exists()
    assert left_behind(marker, Path(world["work"]).with_name("tmp")) == []


def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda user: {}[user])
    with pytest.raises(CannotRun, match=r"^there is no home directory for a cache: name another directory in XDG"):
        cache_directory()


@pytest.mark.parametrize("kept", ["", "[]", "{}", '{"machine": "another", "accel": "kvm"}', '{"accel": 7}'])
def test_acceleration_is_found_out_anew_where_nothing_sensible_is_known(cache_home: Path, kept: str) -> None:
    (cache_directory() / "accel.json").write_text(kept)
    assert accel.remembered() is None


def test_a_machine_without_kvm_emulates(monkeypatch: pytest.MonkeyPatch, cache_home: Path) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path != "/dev/kvm")
    assert accel.choose(handwritten.KERNEL, lambda words: None) == accel.TCG


def test_a_kernel_that_is_damaged_in_the_cache_is_none(cache_home: Path) -> None:
    place = Archive("a-suite", "", cache_directory())
    for number, content in enumerate(("", "{", "[]", '{"name": 1}', '{"name": "linux-image-1", "version": "1"}')):
        directory = place.kernels / str(number)
        directory.mkdir(parents=True)
        (directory / "kernel.json").write_text(content)
    assert place.cached("*") == []


@pytest.mark.parametrize(
    "script",
    ["#!/gone/bin/python3\nimport sys\n", "#!/bin/sh\n'''exec' \"/gone/bin/python3\" \"$0\" \"$@\"\n' '''\n"],
    ids=["direct", "called"],
)
def test_a_python_that_is_gone_is_seen_by_its_scripts(tmp_path: Path, script: str) -> None:
    (tmp_path / "vng").write_text(script)
    assert interpreter_of(tmp_path / "vng") == "/gone/bin/python3"
    assert interpreter_of(Path("/bin/true")) == ""
