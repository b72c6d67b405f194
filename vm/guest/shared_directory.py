"""The directory that host and guest share: what the guest writes there, and what the host makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shared:
    """A results directory: what the guest writes, line by line or whole, and what the host makes of it."""

    directory: Path

    def files(self) -> list[Path]:
        """All of the files below."""
        of_guest = ("script", "plan", "log", "subject", "output", "status", "console", "dmesg")
        names = (*of_guest, "html", "junit", "ktap", "report_log", "verdict")
        return [getattr(self, name) for name in names]

    @property
    def lock(self) -> Path:
        """Held by the run whose directory this is."""
        return self.directory / ".lock"

    @property
    def script(self) -> Path:
        """The guest's commands."""
        return self.directory / "guest.sh"

    @property
    def plan(self) -> Path:
        """The tests that were selected, a JSON object a line: ``nodeid`` and ``clauses``."""
        return self.directory / "plan.txt"

    @property
    def log(self) -> Path:
        """The results as pytest-reportlog writes them."""
        return self.directory / "results.jsonl"

    @property
    def subject(self) -> Path:
        """What the run is about (helpers.subject.Subject)."""
        return self.directory / "subject.json"

    @property
    def output(self) -> Path:
        """What pytest printed in the guest."""
        return self.directory / "pytest.log"

    @property
    def status(self) -> Path:
        """pytest's exit status, written last: it is there when all results are."""
        return self.directory / "status"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def dmesg(self) -> Path:
        return self.directory / "dmesg.log"

    @property
    def failures(self) -> Path:
        """C programs of failed tests."""
        return self.directory / "failures"

    @property
    def html(self) -> Path:
        return self.directory / "report.html"

    @property
    def verdict(self) -> Path:
        """What came of the run, by the host (vm.results.verdict.Verdict)."""
        return self.directory / "verdict.json"

    @property
    def ktap(self) -> Path:
        return self.directory / "report.ktap"

    @property
    def report_log(self) -> Path:
        """The log of the whole run, by the host: with what the guest couldn't say any more (helpers.report.log)."""
        return self.directory / "report.jsonl"

    @property
    def junit(self) -> Path:
        return self.directory / "report.xml"
