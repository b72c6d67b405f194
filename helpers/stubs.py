"""Stub kernels: the model in the kernel's place, as it is or with deviations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from helpers.deviations import together
from helpers.model import Argument, Facts, Model

#: What the kernel has that a stub plays, whatever is asked of it. These have nothing broken: the model itself.
_HAS = {"faithful": set[str](), "faithful-soft-dirty": {"soft-dirty"}, "faithful-rwp": {"rwp"}}
FAITHFUL = tuple(_HAS)
#: Between the names of which a stub is made.
AND = "+"
#: Bytes of a page, and pages of a huge page.
PAGES = "4096x512"


class _Decided(Model):
    """A kernel answers also where no document decides."""

    def must_not_matter(self, argument: Argument, categories: int, undecided: int, number: int) -> None:
        pass

    def decided_bits(self, number: int) -> int:
        return self.pagemap_bits(self.memory.get(number))


class NoSuchStub(Exception):
    """A stub was asked for that there isn't; the message says which there are."""


def _had(stub: str, needs: Iterable[str]) -> set[str]:
    """What the kernel has that a stub plays for a test: what its name says, and what the test needs."""
    return {*needs}.union(*(_HAS.get(part, ()) for part in stub.split(AND)))


def facts_of(stub: str, needs: Iterable[str] = (), pages: str = PAGES) -> Facts:
    """What has to be known of the kernel that a stub plays for a test. Raises NoSuchStub.

    ``needs``: keys of :func:`helpers.host.missing`. ``pages``: as in PAGES.
    """
    sizes = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", pages)
    if sizes is None:
        raise NoSuchStub(f"there is no stub with pages of {pages!r}: it takes bytes of a page x pages of a huge page")
    had = _had(stub, needs)
    return Facts(int(sizes[1]), int(sizes[2]), written_needs_registration="rwp" in had, soft_dirty="soft-dirty" in had)


def missing_in(stub: str, needs: Iterable[str] = ()) -> dict[str, str]:
    """What can't be asked of the kernel that a stub plays for a test, and how it can."""
    had = _had(stub, needs)
    return {
        need: f"the stub plays a kernel without: give --stub={name}, or {name}{AND} what else it has"
        for name, has in _HAS.items()
        for need in has - had
    }


def stub_of(name: str, deviations: Mapping[str, type[Model]]) -> type[Model]:
    """The stub of a name: a faithful one, a deviation, or several of these with a plus between. Raises NoSuchStub."""
    parts = name.split(AND)
    unknown = [part for part in parts if part not in deviations and part not in _HAS]
    if unknown:
        known = ", ".join([*FAITHFUL, *sorted(deviations)])
        raise NoSuchStub(f"there is no stub {unknown[0]!r}; there are {known}; and several of them with {AND} between")
    if len(parts) > len({*parts}):
        raise NoSuchStub(f"a stub can't have the same twice: {name!r}")
    return stub_with(deviations[part] for part in parts if part in deviations)


def stub_with(deviations: Iterable[type[Model]]) -> type[Model]:
    """The stub that has these deviations and nothing else broken."""
    return together([*deviations, _Decided])
