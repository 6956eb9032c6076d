"""How near estimates of several fields are to a truth, and how that is said."""

import numpy as np
import pytest

import jaxscat
from jaxscat.validation.field_recovery import assess_fields
from jaxscat.validation.field_recovery_words import describe_field_recovery
from jaxscat.validation.scattering import relative_errors

NSIDE, LMAX = 4, 8
ERRORS = ("S1", "S2", "S3", "S4")


@pytest.fixture(scope="module")
def pyramid():
    return jaxscat.build_pyramid(NSIDE, orientations=2, scales=2)


@pytest.fixture(scope="module")
def skies():
    """T, E and B of a truth and of noise, with band limit."""
    generator = np.random.default_rng(0)
    pairs = [jaxscat.eb_from_qu(*generator.normal(size=(2, 192)), lmax=LMAX) for _ in range(2)]
    truth, noise = (dict(zip("EB", pair, strict=True)) for pair in pairs)
    return truth, noise, {"T": truth["E"] + 0.5 * generator.normal(size=192)}


@pytest.fixture(scope="module")
def recovery(skies, pyramid):
    truth, noise, known = skies
    data = {name: truth[name] + noise[name] for name in "EB"}
    half = {name: 0.5 * truth[name] for name in "EB"}
    seeds = {name: np.stack([truth[name], data[name]]) for name in "EB"}
    levels = {name: np.full(3 * NSIDE, 0.01) for name in "EB"}
    return assess_fields(
        {"data": data, "wiener": half},
        pyramid,
        truth=truth,
        known=known,
        seeds=seeds,
        noise=levels,
        lmax=LMAX,
    )


def test_numbers_of_the_truth_of_half_of_it_and_of_solutions(recovery, skies, pyramid):
    truth, noise, known = skies
    assert recovery.names == ["data", "wiener", "reconstruction", "mean"]
    assert recovery.bins[-1][1] == recovery.lmax == LMAX and recovery.has_truth
    for name in "EB":
        rows = recovery.fields[name].rows
        np.testing.assert_allclose(rows["wiener"]["power_ratio"], 0.25, rtol=1e-6)
        np.testing.assert_allclose(rows["wiener"]["correlation"], 1.0, rtol=1e-6)
        away = np.std(noise[name]) / np.std(truth[name])
        assert rows["data"]["residual"] == pytest.approx(away, rel=1e-4)
        # One solution is the truth, the other the data.
        assert rows["reconstruction"]["residual"] == pytest.approx(away / 2, rel=1e-4)
        assert rows["mean"]["residual"] == pytest.approx(away / 2, rel=1e-4)
    assert list(recovery.pairs) == ["EE", "BB", "TE", "TB", "EB"]
    data = {name: truth[name] + noise[name] for name in "EB"}
    wanted, got = (jaxscat.measure_fields({**of, **known}, pyramid)["TE"] for of in (truth, data))
    for group, error in relative_errors(got, wanted).items():
        rows = recovery.pairs["TE"].rows
        assert rows["data"][group] == pytest.approx(error, rel=1e-4)
        assert rows["reconstruction"][group] == pytest.approx(error / 2, rel=1e-4)
        assert rows["reconstruction"]["scatter"][group] == pytest.approx(
            error / np.sqrt(2), rel=1e-4
        )
    pair = recovery.pairs["TE"]
    np.testing.assert_allclose(pair.rows["wiener"]["correlation"], pair.truth, rtol=1e-6)
    assert pair.truth[-1] > 3 * pair.chance[-1]
    assert recovery.pairs["EE"].truth is None
    modes = 2 * np.arange(3 * NSIDE) + 1
    low, high = recovery.bins[-1]
    power = (modes * recovery.spectra["data"]["BB"])[low : high + 1].sum()
    share = 0.01 * modes[low : high + 1].sum() / power
    assert recovery.noise_share["B"][-1] == pytest.approx(share, rel=1e-6)


def test_tables_hold_every_number(recovery):
    found = recovery.to_json()
    assert found["bins"][-1]["l_max"] == LMAX and set(found["fields"]) == {"E", "B"}
    table = recovery.as_table()
    assert all(len(line) == len(table[0]) == 7 for line in table)
    (line,) = [of for of in table if of[:3] == ["EB", "data", "S4"]]
    assert line[3:5] == ["", ""] and line[5] == found["pairs"]["EB"]["rows"]["data"]["S4"]
    lines = [of for of in table if of[:3] == ["TB", "reconstruction", "correlation"]]
    assert [of[3:5] for of in lines] == [list(bin) for bin in recovery.bins]
    assert all(of[6] != "" for of in lines)


def test_sentences_with_a_truth(recovery):
    chi2 = np.array([[3.0, 1.01, np.nan], [5.0, 2.0, 1.03]])
    said = describe_field_recovery(
        recovery, ("converged", "converged"), chi2, ["wiener", "data"], pairs=["EE", "BB", "TE"]
    )
    assert said[0].startswith("All 2 solutions, converged")
    assert said[1].startswith(
        "χ² of the coefficients of EE, BB and TE is 1.02 on average, and 4.00"
    )
    assert "the 20 errors of coefficients (S1 to S4 of EE, BB, TE, TB and EB)" in said[2]
    # One of the solutions is the data.
    assert said[3].startswith("Nothing was won over the data: none of the 20 errors is smaller by")
    assert said[3].endswith(
        "by more than a tenth and more than the seeds scatter, and none is larger by as much."
    )
    assert "of the mean of the seeds" in said[4]
    assert "0.25 to 0.25 (E) and 0.25 to 0.25 (B)" in said[5]
    assert said[6].startswith("Of the power of the data per bin, noise is")


def test_sentences_without_a_truth(skies, pyramid):
    truth, noise, _ = skies
    data = {name: truth[name] + noise[name] for name in "EB"}
    expected = {name: np.full(3 * NSIDE, 0.05) for name in "EB"}
    found = assess_fields(
        {"data": data, "reconstruction": truth}, pyramid, expected=expected, lmax=LMAX
    )
    assert not found.has_truth and found.pairs["EB"].rows["data"]["S2"] is None
    assert found.pairs["EB"].rows["data"]["correlation"] is not None
    said = describe_field_recovery(found, "converged", np.array([1.0]), ["data"], pairs=["EE"])
    assert "There is no truth to compare with, so errors are unknown." in said
    assert said[-1].endswith("times that of the data less the noise.")
    strong = {name: np.full(3 * NSIDE, 9.0) for name in "EB"}
    wrong = assess_fields({"data": data, "reconstruction": truth}, pyramid, noise=strong, lmax=LMAX)
    said = describe_field_recovery(wrong, "converged", np.array([1.0]), ["data"], pairs=["EE"])
    assert "It is stronger than the data (up to " in said[-1]
    said = describe_field_recovery(found, "no signal", np.array([9.0]), [], pairs=["EE"])
    assert said[0].startswith("No signal") and not any("χ²" in line for line in said)


def test_a_baseline_over_which_nothing_is_won(skies, pyramid):
    truth, noise, _ = skies
    data = {name: truth[name] + noise[name] for name in "EB"}
    found = assess_fields(
        {"data": data, "wiener": truth, "reconstruction": data}, pyramid, truth=truth, lmax=LMAX
    )
    said = describe_field_recovery(found, "converged", np.array([1.0]), ["wiener"], pairs=["EE"])
    assert said[2].startswith("Nothing was won over the Wiener filter: none of the 12 errors")
    assert "and 12 are larger" in said[2] and "and 7 more." in said[2]
