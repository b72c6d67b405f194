"""Deviations: classes that override one behaviour of the contract's model each.

A defect of a kernel that is known (:class:`Erratum`) and a fault that is planted to test the suite are both one. A
deviation calls ``super()`` and says what is different; it never copies a method. So several can be put together, and
each adds its own to what the others leave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from helpers.model import Facts, Model
from helpers.operations import Advice, Advise, Fill, Filler, Fork, Map, MoveIn, Operation, Scan

if TYPE_CHECKING:
    from helpers.lab import Lab

NOT_FIXED = "not fixed"


#: Whether something may make a difference to a program from an operation on.
Condition = Callable[[Operation, Facts], bool]


def always(operation: Operation, facts: Facts) -> bool:
    return True


def scans_oddly(operation: Operation, facts: Facts) -> bool:
    """Whether a field of the argument isn't what the rest of the operation says."""
    return isinstance(operation, Scan) and bool(operation.raw)


def _maps_hugetlb(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, Map) and operation.backing.is_hugetlb


def _makes_huge_pages(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, Advise) and operation.advice in (Advice.HUGEPAGE, Advice.COLLAPSE)


def _forbids(operation: Operation, facts: Facts) -> bool:
    """Whether pages can't be accessed from then on, each by an entry of its own."""
    if isinstance(operation, Fill):
        return operation.by is Filler.POISON
    return isinstance(operation, Advise) and operation.advice is Advice.GUARD_INSTALL


def _forks(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, Fork)


def _moves_in(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, MoveIn)


def _merges(operation: Operation, facts: Facts) -> bool:
    return isinstance(operation, Advise) and operation.advice is Advice.MERGEABLE


#: How a program comes to what is needed.
_MAKERS: dict[str, Condition] = {
    "fork events": _forks,
    "UFFDIO_MOVE": _moves_in,
    "hugetlb": _maps_hugetlb,
    "hugetlb 1 GiB": _maps_hugetlb,
    "thp": _makes_huge_pages,
    "huge zero page": _makes_huge_pages,
    "guard regions": _forbids,
    "guard regions in files": _forbids,
    "UFFDIO_POISON": _forbids,
    "ksm": _merges,
}


def name_of(deviation: type[Model]) -> str:
    """The name of a class in words: ``WalkEndAfterEperm`` is walk-end-after-eperm."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", deviation.__name__).lower()


class Harm(Enum):
    """What a defect does to whoever stands on the ioctl: the worst of it."""

    LOSES_WRITES = "A write is lost: whoever copies or saves what is reported keeps old content."
    HANGS = "Whoever calls doesn't come back, or the machine is brought down."
    MISTAKES = "A page is taken for what it isn't by whoever goes by its categories."
    REPORTS_MORE = "Pages are reported that nobody wrote to: whoever copies them works in vain."
    MISCOUNTS = "A number is off, or a region in two: nothing is lost, but whoever goes by it asks again."


class Deviation(Model):
    """Memory as the documents promise it to be, but for one thing: the first line of the docstring says what."""

    @classmethod
    def says(cls) -> str:
        """What is different, in a sentence."""
        return " ".join((cls.__doc__ or "").split("\n\n")[0].split()).rstrip(".")

    @classmethod
    def is_met_by(cls) -> Condition:
        """From which operations on it may make a difference to a program.

        A model that has it needn't be asked about other programs. To hold too often takes time, and nothing else.
        """
        return always


class Erratum(Deviation):
    """A defect that some kernels have. Its name is that of the class in words, its docstring says what goes wrong.

    ``clauses``: ids of the clauses that it breaks. ``harm``: whom it hurts. ``evidence``: the function of the kernel,
    and what it does. ``fixed``: the commit with its subject and the first releases that have it, or NOT_FIXED.
    ``needs``: keys of :func:`helpers.host.missing` without which it can't be met. ``beside``: errata in the presence
    of which alone it can be told; where one of these is absent, the contract's behaviour stands for it. ``hidden_by``:
    errata in the presence of which it can't be told, since it makes no difference to its probe. ``may_hang``: its probe
    may hang a kernel that has another defect.
    """

    clauses: ClassVar[tuple[str, ...]] = ()
    harm: ClassVar[Harm]
    evidence: ClassVar[str] = ""
    fixed: ClassVar[str] = NOT_FIXED
    needs: ClassVar[tuple[str, ...]] = ()
    beside: ClassVar[tuple[type[Erratum], ...]] = ()
    hidden_by: ClassVar[tuple[type[Erratum], ...]] = ()
    may_hang: ClassVar[bool] = False

    @staticmethod
    def probe(lab: Lab) -> None:
        """A short program in which the contract, and the contract with this erratum, part. History has none."""
        raise NotImplementedError

    @classmethod
    def is_met_by(cls) -> Condition:
        """As far as ``needs`` tells, if nobody does."""
        return next((_MAKERS[need] for need in cls.needs if need in _MAKERS), always)

    @classmethod
    def has_probe(cls) -> bool:
        """Whether it can be told; else it is history, and excuses nothing."""
        return cls.probe is not Erratum.probe


@cache
def _together(deviations: tuple[type[Model], ...]) -> type[Model]:
    if len(deviations) < 2:
        return deviations[0] if deviations else Model
    return type(" and ".join(one.__name__ for one in deviations), deviations, {})


def together(deviations: Iterable[type[Model]]) -> type[Model]:
    """The contract with all of these deviations; the contract itself when there is none."""
    return _together(tuple(deviations))
