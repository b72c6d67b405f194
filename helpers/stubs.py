"""Stub kernels: the model in the kernel's place, as it is or with deviations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from helpers.deviations import together
from helpers.model import Facts, Model

#: What the kernel has that a stub plays, whatever is asked of it. These have nothing broken: the model itself.
_HAS = {"faithful": set[str](), "faithful-soft-dirty": {"soft-dirty"}, "faithful-rwp": {"rwp"}}
FAITHFUL = tuple(_HAS)
#: Between the names of deviations that a stub has at the same time.
AND = "+"


class NoSuchStub(Exception):
    """A stub was named that there isn't; the message says which there are."""


def facts_of(stub: str, needs: Iterable[str] = ()) -> Facts:
    """What has to be known of the kernel that a stub plays for a test: it has what the test needs.

    ``needs``: keys of :func:`helpers.host.missing`.
    """
    has = {*needs, *_HAS.get(stub, ())}
    return Facts(written_needs_registration="rwp" in has, soft_dirty="soft-dirty" in has)


def stub_of(name: str, deviations: Mapping[str, type[Model]]) -> type[Model]:
    """The stub of a name: a faithful one, or names of deviations with a plus sign between. Raises NoSuchStub."""
    if name in FAITHFUL:
        return Model
    parts = name.split(AND)
    unknown = [part for part in parts if part not in deviations]
    if unknown:
        known = ", ".join([*FAITHFUL, *sorted(deviations)])
        raise NoSuchStub(f"there is no stub {unknown[0]}; there are {known}")
    return together(deviations[part] for part in parts)
