import json

import numpy as np
import pytest

from jaxscat.validation.agreement import agreement, describe_agreement

NSIDE = 8
NPIX = 12 * NSIDE**2


@pytest.fixture
def white():
    return np.random.default_rng(0).normal(size=(4, NPIX))


def test_copies_agree_and_have_no_spread(white):
    found = agreement(np.stack([white[0], white[0]]), truth=white[0])
    for row in found["bins"]:
        assert [row[key] for key in ("pairs", "single", "mean")] == pytest.approx([1, 1, 1])
    assert found["spread"] == found["residual_mean"] == found["residual_single"] == 0
    assert found["std"] == pytest.approx(white[0].std())


def test_independent_maps_agree_by_chance(white):
    found = agreement(white[:2], truth=white[2])
    for row in found["bins"]:
        assert abs(row["pairs"]) < 4 * row["chance"]
    # of flat spectra it is one over the root of the number of modes
    last = found["bins"][-1]
    modes = (last["l_max"] + 1) ** 2 - last["l_min"] ** 2
    assert last["chance"] == pytest.approx(1 / np.sqrt(modes), rel=0.1)
    assert found["spread"] == pytest.approx(1, abs=0.1)
    assert found["residual_single"] == pytest.approx(np.sqrt(2), abs=0.1)
    assert found["residual_mean"] == pytest.approx(np.sqrt(1.5), abs=0.1)


def test_draws_around_what_is_known_have_the_expected_correlations(white):
    # A known part k and unknown ones u of unit variance: pairs k k / (k k + u u) = 1 / 2, which
    # the truth is like; the mean of two has cov(k) / sqrt(2 (1 + 1 / 2)).
    known = white[0]
    found = agreement(known + white[1:3], truth=known + white[3])
    last = found["bins"][-1]
    assert last["pairs"] == pytest.approx(1 / 2, abs=0.12)
    assert last["single"] == pytest.approx(1 / 2, abs=0.12)
    assert last["mean"] == pytest.approx(1 / np.sqrt(3), abs=0.12)
    assert found["spread"] == pytest.approx(1, abs=0.1)
    assert found["residual_mean"] < found["residual_single"]


def test_numbers_by_hand():
    maps = np.zeros((2, NPIX))
    maps[0], maps[1, ::2] = 1.0, 4.0
    found = agreement(maps, truth=np.ones(NPIX))
    # deviations of two numbers a and b: |a - b| / sqrt(2), of 1 and 4 or of 1 and 0
    assert found["spread"] == pytest.approx(np.sqrt((9 / 2 + 1 / 2) / 2))
    assert found["residual_single"] == pytest.approx((0 + np.sqrt((9 + 1) / 2)) / 2)
    assert found["residual_mean"] == pytest.approx(np.sqrt((1.5**2 + 0.5**2) / 2))
    assert found["bins"][0]["pairs"] is None  # of a constant map
    assert json.dumps(found, allow_nan=False)


def test_only_pixels_inside_count(white):
    inside = np.zeros(NPIX, bool)
    inside[:400] = True
    first = np.where(inside, white[0], white[1])
    found = agreement(np.stack([first, white[0]]), truth=white[0], inside=inside)
    assert found["spread"] == 0
    assert [row["pairs"] for row in found["bins"]] == pytest.approx([1] * len(found["bins"]))


def test_without_a_truth_solutions_are_compared_with_one_another_only(white):
    found = agreement(white[:3])
    assert found["solutions"] == 3
    assert found["residual_single"] is found["residual_mean"] is found["bins"][0]["single"] is None
    lines = describe_agreement(found)
    assert "do not agree" in lines[0] and "spread" not in lines[0]


def test_words_say_where_solutions_agree_and_whether_the_truth_is_one_of_them(white):
    lines = describe_agreement(agreement(white[0] + 0.1 * white[1:3], truth=white[0]))
    assert "agree with one another (correlation above 0.5, and above twice what" in lines[0]
    assert "at l = 2 to 23:" in lines[0]
    assert "as alike as a solution and the truth" in lines[1]
    assert "Their mean differs from the truth by" in lines[2]
    lines = describe_agreement(agreement(np.stack([white[0]] * 2), truth=white[1]))
    assert "more alike" in lines[1] and "less than the uncertainty" in lines[1]


def test_words_claim_nothing_that_chance_gives_and_name_weak_agreement():
    bins = [
        {"l_min": 2, "l_max": 3, "pairs": 0.7, "chance": 0.743, "single": None, "mean": None},
        {"l_min": 4, "l_max": 7, "pairs": 0.8, "chance": 0.3, "single": None, "mean": None},
        {"l_min": 8, "l_max": 15, "pairs": 0.42, "chance": 0.1, "single": None, "mean": None},
        {"l_min": 16, "l_max": 31, "pairs": 0.31, "chance": 0.06, "single": None, "mean": None},
        {"l_min": 32, "l_max": 47, "pairs": 0.05, "chance": 0.04, "single": None, "mean": None},
    ]
    found = {"solutions": 2, "bins": bins, "spread": 1.0, "std": 2.0, "residual_mean": None}
    strong, weak, unsure, *_ = describe_agreement(found)
    assert "at l = 4 to 7: the data tell where these structures are" in strong
    assert weak.startswith("At l = 8 to 31 they agree weakly, but more than by chance")
    assert "(correlation 0.31 to 0.42)" in weak
    assert unsure == (
        "At l = 2 to 3 the correlation (0.70) tells nothing: independent maps are about as alike "
        "by chance (standard deviation 0.74)."
    )
    bins[1]["pairs"] = 0.2
    assert "do not agree" in describe_agreement(found)[0]


def test_bad_maps_are_named(white):
    with pytest.raises(ValueError, match="maps: got shape"):
        agreement(white[:1])
    with pytest.raises(ValueError, match="truth: got shape"):
        agreement(white, truth=white[0, :12])
    with pytest.raises(ValueError, match="inside"):
        agreement(white, inside=np.zeros(NPIX))
