"""The C program of a test: it compiles everywhere, has what it uses, and keeps or breaks its clause."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.c_source.group import stems
from helpers.c_source.parts import DIRECTORY, FILES, parts, words
from helpers.tests.needs import on_kernel

ROOT = Path(__file__).parents[2]
STRICT = ["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
KEEPS, DIFFERS, CANNOT_ASK = 0, 1, 4
#: Columns of a line of C, with tabs of eight.
LINE = 120


def pytest_run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=900)


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


@pytest.mark.parametrize("name", FILES)
def test_a_part_has_lines_that_are_read_without_scrolling(name: str) -> None:
    for line in (DIRECTORY / f"{name}.c").read_text().splitlines():
        assert len(line.expandtabs()) <= LINE


def test_the_program_of_a_test_has_only_what_it_uses(tmp_path: Path) -> None:
    assert pytest_run("--stub", "faithful", "-k", "empty_range", f"--write-c={tmp_path}").returncode == 0
    [source] = tmp_path.glob("*.c")
    text = source.read_text()
    assert "sys/mman.h" in text
    assert not re.search(r"sys/(reboot|swap|mount|wait|statfs)|regex|setjmp|UFFD|MADV_|HUGETLB_MEMFD", text)


@on_kernel
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


@on_kernel
def test_a_test_that_fails_names_its_program(tmp_path: Path) -> None:
    which = ["--stub", "without-wpallowed", "-k", "exactly_the_categories and anon-zero"]
    done = pytest_run(*which, f"--html={tmp_path / 'r.html'}")
    found = re.search(r"^(failures/\S+\.c)$", done.stdout, re.MULTILINE)
    assert done.returncode == 1 and found and "failures/" in (tmp_path / "r.html").read_text()
    assert status_of(compiled(ROOT / found[1])) == KEEPS
