"""The suite's C program as the only process of a guest, for kernels that come without 9p and without modules.

The guest has nothing but an initramfs with the static program as init. What it says in KTAP is turned into the
reports that pytest would have written, so that everything behind works in the same way.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers.plugins.known_issues import known_issues
from helpers.plugins.verdict import COMBINATIONS
from vm import CannotRun
from vm.console import Console
from vm.guest import Ending, Setup, follow
from vm.invocation import collect
from vm.judgement import judged
from vm.kernels import Kernel
from vm.mounts import CHECKOUT
from vm.processes import processes_of, search_path
from vm.results import Results
from vm.shared import Shared
from vm.verdict import Verdict

COMPILERS = (("musl-gcc",), ("cc",))
FLAGS = ("-O2", "-pthread", "-static")
#: With this line the program begins.
_BEGINS = "KTAP version 1"
_RESULT = re.compile(r"^ {2,4}(ok|not ok) \d+ (?:- )?(\S+)(?: # (XFAIL|SKIP) ?(\S*))?")
_PROVEN = re.compile(r"# (\d+) mask combinations proven")


class ProgramConsole(Console):
    """A console on which the program speaks: it has booted when the program says its first line."""

    def line(self, line: str) -> None:
        super().line(line)
        if _BEGINS in line and self.booted_at is None:
            self.booted_at = time.monotonic()


def run(kernel: Kernel, setup: Setup, directory: Path, heard: Callable[[str], None] = lambda line: None) -> Verdict:
    """Runs the program on a kernel; the reports and the verdict are in the directory. Raises CannotRun."""

    def ending_of(shared: Shared) -> Ending:
        with tempfile.TemporaryDirectory(prefix="pagemap-scan-vm-") as name:
            work = Path(name)
            initramfs = new_initramfs(compiled(written(work)), work)
            with shared.console.open("w", errors="replace") as log:
                console = ProgramConsole(log, setup.limits, setup.accel == "tcg", heard)
                with processes_of(qemu_command(kernel, setup, initramfs), work) as process:
                    trouble = follow(process, console)
        ending = Ending(console.booted_at is not None, trouble)
        if ending.booted:
            report(kernel, shared)
        return ending

    return judged(kernel, directory, ending_of)


def written(work: Path) -> Path:
    """The program's source, printed by the suite. Raises CannotRun."""
    source = work / "pagemap_scan.c"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--stub", "faithful", f"--write-suite={source}"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=600)
    if done.returncode or not source.exists():
        raise CannotRun(f"the C program of the suite can't be written: {done.stdout.strip()[-300:]}")
    return source


def compiled(source: Path) -> Path:
    """The program, static. Raises CannotRun when no compiler makes it."""
    said = "there is no C compiler"
    for compiler in COMPILERS:
        if shutil.which(compiler[0]):
            program = source.with_suffix("")
            done = subprocess.run(
                [*compiler, *FLAGS, "-o", program, source], capture_output=True, text=True, timeout=300
            )
            if done.returncode == 0:
                return program
            said = done.stderr.strip()[-300:]
    raise CannotRun(f"the C program of the suite can't be linked statically (musl-tools has what it needs): {said}")


def new_initramfs(program: Path, work: Path) -> Path:
    """A compressed archive with the program as init, and nothing else."""
    root = work / "root"
    (root / "dev").mkdir(parents=True)
    shutil.copy(program, root / "init")
    archive = work / "initramfs"
    pack = f"find . | busybox cpio -o -H newc | gzip -1 >{shlex.quote(str(archive))}"
    environment = {**os.environ, "PATH": search_path()}
    subprocess.run(["sh", "-c", pack], cwd=root, env=environment, check=True, capture_output=True, timeout=60)
    return archive


def qemu_command(kernel: Kernel, setup: Setup, initramfs: Path) -> list[str]:
    """QEMU, with the guest's console as its output."""
    cpu = "host" if setup.accel == "kvm" else "max"
    words = ("console=ttyS0", "quiet", "panic=-1", *setup.append)
    return [
        *(f"qemu-system-{os.uname().machine}", "-accel", setup.accel, "-cpu", cpu, "-nographic", "-no-reboot"),
        *("-smp", str(setup.cpus), "-m", setup.memory, "-nodefaults", "-serial", "stdio", "-monitor", "none"),
        *("-kernel", str(kernel.image), "-initrd", str(initramfs), "-append", " ".join(words)),
    ]


def report(kernel: Kernel, shared: Shared) -> None:
    """Writes what the console says as pytest would have: the plan, the subject, a report for each test."""
    collect(f"--tell={shared.directory}")
    results = Results(shared)
    subject = {"kernel": f"{kernel.release} {os.uname().machine}", "build": "", "pages": "", "categories": ""}
    left_out = "by a program without Python in a guest without swap and files: see the report of another kernel"
    shared.subject.write_text(json.dumps({**subject, "missing": {"some tests": left_out}}))
    in_program = {test.rsplit("/", 1)[-1].partition("::")[2]: test for test in results.plan}
    ran = set()
    with shared.log.open("w") as log:
        for name, outcome, told, proven in outcomes(results.console):
            if test := in_program.get(name):
                ran.add(test)
                log.write(json.dumps(as_report(test, results.clauses[test], outcome, told, proven)) + "\n")
        if "# Totals:" in "\n".join(results.console):
            log.write(json.dumps({"$report_type": "SessionFinish", "exitstatus": 0}) + "\n")
            shared.status.write_text("0\n")
    plan = [{"nodeid": test, "clauses": results.clauses[test]} for test in results.plan if test in ran]
    shared.plan.write_text("".join(json.dumps(entry) + "\n" for entry in plan))


def outcomes(console: Sequence[str]) -> Iterator[tuple[str, str, str, int]]:
    """Each result: the test's name, its outcome, what was said of it, how many mask combinations it proved."""
    said: list[str] = []
    proven = 0
    for line in console:
        if match := _RESULT.match(line):
            kept, name, directive, issue = match.groups()
            outcome = {"XFAIL": "xfailed", "SKIP": "skipped"}.get(directive, "passed" if kept == "ok" else "failed")
            yield name, outcome, issue if outcome == "xfailed" else "\n".join(said), proven
            said, proven = [], 0
        elif line.lstrip().startswith("# "):
            said.append(line.strip())
            proven += sum(map(int, _PROVEN.findall(line)))


def as_report(test: str, clauses: Sequence[str], outcome: str, told: str, proven: int) -> dict[str, Any]:
    """A test's report as pytest-reportlog writes it."""
    properties: list[tuple[str, object]] = [("clause", clause) for clause in clauses]
    properties += [(COMBINATIONS, proven)] if proven else []
    found: dict[str, Any] = {
        "$report_type": "TestReport",
        **{"nodeid": test, "location": [test.split("::")[0], None, test.partition("::")[2]], "keywords": {}},
        **{"outcome": "skipped" if outcome == "xfailed" else outcome, "longrepr": told or None, "when": "call"},
        **{"user_properties": properties, "sections": [], "duration": 0.0, "start": time.time(), "stop": time.time()},
    }
    if outcome == "skipped":
        found["longrepr"] = [test.split("::")[0], 0, f"Skipped: {told or 'could not be asked in this guest'}"]
    if outcome == "xfailed":
        issue = next((issue for issue in known_issues() if issue["id"] == told), {"summary": "", "fixed": ""})
        found["wasxfail"] = f"{told}: {issue['summary']} ({issue['fixed']})"
    return found
