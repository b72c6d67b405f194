"""A bisection: ``git bisect run python -m vm run .`` finds the commit that broke a kernel, past one that doesn't build.

The repository is of the project's own making; its Makefile builds an image by copying one. Once the guest is a
stand-in; once real guests are booted, with a kernel that has a known defect and one that hasn't.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vm.kernels.kernel import Kernel
from vm.kernels.lookup import find
from vm.tests.trees import FakeTree, boot_header

ROOT = Path(__file__).parents[2]
#: Each commit of the history: its image is good or bad, or the commit doesn't build. With six candidates after the
#: first, git asks about the middle one, which doesn't build, and has to go around it.
HISTORY = ("good", "good", "good", "broken", "good", "bad", "bad")
CULPRIT = HISTORY.index("bad")
WITHOUT_DEFECT, WITH_DEFECT = (
    "deb:trixie-backports/linux-image-7.3*-amd64",
    "deb:bookworm-backports/linux-image-6.12.*-amd64",
)


def commit_history(tree: FakeTree, make_image: dict[str, str]) -> list[str]:
    """The commits' names, oldest first; afterwards the tree has somebody's own configuration in it."""
    commits = []
    for number, state in enumerate(HISTORY):
        tree.write("mm/memory.c", "#error broken\n" if state == "broken" else f"int memory{number};\n")
        tree.write("make-image", make_image["bad" if state == "bad" else "good"])
        commits.append(tree.commit(f"mm: change {number}, {state}"))
    tree.write(".config", "CONFIG_MINE=y\n")
    return commits


def bisect(tree: FakeTree, commits: list[str], module: str, arguments: list[str], limit: float) -> str:
    """Starts a bisection between the first commit and the last, runs it to its end, and returns what git said."""
    tree.git("bisect", "start", commits[-1], commits[0])
    run = ["git", "bisect", "run", sys.executable, "-m", module, "run", ".", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, cwd=tree.path, env=environment, capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def check_found(tree: FakeTree, commits: list[str], said: str) -> None:
    """Whether the culprit was found past the commit that doesn't build, and the tree is as it was."""
    assert f"{commits[CULPRIT]} is the first bad commit" in said
    log = tree.git("bisect", "log")
    assert f"git bisect skip {commits[HISTORY.index('broken')]}" in log
    assert log.count("# first bad commit") == 1
    assert "doesn't build: mm/memory.c:1:2: error: #error broken" in said
    assert (tree.path / ".config").read_text() == "CONFIG_MINE=y\n"
    assert tree.git("status", "--porcelain") == ""


@pytest.mark.long
def test_a_bisection_finds_the_culprit(tree: FakeTree, tmp_path: Path) -> None:
    for state in ("good", "bad"):
        (tmp_path / state).write_bytes(boot_header(f"6.99.0-{state}-virtme"))
    commits = commit_history(tree, {state: f"cp {tmp_path / state} $1\n" for state in ("good", "bad")})
    arguments = ["--accel=tcg", f"--results={tmp_path / 'results'}"]
    check_found(tree, commits, bisect(tree, commits, "vm.tests.stand_in", arguments, limit=110))


def copying(kernel: Kernel) -> str:
    """How an image is made of another kernel, with its modules beside it."""
    return f"cp {kernel.image} $1\nmkdir -p $O/lib\nln -sfn {kernel.modules}/lib/modules $O/lib/modules\n"


@pytest.mark.boots
@pytest.mark.timeout(3600)
def test_a_bisection_finds_a_known_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = {"good": find(WITHOUT_DEFECT), "bad": find(WITH_DEFECT)}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = FakeTree(tmp_path / "linux")
    commits = commit_history(tree, {state: copying(kernel) for state, kernel in kernels.items()})
    asked = ["--", "--no-errata", "suites/test_witness.py", "-k", "thp-zero"]
    arguments = ["--accel=tcg", f"--results={tmp_path / 'results'}", *asked]
    check_found(tree, commits, bisect(tree, commits, "vm", arguments, limit=3500))
