"""Kernels built from their sources: the tree stays as it was, and what can't be built is said in a sentence."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vm import CannotRun
from vm.architectures import ARCHITECTURES
from vm.kernels import build, fragments
from vm.tests.images import arm64_header
from vm.tests.trees import RELEASE, FakeTree, boot_header

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
#: Writes half of an image, and isn't done with the rest for a long time.
SLOW = "echo half >$1\nsleep 300\n"


def log_of(cache_home: Path) -> str:
    """What the only build in the cache has printed so far."""
    [log] = cache_home.glob("pagemap-scan/builds/*/*/build.log")
    return log.read_text()


def compiled(cache_home: Path) -> list[str]:
    """The objects that the last build compiled."""
    return re.findall(r"^  CC +(\S+)$", log_of(cache_home), re.MULTILINE)


def processes_in(directory: Path) -> list[str]:
    """The processes that work in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(process / "cwd")).is_relative_to(directory):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


# --- What is built --------------------------------------------------------------------------------------


def test_a_kernel_says_what_it_is_and_where_it_came_from(tree: FakeTree) -> None:
    kernel = build.build(tree.path, ["kasan", "no-thp"])
    assert kernel.name == "6.99.0-rc1+kasan+no-thp"
    assert kernel.release == RELEASE
    assert kernel.image.read_bytes() == boot_header()
    assert kernel.modules is None
    assert kernel.origin == str(tree.path)


def test_the_origin_has_the_commit(tree: FakeTree) -> None:
    commit = tree.commit("mm: begin")
    kernel = build.build(tree.path)
    assert kernel.origin == f"{tree.path} ({commit[:7]})"
    tree.write("mm/memory.c", "int memory, changed;\n")
    assert build.build(tree.path).origin == f"{tree.path} ({commit[:7]}-dirty)"


def test_a_tree_inside_of_another_repository_has_no_commit(tree: FakeTree, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=60)
    assert build.build(tree.path).origin == str(tree.path)


def test_fragments_have_build_directories_of_their_own(tree: FakeTree, cache_home: Path) -> None:
    base, kasan = build.build(tree.path), build.build(tree.path, ["kasan"])
    assert base.image != kasan.image
    assert "CONFIG_KASAN=y" in (kasan.image.parent / ".config").read_text()
    assert "CONFIG_KASAN=y" not in (base.image.parent / ".config").read_text()


@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-gcc"), reason="gcc-aarch64-linux-gnu isn't there")
def test_a_kernel_for_another_processor_is_built_by_its_compiler_beside_this_machines(
    tree: FakeTree, cache_home: Path
) -> None:
    own = build.build(tree.path)
    (tree.path / "boot-header").write_bytes(arm64_header(RELEASE, 1 << 16))
    kernel = build.build(tree.path, ["64k-pages"], machine=ARCHITECTURES["arm64"])
    assert (kernel.name, kernel.architecture, kernel.page_size) == ("6.99.0-rc1+arm64+64k-pages", "arm64", 1 << 16)
    config = fragments.symbols((kernel.image.parent / ".config").read_text())
    assert "CONFIG_MEM_SOFT_DIRTY" not in config and config["CONFIG_ARM64_64K_PAGES"] == "y"
    told = subprocess.run(["file", kernel.image.parent / "mm/memory.o"], capture_output=True, text=True, timeout=60)
    assert "aarch64" in told.stdout
    assert own.image.parent != kernel.image.parent and own.image.read_bytes() == boot_header()


def test_a_processor_without_a_compiler_here_is_told_before_anything_is_built(
    tree: FakeTree, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name.startswith("aarch64") else f"/usr/bin/{name}")
    with pytest.raises(CannotRun, match="aarch64-linux-gnu-gcc is missing: install gcc-aarch64-linux-gnu"):
        build.build(tree.path, machine=ARCHITECTURES["arm64"])
    assert not cache_home.exists()


