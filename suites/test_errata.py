"""Each known defect that finds itself out is asked for: it is absent, or exactly as it is told."""

import pytest

from helpers.deviations import Erratum, name_of
from helpers.lab import Lab
from suites.errata import ERRATA


def asked(erratum: type[Erratum]) -> object:
    """An erratum as a parameter, with the clauses that it breaks and what it needs."""
    marks = [pytest.mark.clause(*erratum.clauses), pytest.mark.needs(*erratum.needs)]
    if erratum.may_hang:
        marks.append(pytest.mark.may_hang)
    if "hugetlb 1 GiB" in erratum.needs:
        marks.append(pytest.mark.kernel_only("its huge page isn't of the size that the program is made for"))
    return pytest.param(erratum, id=name_of(erratum), marks=marks)


@pytest.mark.parametrize("erratum", [asked(erratum) for erratum in ERRATA if erratum.has_probe()])
def test_a_known_defect_is_absent_or_exactly_as_it_is_told(lab: Lab, erratum: type[Erratum]) -> None:
    lab.suspected = erratum
    erratum.probe(lab)
