"""Fetching a kernel: from an archive that has it, that hasn't, that can't be reached, or that breaks off."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vm import CannotRun
from vm.kernels.archive import Archive, archive_of
from vm.tests.needs import depmod
from vm.tests.repository import Repository, served
from vm.tests.trees import FakeTree

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not shutil.which("apt-get"), reason="deb: needs Debian's apt"),
]
#: A port that nobody listens at ("discard").
NOWHERE = "deb [trusted=yes] http://127.0.0.1:9/ ./\n"
NAME = "linux-image-6.99.2-test"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository with two kernels; a proxy of the machine's must not stand before the loopback."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with served(tmp_path / "repository") as repository:
        repository.add_kernel("6.99.1-test", "6.99.1-1")
        repository.add_kernel("6.99.2-test", "6.99.2-1~test1")
        yield repository


@pytest.fixture
def place(repository: Repository, tmp_path: Path) -> Archive:
    return Archive("suite", repository.sources, tmp_path / "cache")


def unpacked(place: Archive) -> list[str]:
    """All that is in the directory of kernels, half of a kernel too."""
    return sorted(os.listdir(place.kernels)) if place.kernels.exists() else []


@depmod
def test_the_newest_kernel_is_fetched_and_found_again_without_the_archive(place: Archive, tmp_path: Path) -> None:
    kernel = place.fetch("linux-image-6.99.*-test")
    assert (kernel.release, kernel.origin) == ("6.99.2-test", f"deb:suite/{NAME} 6.99.2-1~test1")
    assert kernel.modules and (kernel.modules / "lib/modules/6.99.2-test/modules.dep").exists()
    unreachable = Archive("suite", NOWHERE, tmp_path / "cache")
    assert unreachable.cached("linux-image-6.99.*-test") == [kernel]


def test_sources_are_fetched_once_as_a_tree_unless_they_are_asked_for_anew(
    place: Archive, repository: Repository, tmp_path: Path, tree: FakeTree
) -> None:
    repository.add_sources("6.99", "6.99.1-1~test1", tree.path)
    first = place.source_tree("linux-source-6.*")
    assert (first / "mm/memory.c").read_text() == "int memory;\n"
    repository.add_sources("6.99", "6.99.2-1", tree.path)
    os.utime(repository.directory / "Packages", (time.time() + 60,) * 2)  # A second is as much as HTTP tells apart.
    unreachable = Archive("suite", NOWHERE, tmp_path / "cache")
    assert unreachable.source_tree("linux-source-6.99") == first
    newer = place.source_tree("linux-source-6.99", fresh=True)
    assert newer != first and place.source_tree("linux-source-6.99") == newer
    assert sorted(os.listdir(place.trees)) == sorted([first.name, newer.name])
    with pytest.raises(CannotRun, match=r"suite has no package linux-source-7\.0"):
        place.source_tree("linux-source-7.0")


def test_a_package_that_is_gone_is_said_with_those_that_are_there(place: Archive) -> None:
    with pytest.raises(CannotRun) as told:
        place.fetch("linux-image-6.98.*-test")
    assert str(told.value) == (
        f"suite has no package linux-image-6.98.*-test (any more); it has {NAME}, linux-image-6.99.1-test, …"
    )
    assert unpacked(place) == []


def test_a_package_that_is_listed_and_gone_is_said(place: Archive, repository: Repository) -> None:
    for package in repository.directory.glob("*.deb"):
        package.unlink()
    with pytest.raises(CannotRun, match=r"^apt-get download for suite failed: Failed to fetch \S+\.deb: 404: "):
        place.fetch(NAME)
    assert unpacked(place) == []


def test_an_archive_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    place = Archive("suite", NOWHERE, tmp_path / "cache")
    with pytest.raises(CannotRun, match=r"^the archive of suite can't be reached: [^\n]*127\.0\.0\.1:9[^\n]*$"):
        place.fetch(NAME)
    assert unpacked(place) == []


@depmod
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut-off", "Undetermined Error"),
        ("shorter-than-listed", r"File has unexpected size \(1000 != \d+\)\. Mirror sync in progress\?"),
        ("other-bytes", "Hash Sum mismatch"),
    ],
)
def test_a_truncated_download_is_said_and_leaves_nothing(
    place: Archive, repository: Repository, how: str, said: str
) -> None:
    """The next attempt, with the archive mended, succeeds."""
    [package] = repository.directory.glob(f"{NAME}_*.deb")
    whole = package.read_bytes()
    match how:
        case "cut-off":
            repository.cut_after = 1000
        case "shorter-than-listed":
            package.write_bytes(whole[:1000])
        case "other-bytes":
            package.write_bytes(b"\0" * len(whole))
    with pytest.raises(
        CannotRun, match=rf"^the download from suite broke off or is damaged: Failed to fetch \S+\.deb: {said}$"
    ):
        place.fetch(NAME)
    assert unpacked(place) == []
    repository.cut_after = None
    package.write_bytes(whole)
    assert place.fetch(NAME).release == "6.99.2-test"


def test_a_package_that_cannot_be_unpacked_is_said(place: Archive, repository: Repository) -> None:
    """As when the disk is full: the program that unpacks fails, and says why."""
    repository.add_kernel("6.99.3-test", "6.99.3-1", broken=True)
    with pytest.raises(CannotRun, match=r"^dpkg-deb -x failed: [^\n]*not a Debian format archive$"):
        place.fetch("linux-image-6.99.3-test")
    assert unpacked(place) == []


def test_a_machine_that_is_not_debian_is_told_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CannotRun, match=r"^deb: needs Debian's apt, .*: name an image or a source tree instead$"):
        archive_of("suite/linux-image-*")
