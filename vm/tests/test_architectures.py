"""Kernels for other processors: what they are is found in their images, and what they need is named."""

from __future__ import annotations

import gzip
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from vm import CannotRun, architectures
from vm.architectures import ARCHITECTURES, architecture_for
from vm.command import main
from vm.guest.boot import Setup
from vm.guest.initramfs import new_initramfs, qemu_command
from vm.kernels import modules
from vm.kernels.archive import Archive, foreign
from vm.kernels.kernel import Kernel, from_image
from vm.results.verdict import NOT_ASKED
from vm.runs import program
from vm.tests.images import write_arm64_image, write_image

RELEASE = "6.99.1-test"
DEPENDS = """\
kernel/fs/ext4.ko.xz: kernel/fs/jbd2.ko kernel/lib/crc16.ko.gz
kernel/fs/jbd2.ko:
kernel/lib/crc16.ko.gz:
kernel/drivers/virtio-blk.ko: kernel/drivers/virtio.ko kernel/lib/crc16.ko.gz
kernel/drivers/virtio.ko:
"""


@pytest.mark.parametrize(("page_size", "per_huge_page"), [(4096, 512), (16384, 2048), (65536, 8192)])
@pytest.mark.parametrize("packed", [False, True])
def test_an_image_says_its_processor_and_the_size_of_its_pages(
    tmp_path: Path, page_size: int, per_huge_page: int, packed: bool
) -> None:
    image = write_arm64_image(tmp_path / "Image", RELEASE, page_size)
    if packed:
        image.write_bytes(gzip.compress(image.read_bytes()))
    kernel = from_image(image)
    assert (kernel.architecture, kernel.release) == ("arm64", RELEASE)
    assert (kernel.page_size, kernel.pages_per_huge_page) == (page_size, per_huge_page)
    assert from_image(write_image(tmp_path / "bzImage", RELEASE)).architecture == "x86_64"


def test_a_kernel_runs_programs_of_its_own_architecture_and_of_some_others() -> None:
    assert architecture_for("x86_64").name == "x86_64" and architecture_for("x86_64", "i386").name == "i386"
    with pytest.raises(CannotRun, match="a kernel for arm64 runs no program for i386"):
        architecture_for("arm64", "i386")
    with pytest.raises(CannotRun, match="kernels for riscv64 aren't known here: x86_64, i386, arm64 are"):
        architecture_for("riscv64")


def test_a_kernel_of_another_processor_is_asked_by_the_program_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    image = write_arm64_image(tmp_path / "Image", RELEASE, 4096)
    monkeypatch.setattr(architectures.Architecture, "require_qemu", lambda self: None)
    monkeypatch.setattr("vm.command.require_programs", lambda *needed: None)
    assert main(["run", str(image)]) == NOT_ASKED
    assert f"pagemap-scan: not tested: {RELEASE} is for arm64: run --program asks it" in capfd.readouterr().err
    assert main(["shell", str(image)]) == NOT_ASKED
    assert "is for arm64" in capfd.readouterr().err
    assert main(["run", "--arch=i386", str(write_image(tmp_path / "bzImage", RELEASE))]) == NOT_ASKED
    assert "--arch=i386 is for the C program: give --program" in capfd.readouterr().err


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_missing_is_named_with_debians_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = ARCHITECTURES[name]
    monkeypatch.setattr(architectures.shutil, "which", lambda *arguments, **named: None)
    with pytest.raises(CannotRun, match=f"{machine.qemu[0]} is missing: install {machine.qemu[1]}"):
        machine.require_qemu()
    with pytest.raises(CannotRun, match=f"is missing: install {machine.compiler_package}"):
        machine.compiler()


@pytest.mark.parametrize(("name", "machine"), [("x86_64", 62), ("i386", 3), ("arm64", 183)])
def test_a_program_is_compiled_for_the_processor(tmp_path: Path, name: str, machine: int) -> None:
    source = tmp_path / "pagemap_scan.c"
    source.write_text("int main(void)\n{\n\treturn 0;\n}\n")
    try:
        done = program.compiled(source, ARCHITECTURES[name])
    except CannotRun as reason:
        pytest.skip(str(reason))
    assert int.from_bytes(done.read_bytes()[18:20], "little") == machine  # elf(5), e_machine


