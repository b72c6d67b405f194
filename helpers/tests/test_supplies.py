"""What the machine says that it has is taken, before a test relies on it."""

import ctypes
import errno
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import supplies
from helpers.host import find_sizes, hugetlb_pages
from helpers.interface.native import lib

SIZES = find_sizes()


def test_more_hugetlb_pages_than_there_are_cannot_be_had() -> None:
    assert supplies.refuses_hugetlb(SIZES, 1 << 20).startswith("fewer than 1048576 hugetlb pages are free")


def test_no_hugetlb_pages_can_always_be_had_by_whoever_has_some() -> None:
    if not (free := hugetlb_pages(SIZES)):
        pytest.skip("no hugetlb page is free: raise nr_hugepages")
    assert supplies.refuses_hugetlb(SIZES, 1) == "" and free > 0


def test_a_pool_that_is_not_given_out_is_told_without_dying_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with hugetlb.2MB.max of 0: memory is mapped, and touching it is SIGBUS."""
    answers = {"native_mmap": lambda *arguments: 1 << 40, "native_madvise": lambda *arguments: -errno.EFAULT}
    fake = SimpleNamespace(**answers, native_munmap=lambda *arguments: 0)
    monkeypatch.setattr(supplies, "lib", fake)
    assert supplies.refuses_hugetlb(SIZES, 10).endswith("a control group has a limit (hugetlb.*.max)")


def test_pages_that_do_not_go_to_swap_are_waited_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supplies, "PATIENCE", 0.1)
    monkeypatch.setattr("helpers.kernel.advice.lib", SimpleNamespace(**vars_of_library(), native_madvise=lambda *a: 0))
    assert supplies.refuses_swap(SIZES).startswith("there is swap, and pages don't go there")


def vars_of_library() -> dict[str, int]:
    return {"NATIVE_DOES_NOT_RETURN": lib.NATIVE_DOES_NOT_RETURN}


def test_a_directory_without_room_is_none(tmp_path: Path) -> None:
    assert supplies.has_room(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        assert not supplies.has_room(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not supplies.has_room(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_an_ordinary_user_cannot_become_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(groups: list[int]) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setgroups", refuse)
    assert supplies.refuses_another_user() == "root can't become another user here (EPERM)"


def test_a_process_that_may_not_have_huge_pages_is_told_that_it_gets_none() -> None:
    """PR_SET_THP_DISABLE, which a process has from whoever started it."""
    libc = ctypes.CDLL(None)
    before = libc.prctl(42, 0, 0, 0, 0)
    assert libc.prctl(41, 1, 0, 0, 0) == 0
    try:
        assert supplies.refuses_huge_pages(SIZES)
    finally:
        libc.prctl(41, before, 0, 0, 0)
