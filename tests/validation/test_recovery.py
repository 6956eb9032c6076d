import json
import warnings

import healpy
import numpy as np
import pytest

from jaxscat.harmonics.spectra import angular_power_spectrum
from jaxscat.reconstruction.result import MEANING
from jaxscat.validation.distribution import pixel_moments
from jaxscat.validation.recovery import Recovery, assess, describe_recovery
from jaxscat.validation.recovery_words import expected_power

NSIDE = 8
NPIX = 12 * NSIDE**2


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(NSIDE)


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(3).gamma(2.0, size=NPIX)


@pytest.fixture(scope="module")
def found(truth, pyramid):
    other = np.random.default_rng(4).gamma(2.0, size=NPIX)
    maps = {
        "twice": 2 * truth,
        "data": truth + 1,
        "independent": other,
        "reconstruction": truth,
    }
    return assess(maps, pyramid, truth=truth)


def test_a_perfect_estimate_has_no_errors_and_all_of_the_correlation(found, truth):
    row = found.rows["reconstruction"]
    for name in ("S1", "S2", "S3", "S4", "residual", "wasserstein"):
        assert row[name] == pytest.approx(0, abs=1e-12)
    assert row["correlation"] == pytest.approx(np.ones(len(found.bins)))
    assert row["power_ratio"] == pytest.approx(np.ones(len(found.bins)))
    assert found.truth is not None
    assert row["skewness"] == found.truth["skewness"] == pixel_moments(truth)["skewness"]
    assert row["std"] == pytest.approx(truth.std())


def test_the_data_come_first_and_ours_last(found):
    assert found.names == ["data", "twice", "independent", "reconstruction"]


def test_a_map_of_twice_the_contrast_has_four_times_the_power(found):
    row = found.rows["twice"]
    assert row["power_ratio"] == pytest.approx(4 * np.ones(len(found.bins)))
    assert row["correlation"] == pytest.approx(np.ones(len(found.bins)))
    # S1 is of degree one, the others of degree two
    assert [row[name] for name in ("S1", "S2", "S3", "S4")] == pytest.approx([1, 3, 3, 3])
    assert row["skewness"] == pytest.approx(found.rows["reconstruction"]["skewness"])


def test_a_shifted_map_has_a_residual_and_a_distance_of_the_shift(found, truth):
    row = found.rows["data"]
    assert row["residual"] == pytest.approx(1 / truth.std())
    assert row["wasserstein"] == pytest.approx(1 / truth.std())
    assert row["S2"] == pytest.approx(0, abs=1e-9)


def test_an_independent_map_correlates_by_chance(found):
    row = found.rows["independent"]
    within = np.abs(row["correlation"]) / found.chance
    assert within.max() < 4
    assert row["residual"] == pytest.approx(np.sqrt(2), abs=0.2)


def test_bins_have_the_power_that_a_sum_over_multipoles_says(found, truth):
    spectrum = angular_power_spectrum(truth)
    assert found.truth["spectrum"] == pytest.approx(spectrum)
    assert found.bins[0][0] == 2 and found.bins[-1][1] == 3 * NSIDE - 1


def test_only_pixels_inside_count(truth, pyramid):
    inside = np.zeros(NPIX, bool)
    inside[:300] = True
    elsewhere = np.where(inside, truth, 7 * truth)
    shifted = np.where(inside, truth + 1, truth)
    maps = {"elsewhere": elsewhere, "reconstruction": shifted}
    found = assess(maps, pyramid, truth=truth, inside=inside)
    row = found.rows["elsewhere"]
    assert row["correlation"] == pytest.approx(np.ones(len(found.bins)))
    assert (row["residual"], row["wasserstein"]) == (0, 0)
    assert row["S1"] > 0  # wavelets at the border read what is outside
    row = found.rows["reconstruction"]
    assert row["residual"] == pytest.approx(1 / truth[inside].std())
    assert row["power_ratio"] == pytest.approx(np.ones(len(found.bins)))


def test_hidden_pixels_need_no_data(truth, pyramid):
    inside = np.ones(NPIX, bool)
    inside[:100] = False
    data = np.where(inside, truth, np.nan)
    maps = {"data": data, "reconstruction": truth}
    found = assess(maps, pyramid, truth=data, inside=inside, hidden="exclude")
    for name in maps:
        row = found.rows[name]
        assert [row[key] for key in ("S1", "S4", "residual")] == pytest.approx([0, 0, 0])
    with pytest.raises(ValueError, match="data: got 100 of 768"):
        assess(maps, pyramid, inside=inside)


def test_numbers_of_solutions_are_averaged(truth, pyramid):
    solutions = np.stack([truth + 1, truth + 3])
    found = assess({"data": truth}, pyramid, truth=truth, seeds=solutions)
    assert found.names == ["data", "reconstruction", "mean"]
    row = found.rows["reconstruction"]
    assert row["residual"] == pytest.approx(2 / truth.std())
    assert row["scatter"]["residual"] == pytest.approx(np.sqrt(2) / truth.std())
    assert row["scatter"]["correlation"] == pytest.approx(np.zeros(len(found.bins)))
    assert found.rows["mean"]["residual"] == pytest.approx(2 / truth.std())
    alone = assess({"data": truth}, pyramid, truth=truth, seeds=solutions[:1])
    assert alone.names == ["data", "reconstruction"] and "scatter" not in alone.rows["data"]


