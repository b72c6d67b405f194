"""A kernel is looked at before it is booted: what isn't one, or hasn't its modules, is said in a sentence."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from vm import CannotRun
from vm.kernels.kernel import from_image
from vm.tests.images import write_image

RELEASE = "6.99.1-test"


def test_an_image_says_its_release(tmp_path: Path) -> None:
    kernel = from_image(write_image(tmp_path / "bzImage", RELEASE))
    assert (kernel.name, kernel.release, kernel.modules) == (RELEASE, RELEASE, None)


def test_an_uncompressed_image_says_its_release_too(tmp_path: Path) -> None:
    image = tmp_path / "Image.gz"
    image.write_bytes(gzip.compress(b"\0" * 64 + b"Linux version " + RELEASE.encode() + b" (builder@host)\n"))
    assert from_image(image).release == RELEASE


@pytest.mark.parametrize(
    "content",
    [b"", b"MZ", b"\x7fELF" + b"\0" * 2000, b"#!/bin/sh\nexit 0\n", b"\x1f\x8bnot gzip at all", gzip.compress(b"tar")],
    ids=["empty", "cut-off", "another-program", "a-script", "broken-gzip", "another-archive"],
)
def test_a_file_that_is_no_kernel_is_refused(tmp_path: Path, content: bytes) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(content)
    with pytest.raises(CannotRun, match=f"^{image}: this is not a kernel image"):
        from_image(image)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match=r"bzImage: can't be read: No such file or directory$"):
        from_image(tmp_path / "bzImage")


@pytest.mark.parametrize("image", ["boot/vmlinuz", "vmlinuz", "usr/lib/modules/RELEASE/vmlinuz"])
def test_modules_are_found_beside_the_image(tmp_path: Path, image: str) -> None:
    above = "usr/lib/modules" if image.startswith("usr") else "lib/modules"
    (tmp_path / above / RELEASE).mkdir(parents=True)
    kernel = from_image(write_image(tmp_path / image.replace("RELEASE", RELEASE), RELEASE))
    assert kernel.modules is not None
    assert (kernel.modules / "lib/modules" / RELEASE).is_dir()


def test_modules_of_another_version_are_refused(tmp_path: Path) -> None:
    image = write_image(tmp_path / "vmlinuz", RELEASE)
    for other in ("6.99.0-test", "6.99.2-test"):
        (tmp_path / "lib/modules" / other).mkdir(parents=True)
    with pytest.raises(CannotRun) as told:
        from_image(image)
    where = tmp_path / "lib/modules"
    assert str(told.value) == (
        f"{image} is {RELEASE}, but the modules in {where} are of another version: 6.99.0-test, 6.99.2-test"
    )
