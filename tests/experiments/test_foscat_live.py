"""The installed FOSCAT beside jaxscat on a small map; needs the extra `foscat`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("foscat", reason="FOSCAT is not installed (extra `foscat`)")

from experiments.crosscheck import cases, run, table
from experiments.crosscheck.bounds import COMPARISONS
from experiments.crosscheck.foscat_measurements import foscat_numbers
from experiments.crosscheck.measurements import Numbers, jaxscat_numbers
from experiments.foscat_reference.statistics import Foscat

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def golden():
    return np.load(GOLDEN / "foscat_nside8.npz")


@pytest.fixture
def coarse(golden):
    """The golden map at nside 4, whose operators are built in a second."""
    return averaged(golden["map"], 4)


def averaged(field, nside):
    return field.reshape(12 * nside**2, -1).mean(-1)


def assert_close(ours, expected, tolerance=1e-12):
    assert ours.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(ours[name], expected[name], rtol=0, atol=tolerance)


def test_every_comparison_is_within_its_bounds(coarse):
    rows = run.check_case(cases.Case(4), coarse)
    assert [row.comparison for row in rows] == [c.title for c in COMPARISONS]
    assert [row.exceeded for row in rows] == [[], [], []]
    assert rows[0].coefficients == 762
    assert list(rows[0].differences) == ["s0", "s1", "s2", "s3", "s4", "sigma", "loss", "gradient"]


@pytest.mark.parametrize(
    "features",
    [
        {"nside": 2, "cross": True, "masks": True, "threshold": True},
        {"nside": 4, "patch": True},
        {"nside": 2, "aligned": True},
        {"nside": 2, "kernel_size": 5, "orientations": 1},
        {"nside": 2, "orientations": 6, "treatment": "harmonics"},
        {"nside": 2, "cross": True, "treatment": "normalized"},
    ],
    ids=lambda features: " ".join(features),
)
def test_the_formulas_are_the_same(golden, features):
    case = cases.Case(**features, loss=False)
    inputs = cases.make_inputs(case, averaged(golden["map"], case.nside))
    formulas = COMPARISONS[0]
    theirs = foscat_numbers(case, formulas.foscat, inputs)
    ours = jaxscat_numbers(case, formulas.jaxscat, inputs)
    row = table.compare(formulas, case, theirs, ours)
    assert row.exceeded == []
    assert ("s3p" in row.differences) == case.cross


@pytest.mark.parametrize("quantity", ["s1", "s4", "sigma", "loss", "gradient"])
def test_a_wrong_number_is_noticed(golden, quantity):
    groups = ("s0", "s1", "s2", "s3", "s4")

    def numbers(factors):
        return Numbers(
            mean={g: golden[f"auto_{g}"] * factors.get(g, 1) for g in groups},
            sigma={g: golden[f"auto_sigma_{g}"] for g in groups}
            | {"s3": golden["auto_sigma_s3"] * factors.get("sigma", 1)},
            loss=float(golden["loss"]) * factors.get("loss", 1),
            gradient=golden["gradient"] * factors.get("gradient", 1),
        )

    comparison, case = COMPARISONS[0], cases.Case(8)
    off = numbers({quantity: 1 + 2 * comparison.bounds(case)[quantity]})
    row = table.compare(comparison, case, numbers({}), off)
    assert row.exceeded == [quantity]
    row = table.compare(comparison, case, numbers({}), numbers({quantity: np.nan}))
    assert row.exceeded == [quantity]
    page = table.markdown_page([row], "command", "dataset")
    assert page.count("**nan**") == 1


def test_a_missing_number_is_noticed():
    comparison, case = COMPARISONS[0], cases.Case(8)
    theirs = Numbers({"s1": np.ones(3)}, {"s1": np.ones(3)}, 1.0, np.ones(3))
    row = table.compare(comparison, case, theirs, Numbers({}, {}))
    assert row.exceeded == ["s1", "sigma", "loss", "gradient"]
    other = replace(theirs, mean={"s1": np.ones((1, 3))})
    assert table.compare(comparison, case, theirs, other).exceeded == ["s1"]


def test_foscat_still_gives_the_stored_numbers(golden):
    mean, sigma = Foscat(geometry="exact").measure_with_sigma(golden["map"], golden["mask"])
    for group in mean:
        assert table.relative_rms(mean[group], golden[f"mask_{group}"]) < 1e-12
        assert table.relative_rms(sigma[group], golden[f"mask_sigma_{group}"]) < 1e-12


def test_two_equal_maps_have_the_coefficients_of_one(coarse):
    reference = Foscat(orientations=2)
    auto, cross = reference.measure(coarse), reference.measure(coarse, second=coarse)
    np.testing.assert_allclose(cross.pop("s3p"), auto["s3"], atol=1e-14)
    # S0 is of the root of the product of the maps.
    del auto["s0"], cross["s0"]
    assert_close(cross, auto)
    loss = reference.seed_loss(coarse, second=coarse)
    assert loss.value(coarse) == 0.0


def test_a_patch_of_the_whole_sky_has_its_coefficients(coarse):
    whole = Foscat(orientations=2).measure(coarse)
    patch = Foscat(orientations=2, nside=4, cell_ids=np.arange(192)).measure(coarse)
    # FOSCAT takes one scale less.
    assert patch["s1"].shape == (2, 2)
    finest = {"s1": 2, "s2": 2, "s3": 3, "s4": 4}
    whole |= {name: whole[name][:count] for name, count in finest.items()}
    assert_close(patch, whole, 1e-6)


def test_an_alignment_turns_wavelet_coefficients(coarse):
    reference = Foscat(orientations=3, geometry="exact")
    alignment = reference.align(coarse)
    turned = reference.measure(coarse, alignment=alignment)
    coefficients = reference.convolution_matrix(4) @ coarse
    phase = np.angle(np.exp(2j * np.pi * np.arange(3) / 3) @ np.abs(coefficients)) % (2 * np.pi)
    step = phase * 3 / (2 * np.pi)
    first = (np.floor(step).astype(int) + np.arange(3)[:, None]) % 3
    near, far = (
        (wave(np.pi / 2 * (step % 1)) ** 2).astype(np.float32).astype(float)
        for wave in (np.cos, np.sin)
    )
    pixels = np.arange(192)
    expected = near * coefficients[first, pixels]
    expected += far * coefficients[(first + 1) % 3, pixels]
    np.testing.assert_allclose(turned["s2"][0], (np.abs(expected) ** 2).mean(-1), rtol=1e-12)
    with pytest.raises(ValueError, match="full sky"):
        Foscat(nside=4, cell_ids=pixels).align(coarse)


def test_foscat_normalizes_s2_of_its_first_map_only(coarse):
    reference = Foscat(orientations=2)
    plain = reference.measure(coarse)
    normalized = reference.measure(coarse, norm="auto")
    np.testing.assert_array_equal(normalized["s2"], np.ones_like(plain["s2"]))
    assert_close({**normalized, "s2": plain["s2"]}, plain, 0)
    assert_close(reference.measure(coarse, norm="auto"), plain, 0)


def test_a_users_foscat_cache_is_not_touched(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Foscat().measure(np.arange(48.0))
    assert list(tmp_path.iterdir()) == []
