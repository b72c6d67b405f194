"""Each known defect that finds itself out is asked for: it is absent, or exactly as it is told."""

import pytest

from helpers.deviations import Erratum, name_of
from helpers.lab import Lab
from suites.errata import ERRATA


def probe_in_c(erratum: type[Erratum]) -> str:
    """The same program as a call in C, which has every probe as a function."""
    return f"probe_{name_of(erratum).replace('-', '_')}()"


def asked(erratum: type[Erratum]) -> object:
    """An erratum as a parameter, with the clauses that it breaks and what it needs."""
    marks = [pytest.mark.clause(*erratum.clauses), pytest.mark.needs(*erratum.needs)]
    if erratum.may_hang:
        marks.append(pytest.mark.may_hang)
    elif "hugetlb 1 GiB" in erratum.needs:
        marks.append(pytest.mark.kernel_only("its huge page isn't of the size that the program is made for"))
    elif "ksm" in erratum.needs:
        marks.append(pytest.mark.kernel_only("KSM comes by when it likes"))
    else:
        marks.append(pytest.mark.in_c(call=probe_in_c))
    return pytest.param(erratum, id=name_of(erratum), marks=marks)


@pytest.mark.parametrize("erratum", [asked(erratum) for erratum in ERRATA if erratum.has_probe()])
def test_a_known_defect_is_absent_or_exactly_as_it_is_told(lab: Lab, erratum: type[Erratum]) -> None:
    lab.suspected = erratum
    erratum.probe(lab)
