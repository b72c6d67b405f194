"""A hugetlb page of 1 GiB: a lab in which it is the huge page that there is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from helpers.host import GIGANTIC
from helpers.kernel import Kernel, Sizes
from helpers.lab import Lab
from helpers.model import Model
from helpers.operations import Backing, Span


@contextmanager
def gigantic_lab(lab: Lab) -> Iterator[tuple[Lab, Span]]:
    """The one page that the machine has, in shared, registered memory of which something was written, and its lab.

    What is found there counts as found in the lab that it is made beside. Raises CannotAsk when there is no page.
    """
    lab.require("hugetlb 1 GiB")
    stub = lab.target if isinstance(lab.target, Model) else None
    # A stub's pages may have any size: as large as makes its huge page one of 1 GiB, so that it hasn't so many.
    sizes = Sizes(GIGANTIC // lab.huge if stub else lab.host.sizes.page, GIGANTIC)
    facts = replace(lab.facts, page_size=sizes.page, pages_per_huge_page=sizes.pages_per_huge_page)
    target = type(stub)(facts) if stub else Kernel(sizes)
    large = lab.beside(replace(lab.host, sizes=sizes, facts=facts), target)
    span = Span(0, large.huge)
    try:
        large.map(span, Backing.HUGETLB, shared=True)
        large.write(0)
        large.register(span)
        yield large, span
    finally:
        large.close()
