"""A hugetlb page of 1 GiB, asked without a lab: it is too many small ones for a model of each."""

from collections.abc import Iterator
from contextlib import contextmanager

from helpers.host import GIGANTIC
from helpers.kernel import Kernel, Sizes
from helpers.lab import Lab
from helpers.operations import Backing, Map, Register, Span, Write


@contextmanager
def gigantic_page(lab: Lab) -> Iterator[tuple[Kernel, Span]]:
    """The one that the machine has, in shared, registered memory of which something was written, and a kernel to ask.

    Raises CannotAsk when there is none.
    """
    lab.require("hugetlb 1 GiB")
    kernel = Kernel(Sizes(lab.host.sizes.page, GIGANTIC))
    span = Span(0, kernel.sizes.pages_per_huge_page)
    try:
        Map(span, Backing.HUGETLB, shared=True).run(kernel)
        Write(Span(0, 1)).run(kernel)
        Register(span).run(kernel)
        yield kernel, span
    finally:
        kernel.close()
