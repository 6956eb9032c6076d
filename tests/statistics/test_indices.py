from itertools import pairwise

import pytest

from jaxscat.statistics.indices import scale_pairs, scale_triples


def test_order_of_three_scales():
    assert scale_pairs(3) == [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]
    assert scale_triples(3) == [
        (0, 0, 0),
        *[(0, 0, 1), (0, 1, 1), (1, 1, 1)],
        *[(0, 0, 2), (0, 1, 2), (1, 1, 2), (0, 2, 2), (1, 2, 2), (2, 2, 2)],
    ]


@pytest.mark.parametrize("scales", [0, 1, 2, 5, 8])
def test_every_ordered_choice_of_scales_once(scales):
    some = range(scales)
    pairs, triples = scale_pairs(scales), scale_triples(scales)
    assert set(pairs) == {(a, b) for a in some for b in some if a <= b}
    assert set(triples) == {(a, b, c) for a in some for b in some for c in some if a <= b <= c}
    assert len(pairs) == scales * (scales + 1) // 2
    assert len(triples) == scales * (scales + 1) * (scales + 2) // 6


@pytest.mark.parametrize("choose", [scale_pairs, scale_triples])
def test_coarsest_scale_varies_slowest_so_that_fewer_scales_come_first(choose):
    assert choose(6)[: len(choose(4))] == choose(4)
    assert all(first[::-1] < second[::-1] for first, second in pairwise(choose(6)))
