"""Runs of the harness, as a person starts them, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
import xml.etree.ElementTree as xml
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vm import CHECKOUT
from vm.guest.shared_directory import Shared
from vm.results.verdict import Verdict

#: A variable that all processes of a run inherit, in whatever session they are.
MARKER = "PAGEMAP_SCAN_TEST_RUN"
#: Limits for guests that are to come to their tests, however busy the machine is.
PATIENT = ("--boot-limit=900", "--silence-limit=900")
#: Seconds for what is done once the run is over: killed processes have to be gone.
GRACE = 20


def processes_of(marker: str) -> list[str]:
    """The command lines of all processes that were started with a marker, zombies aside."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARKER}={marker}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def left_behind(marker: str, temporary: Path) -> list[str]:
    """Processes, temporary files, mounts and loop devices."""
    deadline = time.monotonic() + GRACE
    while (processes := processes_of(marker)) and time.monotonic() < deadline:
        time.sleep(0.05)  # What was killed takes a moment to be gone.
    loops = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    places = [line for line in [*loops, *mounts] if str(temporary) in line]
    return [*processes, *(str(path) for path in temporary.rglob("*")), *places]


class Run:
    """One run of ``python -m vm run``, with temporary files in a directory of its own."""

    def __init__(self, directory: Path, kernel: Path | str, *options: str, pytest: Sequence[str] = ()) -> None:
        self.directory = directory
        self.shared = Shared(directory / "results")
        self.temporary = directory / "tmp"
        self.temporary.mkdir(parents=True)
        self.said = ""
        self.marker = uuid.uuid4().hex
        command = [sys.executable, "-m", "vm", "run", str(kernel), f"--results={self.shared.directory}", *options]
        self.process = subprocess.Popen(
            [*command, "--", *pytest],
            cwd=CHECKOUT,
            env={**os.environ, "TMPDIR": str(self.temporary), MARKER: self.marker},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, words: str) -> None:
        """Reads what the run says until it says this."""
        assert self.process.stderr is not None
        while words not in self.said:
            line = self.process.stderr.readline()
            self.said += line
            assert line, f"the run ended without {words!r}:\n{self.said}"

    def ended(self) -> int:
        """Waits for the end; returns the exit status."""
        assert self.process.stderr is not None
        self.said += self.process.stderr.read()
        return self.process.wait()

    @property
    def last_line(self) -> str:
        return self.said.splitlines()[-1]

    @property
    def verdict(self) -> Verdict:
        return Verdict(**json.loads(self.shared.verdict.read_text()))

    def outcomes(self) -> dict[str, str]:
        """The tests of the JUnit report by their functions, with what stands below each."""
        return {
            case.attrib["name"]: ",".join(child.tag for child in case if child.tag in ("error", "failure", "skipped"))
            for case in xml.parse(self.shared.junit).iter("testcase")
        }

    def processes(self) -> list[str]:
        """The command lines of all its processes."""
        return processes_of(self.marker)

    def left_behind(self) -> list[str]:
        """What outlives the run."""
        return left_behind(self.marker, self.temporary)

    def end(self) -> None:
        """Ends the run if it hasn't ended; its guest with it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()


@contextmanager
def run_of(directory: Path, kernel: Path | str, *options: str, pytest: Sequence[str] = ()) -> Iterator[Run]:
    """A run that is ended when the context is left, however that happens."""
    run = Run(directory, kernel, *options, pytest=pytest)
    try:
        yield run
    finally:
        run.end()
