"""Fragments of a configuration: each has a reason, says what it asks in kconfig's words, and is checked."""

from __future__ import annotations

import re

import pytest

from vm import CannotRun
from vm.kernels import fragments
from vm.kernels.fragments import Fragment

BASES = {fragment.name: fragment for machine in ("x86_64", "arm64") for fragment in fragments.base(machine)}
EVERY = {**BASES, **{name: fragments.fragment(name) for name in fragments.names()}}
each = pytest.mark.parametrize("fragment", EVERY.values(), ids=EVERY)
LINE = re.compile(r"(CONFIG_[A-Z0-9_]+=(y|\d+|\"[^\"]*\")|# CONFIG_[A-Z0-9_]+ is not set|# [^\s].*|)")


@each
def test_every_line_is_a_symbol_or_a_comment(fragment: Fragment) -> None:
    lines = fragment.text.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []


@each
def test_a_fragment_begins_with_its_reason(fragment: Fragment) -> None:
    assert re.fullmatch(r"[A-Z].*\.", fragment.reason)


@each
def test_a_fragment_asks_for_something_and_for_each_symbol_once(fragment: Fragment) -> None:
    asked = re.findall(r"^(?:# )?(CONFIG_\w+)(?:=| is not set)", fragment.text, re.MULTILINE)
    assert asked
    assert len(asked) == len(set(asked))


def test_every_group_of_the_base_stands_under_a_comment() -> None:
    for group in BASES[fragments.BASE].text.strip().split("\n\n"):
        first = group.splitlines()[0]
        assert first.startswith("# ") and " is not set" not in first


def test_a_name_that_is_none_is_told_with_those_there_are() -> None:
    with pytest.raises(
        CannotRun, match=r"no configuration fragment kasn: there are 64k-pages, debug-vm, kasan, .*no-thp"
    ):
        fragments.fragment("kasn")


def test_a_name_with_a_directory_in_it_is_none() -> None:
    with pytest.raises(CannotRun):
        fragments.fragment("../configs/kasan")


@pytest.mark.parametrize(
    "config, told",
    [
        ("CONFIG_KASAN=y\n", ""),
        ("CONFIG_KASAN=m\n", "CONFIG_KASAN of one (wanted y, got m)"),
        ("# CONFIG_KASAN is not set\n", "CONFIG_KASAN of one (wanted y, got n)"),
        ("", "CONFIG_KASAN of one (wanted y, got n)"),
        ("CONFIG_KASAN=y\nCONFIG_THP=y\n", "CONFIG_THP of one (wanted n, got y)"),
    ],
)
def test_what_is_lost_is_told_with_what_was_wanted(config: str, told: str) -> None:
    one = fragments.Fragment("one", fragments.DIRECTORY, "# Why.\nCONFIG_KASAN=y\n# CONFIG_THP is not set\n")
    assert fragments.lost(config, [one]) == told


def test_of_two_fragments_the_later_one_is_asked() -> None:
    base, without = BASES["base-x86_64"], EVERY["no-soft-dirty"]
    config = base.text.replace("CONFIG_MEM_SOFT_DIRTY=y", "# CONFIG_MEM_SOFT_DIRTY is not set")
    assert fragments.lost(config, [base, without]) == ""
    assert fragments.lost(base.text, [base, without]) == "CONFIG_MEM_SOFT_DIRTY of no-soft-dirty (wanted n, got y)"
