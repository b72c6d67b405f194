"""What the command says, and with which status it ends, when a run can't even begin."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from vm import CannotRun
from vm.command import main
from vm.kernels import table
from vm.kernels.table import Row
from vm.processes import carried_out, search_path
from vm.results.verdict import NOT_ASKED
from vm.tests.images import write_image
from vm.tests.needs import to_boot

PROGRAMS = {
    f"qemu-system-{os.uname().machine}": "qemu-system-x86",
    "vng": "virtme-ng from PyPI (make setup)",
    "busybox": "busybox-static",
    "modprobe": "kmod",
    "mkfs.ext4": "e2fsprogs",
}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line that the command said, but for what it was about to do."""
    captured = capsys.readouterr()
    assert not captured.out
    [line] = [line for line in captured.err.splitlines() if not line.startswith("booting ")]
    return line


@pytest.mark.parametrize("missing", PROGRAMS)
@pytest.mark.parametrize("command", ["run", "shell", "matrix"])
def test_a_program_that_is_missing_is_said_before_anything_is_done(
    missing: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The machine has all of them but one."""
    for program in PROGRAMS:
        if program != missing:
            (tmp_path / program).symlink_to(shutil.which(program, path=search_path()) or "/bin/true")
    monkeypatch.setattr("vm.guest.boot.search_path", lambda: str(tmp_path))
    kernel = ["/nonexistent/vmlinuz"] if command != "matrix" else []
    assert main([command, *kernel]) == NOT_ASKED
    assert said(capsys) == f"pagemap-scan: not tested: {missing} is missing: install {PROGRAMS[missing]}"


@to_boot
@pytest.mark.parametrize("place", ["below-a-file", "of-the-kernel"])
def test_results_that_cannot_be_written_are_said_before_the_boot(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    directory = tmp_path / "file/results" if place == "below-a-file" else Path("/proc/results")
    image = write_image(tmp_path / "vmlinuz", "6.99.1-test")
    assert main(["run", str(image), "--accel=tcg", f"--results={directory}"]) == NOT_ASKED
    assert said(capsys).startswith(f"pagemap-scan: not tested: the results directory {directory} can't be written: ")


@to_boot
@pytest.mark.parametrize("memory", ["many", "", "4X"])
def test_a_matrix_in_memory_of_no_size_is_said(memory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", f"--memory={memory}", f"--results={tmp_path}"]) == NOT_ASKED
    assert said(capsys).startswith(f"pagemap-scan: not tested: --memory={memory}: give a number of MiB, or one with K")


@to_boot
@pytest.mark.parametrize(("given", "told"), [((), "needs 900T of memory, which"), (("--memory=1G",), "/nowhere: ")])
def test_a_row_whose_guest_needs_more_memory_than_there_is_is_said_before_it_is_built(
    given: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("large", "/nowhere", "is a test", program=True, arch="arm64", memory="900T")
    monkeypatch.setattr(table, "rows", lambda: (row,))
    assert main(["run", "large", *given]) == NOT_ASKED
    assert told in said(capsys)


def test_a_program_that_is_not_done_in_time_is_said() -> None:
    with pytest.raises(CannotRun, match=r"^sleep 60 isn't done after 0 s$"):
        carried_out(["sleep", "60"], limit=0.1)


@to_boot
def test_a_file_that_is_no_kernel_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "vmlinuz"
    image.write_text("no kernel\n")
    assert main(["run", str(image), "--accel=tcg", f"--results={tmp_path}/results"]) == NOT_ASKED
    assert said(capsys).startswith(f"pagemap-scan: not tested: {image}: this is not a kernel image")
    assert not (tmp_path / "results").exists()


@to_boot
@pytest.mark.parametrize("name", ["with spaces", "with&more", "with spaces & more", "$HOME"])
def test_a_path_that_virtme_ng_would_take_apart_is_said(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vm.inside.script.compiled_for_guest", lambda: tmp_path)
    image = write_image(tmp_path / name / "vmlinuz", "6.99.1-test")
    assert main(["run", str(image), "--accel=tcg", f"--results={tmp_path}/results"]) == NOT_ASKED
    expected = f"{image}: virtme-ng takes no words with blanks or what else a shell changes: give another name"
    assert said(capsys) == f"pagemap-scan: not tested: {expected}"
