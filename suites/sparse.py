"""A transparent huge page of which one page was written: where it is split, the others may become the zero page."""

from helpers.kinds import SPARSE
from helpers.lab import Lab
from helpers.operations import Span


def sparse_huge_page(lab: Lab) -> Span:
    """Its pages, not registered. Raises CannotAsk where there are no huge pages, SuiteError where none came."""
    lab.require(*SPARSE.needs)
    span = SPARSE.span(lab.huge)
    for operation in SPARSE.operations(span):
        lab.do(operation)
    lab.verify(span)
    return span
