"""The gate of a pipeline, docs/ci/gate.sh, with a stand-in for the virtual machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from helpers.subject import Subject
from vm import CHECKOUT

GATE = Path("docs/ci/gate.sh")
#: Leaves a log, as a run does, and its status.
PYTHON = """\
#!/bin/sh
case "$*" in
"-m vm run KERNEL --results="*" -- suites -k part")
	mkdir -p "$HERE/results"
	cp "$HERE/new" "$HERE/results/report.jsonl"
	exit "$STATUS" ;;
*) exec {python} "$@" ;;
esac
"""


def log(**outcomes: str) -> str:
    """A log with these tests."""
    subject = {"$report_type": "Subject", "schema": 1, **asdict(Subject("7.9 x86_64", "", "", "", {}))}
    told = {"verdict": "conforms", "status": 0, "line": "", "sentences": [], "troubles": []}
    verdict = {"$report_type": "Verdict", "schema": 1, **told, "interrupted": "", "seconds": 1.0}
    tests = [
        {"$report_type": "TestReport", "nodeid": name, "when": "call", "outcome": outcome, "longrepr": None}
        for name, outcome in outcomes.items()
    ]
    return "".join(json.dumps(entry) + "\n" for entry in (subject, *tests, verdict))


@pytest.mark.parametrize(
    ("good", "status", "new", "expected", "is_kept"),
    [
        (None, 0, log(a="passed"), 0, True),
        (None, 1, log(a="failed"), 1, False),
        (None, 125, "", 125, False),
        (log(a="passed"), 0, log(a="passed", b="passed"), 0, True),
        (log(a="passed"), 1, log(a="failed"), 1, False),
        (log(a="failed"), 1, log(a="failed"), 0, True),
        (log(a="passed"), 0, log(b="passed"), 1, False),
        (log(a="passed"), 125, "", 125, False),
        ("no log", 0, log(a="passed"), 125, False),
    ],
)
def test_a_regression_fails_and_a_good_run_is_kept(
    tmp_path: Path, good: str | None, status: int, new: str, expected: int, is_kept: bool
) -> None:
    gate, python = tmp_path / GATE, tmp_path / ".venv/bin/python"
    gate.parent.mkdir(parents=True)
    python.parent.mkdir(parents=True)
    shutil.copy(CHECKOUT / GATE, gate)
    (tmp_path / "helpers").symlink_to(CHECKOUT / "helpers")
    (tmp_path / "suites").symlink_to(CHECKOUT / "suites")
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    (tmp_path / "new").write_text(new)
    kept = tmp_path / "kept" / "good.jsonl"
    if good is not None:
        kept.parent.mkdir()
        kept.write_text(good)
    command = ["sh", gate, "KERNEL", kept, tmp_path / "results", "suites", "-k", "part"]
    environment = {
        "HERE": str(tmp_path),
        "STATUS": str(status),
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == expected, done.stdout + done.stderr
    assert (kept.read_text() if kept.exists() else None) == (new if is_kept else good)