def test_without_a_truth_power_is_compared_with_a_spectrum(truth, pyramid):
    spectrum = 2 * angular_power_spectrum(truth)
    found = assess({"reconstruction": truth}, pyramid, spectrum=spectrum)
    row = found.rows["reconstruction"]
    assert row["power_ratio"] == pytest.approx(0.5 * np.ones(len(found.bins)))
    assert row["S1"] is row["correlation"] is row["residual"] is found.truth is None
    assert row["std"] == pytest.approx(truth.std())


def test_the_numbers_go_into_json(found, truth, pyramid):
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["bins"][0]["l_min"] == 2 and content["names"] == found.names
    assert content["rows"]["twice"]["S2"] == pytest.approx(3)
    constant = assess({"reconstruction": np.ones(NPIX)}, pyramid, truth=truth)
    content = json.loads(json.dumps(constant.to_json(), allow_nan=False))
    assert content["rows"]["reconstruction"]["skewness"] is None


def test_bad_maps_are_named(truth, pyramid):
    with pytest.raises(ValueError, match="estimates: got none"):
        assess({}, pyramid, truth=truth)
    with pytest.raises(ValueError, match="truth"):
        assess({"data": truth}, pyramid, truth=truth[:12])
    with pytest.raises(ValueError, match=r"seeds\[0\]"):
        assess({"data": truth}, pyramid, seeds=truth[None, :12])
    with pytest.raises(ValueError, match="inside"):
        assess({"data": truth}, pyramid, inside=np.zeros(NPIX, bool))


def test_words_say_what_was_won_and_what_was_lost(truth, pyramid):
    rng = np.random.default_rng(0)
    smooth = healpy.reorder(truth, n2r=True)
    smooth = healpy.reorder(healpy.smoothing(smooth, fwhm=0.2), r2n=True)
    near = truth + 0.1 * rng.normal(size=NPIX)
    maps = {"data": truth + rng.normal(size=NPIX), "wiener": smooth, "reconstruction": near}
    found = assess(maps, pyramid, truth=truth)
    lines = describe_recovery(found, "denoise", "converged", maps)
    assert 3 <= len(lines) <= 6
    assert lines[0].lower().endswith(MEANING["converged"].lower())
    assert lines[1].startswith("Compared with the Wiener filter, the reconstruction is nearer")
    assert f"S2 ({found.rows['reconstruction']['S2']:.2g} against " in lines[1]
    assert lines[1].endswith("and farther in none.") and "the data" in lines[2]
    assert "higher in" in lines[3] and "lower" not in lines[3]
    worse = assess({**maps, "reconstruction": smooth, "wiener": near}, pyramid, truth=truth)
    text = " ".join(describe_recovery(worse, "denoise", "start accepted", maps))
    assert "The Wiener filter is nearer to the truth in S1" in text
    assert "Nothing was won" in text and "Start accepted: no statistic contradicts" in text
    assert "lower in" in text


def test_words_name_what_differs_by_less_than_a_tenth(truth):
    def row(residual, **more):
        return {"S2": 0.2, "residual": residual, "power_ratio": [1.0], "correlation": [0.5], **more}

    rows = {"wiener": row(0.50, S2=0.4), "reconstruction": row(0.54)}
    found = Recovery([(4, 7)], list(rows), rows, {"std": 1.0}, [0.1])
    lines = describe_recovery(found, "denoise", "converged", ["wiener"])
    assert lines[1] == (
        "Compared with the Wiener filter, the reconstruction is nearer to the truth in S2 (0.2 "
        "against 0.4); the difference is below a tenth in the residual (0.54 against 0.5)."
    )
    assert "From l = 4 to 7 the reconstruction has 1.00 to 1.00 times the power" in lines[2]


def test_words_without_a_truth_compare_moments(truth, pyramid):
    maps = {"diffusive": truth**2, "reconstruction": truth}
    lines = describe_recovery(assess(maps, pyramid), "inpaint", "renewals done", ["diffusive"])
    assert 3 <= len(lines) <= 6 and "no truth" in lines[1]
    skewness = pixel_moments(truth)["skewness"]
    assert f"skewness in the gaps is {skewness:.2g} (" in lines[2] and "diffusive fill" in lines[2]


def test_power_without_a_truth_is_compared_with_what_the_task_knows():
    assert expected_power("inpaint") == "the observed part"
    assert expected_power("denoise") == expected_power("separate") == "the data less the noise"


def test_words_count_the_solutions(truth, pyramid):
    maps = np.stack([truth + 0.1, truth - 0.1])
    found = assess({"data": truth}, pyramid, truth=truth, seeds=maps)
    lines = describe_recovery(found, "separate", ("converged", "renewal limit"), ["data"])
    assert lines[0].startswith("1 of 2 solutions, converged: ")
    assert "the combination of the channels" in " ".join(lines).lower()
    assert lines[-1].startswith("Numbers are means over solutions")
    same = describe_recovery(found, "denoise", ("converged",) * 2, [])
    assert same[0].startswith("All 2 solutions, converged: ")


def test_words_on_a_map_without_structure_name_no_undefined_number(truth, pyramid):
    maps = {"data": truth + 1, "wiener": np.ones(NPIX), "reconstruction": np.ones(NPIX)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for known in (truth, None):
            found = assess(maps, pyramid, truth=known)
            lines = describe_recovery(found, "denoise", "no signal", maps)
            assert 3 <= len(lines) <= 6 and "nan" not in " ".join(lines)