def test_a_program_is_printed_once_for_pages_of_each_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = []

    def print_suite(kept: Path, sizes: str) -> None:
        printed.append(sizes)
        kept.write_text(sizes)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(program, "print_suite", print_suite)
    for page_size in (4096, 65536, 16384, 65536):
        written = program.written(tmp_path, Kernel("k", RELEASE, tmp_path, None, "", "arm64", page_size))
        assert written.read_text() == f"{page_size}x{page_size // 8}"
    assert printed == ["4096x512", "65536x8192", "16384x2048"]
    monkeypatch.setattr(program, "fingerprint", lambda: "another suite")
    program.written(tmp_path, Kernel("k", RELEASE, tmp_path, None, ""))
    assert printed[3:] == ["4096x512"]


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    """One with modules, each of which has its own name as content."""
    root = tmp_path / "lib/modules" / RELEASE
    for line in DEPENDS.splitlines():
        path = root / line.partition(":")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        pack = {".xz": lzma.compress, ".gz": gzip.compress}.get(path.suffix, bytes)
        path.write_bytes(pack(path.name.partition(".")[0].encode()))
    (root / "modules.dep").write_text(DEPENDS)
    return Kernel("k", RELEASE, tmp_path / "vmlinuz", tmp_path, "")


def test_modules_come_behind_those_that_they_need(kernel: Kernel) -> None:
    found = list(modules.contents(kernel, ("virtio_blk", "built-in", "ext4")))
    assert [name for name, _ in found] == ["crc16", "virtio", "virtio_blk", "jbd2", "ext4"]
    assert all(content.decode().replace("-", "_") == name for name, content in found)
    assert modules.in_order(Kernel("k", RELEASE, kernel.image, None, ""), ("ext4",)) == []


@pytest.mark.skipif(not shutil.which("busybox"), reason="no busybox: install busybox-static")
def test_an_initramfs_names_its_modules_in_order(kernel: Kernel, tmp_path: Path) -> None:
    init = tmp_path / "program"
    init.write_text("program")
    packed = new_initramfs(init, modules.contents(kernel, ("ext4",)), tmp_path)
    there = tmp_path / "there"
    there.mkdir()
    content = gzip.decompress(packed.read_bytes())
    subprocess.run(["busybox", "cpio", "-i", "-d"], cwd=there, input=content, check=True, timeout=30)
    assert (there / "init").read_text() == "program"
    assert (there / "modules" / "list").read_text().split() == ["crc16", "jbd2", "ext4"]
    assert (there / "modules" / "ext4").read_text() == "ext4"


def test_a_machine_is_what_its_processor_needs(tmp_path: Path) -> None:
    kernel = from_image(write_arm64_image(tmp_path / "Image", RELEASE, 16384))
    command = qemu_command(kernel, Setup("tcg"), ARCHITECTURES["arm64"], tmp_path / "initramfs", tmp_path / "disk")
    assert command[1:4] == ["qemu-system-aarch64", "-machine", "virt"] and command[-1].startswith("console=ttyAMA0 ")


@pytest.mark.parametrize(
    ("pattern", "architecture"),
    [
        ("linux-image-7.3.*-arm64", "arm64"),
        ("linux-image-7.3.*-arm64-16k", "arm64"),
        ("linux-image-6.99.*-test", ""),
        ("linux-image-7.3.*-cloud-amd64", ""),
    ],
)
def test_packages_of_another_processor_are_asked_for_by_an_apt_of_their_own(
    pattern: str, architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert foreign(pattern) == architecture
    place = Archive("suite", "deb here\n", tmp_path, architecture)
    monkeypatch.setattr(Archive, "apt", lambda *arguments: "")
    place.update()
    assert ('APT::Architecture "arm64";' in (place.directory / "apt.conf").read_text()) == bool(architecture)
