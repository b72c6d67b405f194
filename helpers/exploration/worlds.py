"""Worlds: in which sizes a search has its models, and how its programs come to a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from helpers.exploration.stretched import Stretch, Stretched, small
from helpers.model import Facts
from helpers.operations import Operation, Target


class Runs(Protocol):
    """That on which operations run."""

    def run(self, operation: Operation) -> Any: ...

    def close(self) -> None: ...


class Plain:
    """A target as it is."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.close = target.close

    def run(self, operation: Operation) -> Any:
        return operation.run(self.target)


@dataclass(frozen=True)
class World:
    """``facts``: of the models. ``new_target``: a target of that world with nothing in it. ``full``: the operation of
    the kernel's size that one of this world stands for."""

    facts: Facts
    new_target: Callable[[], Runs]
    full: Callable[[Operation], Operation]
    is_small: bool


def full_world(facts: Facts, new_target: Callable[[Facts], Target]) -> World:
    """The kernel's own sizes."""
    return World(facts, lambda: Plain(new_target(facts)), lambda operation: operation, is_small=False)


def small_world(facts: Facts, new_target: Callable[[Facts], Target]) -> World:
    """Huge pages of few pages, stretched to the kernel's."""

    stretch = Stretch(facts)
    return World(small(facts), lambda: Stretched(new_target(facts), stretch), stretch.operation, is_small=True)


def world_of_stub(facts: Facts, new_target: Callable[[Facts], Target]) -> World:
    """Huge pages of few pages, and a stub whose huge pages are no larger."""
    return World(small(facts), lambda: Plain(new_target(small(facts))), Stretch(facts).operation, is_small=True)