def test_the_developers_settings_of_virtme_ng_dont_matter(
    tree: FakeTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "home/.config/virtme-ng"
    settings.mkdir(parents=True)
    (settings / "virtme-ng.conf").write_text('{"default_opts": {"dry_run": true}}')
    (settings / "kernel.config").write_text("# CONFIG_SWAP is not set\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert build.build(tree.path).release == RELEASE


@pytest.mark.parametrize("name, value", [("ARCH", "um"), ("KBUILD_OUTPUT", "/dev/null"), ("MAKEFLAGS", "n")])
def test_the_environment_doesnt_turn_the_build_elsewhere(
    tree: FakeTree, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert build.build(tree.path).release == RELEASE


# --- Building again -------------------------------------------------------------------------------------


def test_only_what_changed_is_built_again(tree: FakeTree, cache_home: Path) -> None:
    build.build(tree.path)
    assert sorted(compiled(cache_home)) == ["mm/memory.o", "mm/swap.o"]
    tree.write("mm/swap.c", "int swap, changed;\n")
    build.build(tree.path)
    assert compiled(cache_home) == ["mm/swap.o"]


def test_the_configuration_is_made_again_only_when_what_it_depends_on_changed(
    tree: FakeTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = build.build(tree.path).image.parent / ".config"
    made = config.stat().st_mtime_ns
    build.build(tree.path)
    assert config.stat().st_mtime_ns == made
    (tree.path / "Kconfig").touch()
    build.build(tree.path)
    assert config.stat().st_mtime_ns > made
    made = config.stat().st_mtime_ns
    monkeypatch.setenv("CC", "gcc")
    build.build(tree.path)
    assert config.stat().st_mtime_ns > made


def test_what_takes_long_is_said_with_the_place_of_its_log(tree: FakeTree, tmp_path: Path) -> None:
    said: list[str] = []
    log = tmp_path / "my.log"
    build.build(tree.path, ["kasan"], log, said.append)
    assert said == [f"building {tree.path} (base, base-x86_64, kasan): {log}"]
    assert "CC      mm/swap.o" in log.read_text()


def test_a_configuration_that_was_refused_is_refused_again(tree: FakeTree) -> None:
    tree.forget("KASAN")
    for _ in range(2):
        with pytest.raises(CannotRun, match="CONFIG_KASAN of kasan"):
            build.build(tree.path, ["kasan"])


def test_an_image_that_is_being_booted_stays_whole_during_the_next_build(tree: FakeTree) -> None:
    kernel = build.build(tree.path)
    with kernel.image.open("rb") as booted:
        (tree.path / "boot-header").write_bytes(boot_header("6.99.0-rc2-virtme"))
        (tree.path / "make-image").touch()
        assert build.build(tree.path).release == "6.99.0-rc2-virtme"
        assert booted.read() == boot_header()


# --- Somebody's own tree --------------------------------------------------------------------------------


def test_a_build_leaves_nothing_in_the_tree(tree: FakeTree) -> None:
    before = tree.state()
    build.build(tree.path)
    assert tree.state() == before


def test_a_configuration_of_ones_own_is_left_alone_and_not_used(tree: FakeTree) -> None:
    tree.commit("mm: begin")
    tree.write(".config", "CONFIG_MINE=y\n")
    tree.write("mm/memory.o", "an object of my own\n")
    tree.write("mm/new.c", "int new_and_not_committed;\n")
    before = tree.state()
    kernel = build.build(tree.path)
    assert tree.state() == before
    assert tree.git("status", "--porcelain") == "?? mm/new.c\n"
    assert (kernel.image.parent / "mm/new.o").exists()
    assert "MINE" not in (kernel.image.parent / ".config").read_text()


def test_a_tree_that_is_built_in_place_is_followed(tree: FakeTree, cache_home: Path) -> None:
    tree.commit("mm: begin")
    tree.write(".config", "CONFIG_MINE=y\n")
    build.build(tree.path)
    tree.write("mm/swap.c", "int swap, changed;\n")
    build.build(tree.path)
    assert compiled(cache_home) == ["mm/swap.o"]
    # A file that goes, a directory that becomes a file, and a file that becomes a directory.
    tree.write("lib/list.h", "")
    tree.write("virt", "")
    build.build(tree.path)
    for name in ("lib/list.h", "mm/memory.c", "virt"):
        (tree.path / name).unlink()
    (tree.path / "lib").rmdir()
    tree.write("lib", "")
    tree.write("virt/kvm.h", "")
    build.build(tree.path)
    [links] = cache_home.glob("pagemap-scan/builds/*/sources")
    assert not (links / "mm/memory.c").is_symlink()
    assert (links / "lib").is_file()
    assert (links / "virt/kvm.h").is_symlink()


def test_without_git_a_tree_that_is_built_in_place_is_refused(tree: FakeTree) -> None:
    tree.write(".config", "CONFIG_MINE=y\n")
    with pytest.raises(CannotRun, match=r"configured in place, and it isn't a git repository.*make mrproper"):
        build.build(tree.path)


# --- What can't be built --------------------------------------------------------------------------------


def test_a_directory_that_is_no_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="is not a kernel source tree: it has no Kconfig"):
        build.build(tmp_path)


def test_a_fragment_that_isnt_there_is_told_before_anything_is_built(tree: FakeTree, cache_home: Path) -> None:
    with pytest.raises(CannotRun, match=r"no configuration fragment kasn: there are .*kasan"):
        build.build(tree.path, ["kasn"])
    assert not cache_home.exists()


def test_a_symbol_that_doesnt_survive_is_told_before_anything_is_compiled(tree: FakeTree, cache_home: Path) -> None:
    tree.forget("KASAN_VMALLOC")
    with pytest.raises(CannotRun, match=r"olddefconfig changes CONFIG_KASAN_VMALLOC of kasan \(wanted y, got n\)$"):
        build.build(tree.path, ["kasan"])
    assert compiled(cache_home) == []


def test_a_symbol_that_stays_on_is_told(tree: FakeTree) -> None:
    script = (tree.path / "scripts/olddefconfig").read_text()
    tree.write("scripts/olddefconfig", script + "sed -i 's/.*CONFIG_MODULES .*/CONFIG_MODULES=y/' $1\n")
    with pytest.raises(CannotRun, match=r"CONFIG_MODULES of base \(wanted n, got y\)"):
        build.build(tree.path)


def test_a_build_that_fails_is_told_with_the_compilers_first_error(tree: FakeTree) -> None:
    tree.write("mm/swap.c", "int swap = other;\n")
    with pytest.raises(CannotRun, match=r"doesn't build: mm/swap.c:1:12: error: .other. undeclared .*\)") as raised:
        build.build(tree.path)
    log = Path(str(raised.value).rpartition("(")[2].removesuffix(")"))
    assert "other" in log.read_text()
    assert "\n" not in str(raised.value)


def test_a_failed_build_leaves_no_kernel_of_an_earlier_one(tree: FakeTree) -> None:
    build.build(tree.path)
    tree.write("mm/swap.c", "#error broken\n")
    with pytest.raises(CannotRun, match="error: #error broken"):
        build.build(tree.path)


@pytest.mark.parametrize(
    "script, told",
    [
        ("flexx lexer.l", "flexx: .*not found"),
        ("echo 'make[2]: *** No rule to make target' >&2; exit 1", "No rule to make target"),
        ("exit 1", r"make: \*\*\* .*config.* Error 1"),
    ],
)
def test_a_tree_that_cant_be_configured_is_told_with_the_reason(tree: FakeTree, script: str, told: str) -> None:
    tree.write("scripts/olddefconfig", f"{script}\n")
    with pytest.raises(CannotRun, match=f"can't be configured: .*{told}"):
        build.build(tree.path)


def test_a_path_that_make_doesnt_take_is_told(tmp_path: Path, cache_home: Path) -> None:
    with pytest.raises(CannotRun, match="linux next: make takes no paths with"):
        build.build(FakeTree(tmp_path / "linux next").path)


def test_a_machine_without_virtme_ng_is_told(tree: FakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "search_path", lambda: "/nowhere")
    with pytest.raises(CannotRun, match="vng is missing"):
        build.build(tree.path)


def test_a_cache_that_cant_be_written_is_told(tree: FakeTree, cache_home: Path) -> None:
    (cache_home / "pagemap-scan").mkdir(parents=True)
    (cache_home / "pagemap-scan/builds").write_text("a file where a directory should be")
    with pytest.raises(CannotRun, match=r"can't be built in .*: (Not a directory|File exists)"):
        build.build(tree.path)


# --- A build that is ended ------------------------------------------------------------------------------


def test_a_build_past_its_limit_is_ended(tree: FakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "LIMIT", 3)
    tree.write("make-image", SLOW)
    with pytest.raises(CannotRun, match="the build isn't done after"):
        build.build(tree.path)
    assert processes_in(tree.path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ending_the_harness_ends_the_build(
    tree: FakeTree, cache_home: Path, tmp_path: Path, number: signal.Signals
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    tree.write("make-image", SLOW)
    code = f"from pathlib import Path; from vm.kernels.build import build; build(Path({str(tree.path)!r}))"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment, stderr=subprocess.PIPE) as harness:
        half = "pagemap-scan/builds/*/base/arch/x86/boot/bzImage"
        wait_until(lambda: list(cache_home.glob(half)), "the image isn't begun")
        wait_until(lambda: "BUILD   bzImage" in log_of(cache_home), "the log doesn't tell how far the build is")
        harness.send_signal(number)
        harness.communicate(timeout=60)
    assert harness.returncode != 0
    assert processes_in(tree.path) == []
    assert list(temporary.iterdir()) == []
    # There was time to remove what was being written; else it would be taken for a whole image next time.
    assert list(cache_home.glob(half)) == []


def test_two_builds_of_a_tree_at_once_wait_for_one_another(tree: FakeTree, cache_home: Path) -> None:
    tree.write("make-image", "sleep 1\ncp boot-header $1\n")
    code = (
        f"from pathlib import Path; from vm.kernels.build import build; print(build(Path({str(tree.path)!r})).release)"
    )
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [build.communicate(timeout=100)[0] for build in both] == [f"{RELEASE}\n"] * 2
