"""Selection: every combination of the three masks."""

from collections.abc import Callable, Iterator

import pytest

from helpers import masks
from helpers.host import Host
from helpers.interface.uapi import Category, category
from helpers.lab import Lab
from helpers.operations import Region
from helpers.plugins.labs import new_lab
from helpers.plugins.stash import LAB
from helpers.plugins.verdict import COMBINATIONS

pytestmark = pytest.mark.last

#: Bits 0 to 7 are in every default run.
BITS = 8
CHUNKS = 32
CHUNK = (1 << 3 * BITS) // CHUNKS


def chunk_in_c(chunk: int, returned: str) -> str:
    """The same proof as a call in C."""
    mask = "PAGE_IS_WRITTEN" if returned == "written" else "EVERY_CATEGORY"
    return f"every_mask({chunk * CHUNK}, {CHUNK}, {mask})"


@pytest.fixture(scope="module")
def shared_mosaic(pytestconfig: pytest.Config, host: Host) -> Iterator[masks.Mosaic]:
    """Made once: no scan of these tests changes it."""
    for with_empties in (True, False):
        lab = new_lab(pytestconfig)
        mosaic = masks.build(lab, with_empties)
        if not mosaic.deviates or not with_empties:
            break
        lab.close()
    yield mosaic
    lab.close()


@pytest.fixture(scope="module")
def stride(shared_mosaic: masks.Mosaic) -> int:
    """1 where every combination is proven, more where the kernel is too slow for that. Found out once."""
    return masks.stride_for(shared_mosaic, BITS)


@pytest.fixture
def mosaic(request: pytest.FixtureRequest, shared_mosaic: masks.Mosaic) -> masks.Mosaic:
    """Memory that holds every set of categories side by side."""
    request.node.stash[LAB] = shared_mosaic.lab
    return shared_mosaic


@pytest.mark.clause("selection", "output")
@pytest.mark.parametrize("returned", ["written", "all"])
@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.in_c(call=chunk_in_c)
def test_every_mask_combination_selects_by_the_rule(
    mosaic: masks.Mosaic, stride: int, chunk: int, returned: str, record_property: Callable[[str, object], None]
) -> None:
    wanted = Category.WRITTEN if returned == "written" else mosaic.lab.all
    proven = masks.prove(mosaic, chunk * CHUNK + chunk % stride, CHUNK // stride, stride, BITS, wanted)
    record_property(COMBINATIONS, proven)
    assert proven == CHUNK // stride > 0


@pytest.mark.clause("selection")
@pytest.mark.in_c(call=lambda: "need_mosaic()")
def test_the_memory_holds_many_sets_of_categories(mosaic: masks.Mosaic) -> None:
    assert len({run.categories for run in mosaic.runs}) >= 14


@pytest.mark.clause("selection", "output")
@pytest.mark.exhaustive
@pytest.mark.timeout(0)
@pytest.mark.parametrize("chunk", range(256))
def test_exhaustive_masks(mosaic: masks.Mosaic, chunk: int, record_property: Callable[[str, object], None]) -> None:
    bits = mosaic.lab.all.bit_length()
    size = (1 << 3 * bits) // 256
    proven = sum(masks.prove(mosaic, chunk * size, size, 1, bits, category(returned)) for returned in range(1 << bits))
    record_property(COMBINATIONS, proven)


@pytest.mark.clause("selection")
def test_no_mask_matches_every_page(lab: Lab) -> None:
    lab.map((0, 4))
    assert lab.scan((0, 4), returned=Category(0)).regions == (Region(0, 4, Category(0)),)


@pytest.mark.clause("selection")
@pytest.mark.parametrize("inverted", list(Category)[:8], ids=lambda bit: bit.name)
def test_an_inverted_bit_that_is_in_no_mask_changes_nothing(lab: Lab, inverted: Category) -> None:
    span = lab.map((0, 4))
    lab.register(span)
    lab.write(1)
    plain = lab.scan(span, mask=Category.WRITTEN)
    other = inverted & ~Category.WRITTEN
    assert lab.scan(span, mask=Category.WRITTEN, inverted=other).regions == plain.regions
