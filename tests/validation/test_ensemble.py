import json

import numpy as np
import pytest

from jaxscat.validation import ensemble
from jaxscat.validation.ensemble import (
    copy_test,
    correlation_matrix,
    ensemble_report,
    largest_correlation,
    largest_with_first,
    quantity_scatter,
    quantity_table,
)
from jaxscat.validation.rows import SEES


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    common = rng.standard_normal(300)
    return [share * common + rng.gamma(2.0, size=300) for share in (0.0, 1.0, -2.0, 0.5)]


def report(chance=0.2, **numbers):
    """A validation report with one row of each kind, the synthesized map's number in each given."""
    synthesized = {"mean": 1.0, "pixel": 0.1, "power": 1.1, "ratio": 0.9, "copy": 0.2}
    synthesized |= {"moved": 0.2, "S1": 0.3} | numbers
    others = {"start": 7.0, "gaussian": 5.0, "gaussian_std": 0.5}
    others |= {"filtered": 4.0, "filtered_std": 0.25}
    row = {name: others | {"synthesized": value} for name, value in synthesized.items()}
    return {
        "distribution": {"mean": {"original": 2.0} | row["mean"]},
        "pixel_correlation": row["pixel"],
        "correlation_ranges": [
            {"l_min": 1, "l_max": 3, "chance": chance, "correlation": row["copy"]},
            {"l_min": 4, "l_max": 7, "chance": None, "correlation": row["copy"]},
        ],
        "power_spectrum_ratio": row["power"],
        "power_spectrum_bins": [{"l_min": 2, "l_max": 3, "ratio": row["ratio"]}],
        "distances": {"wasserstein": row["moved"]},
        "scattering": {"S1": row["S1"]},
        "scattering_error": row["S1"],
        "scattering_improvement_pct": 50.0,
    }


def test_matrix_is_that_of_numpy(maps, monkeypatch):
    expected = np.corrcoef(maps)
    assert expected.min() < -0.3
    np.testing.assert_allclose(correlation_matrix(maps), expected, atol=1e-14)
    monkeypatch.setattr(ensemble, "_PIXELS", 7)  # 42 parts of 7 pixels and one of 6
    np.testing.assert_allclose(correlation_matrix(maps), expected, atol=1e-14)


def test_integer_weights_count_pixels_so_often(maps, monkeypatch):
    weights = np.random.default_rng(1).integers(0, 3, size=300)
    expected = np.corrcoef([np.repeat(map, weights) for map in maps])
    monkeypatch.setattr(ensemble, "_PIXELS", 100)
    np.testing.assert_allclose(correlation_matrix(maps, weights), expected, atol=1e-14)
    outside = [np.where(weights > 0, map, 1e6) for map in maps]
    np.testing.assert_allclose(correlation_matrix(outside, weights), expected, atol=1e-14)


def test_float32_maps_with_a_large_mean_are_correlated_in_float64(maps):
    offset = [(map + 1e3).astype(np.float32) for map in maps]
    expected = np.corrcoef(np.array(offset, dtype=np.float64))
    np.testing.assert_allclose(correlation_matrix(offset), expected, atol=1e-12)


def test_map_without_variance_has_no_correlation(maps):
    matrix = correlation_matrix([*maps, np.full(300, 2.0)])
    assert np.isnan(matrix[-1]).all() and np.isnan(matrix[:, -1]).all()
    np.testing.assert_allclose(matrix[:-1, :-1], np.corrcoef(maps), atol=1e-14)
    assert largest_correlation(matrix) == largest_correlation(matrix[:-1, :-1])


def test_largest_correlation_is_found_by_magnitude_off_the_diagonal():
    matrix = np.eye(4)
    matrix[[0, 3], [3, 0]], matrix[[1, 2], [2, 1]] = 0.2, -0.3
    assert largest_correlation(matrix) == (1, 2, -0.3)
    assert largest_correlation(np.eye(2)) == (0, 1, 0.0)
    assert np.isnan(largest_correlation(np.full((2, 2), np.nan)).correlation)
    assert largest_with_first(matrix) == (0, 3, 0.2)
    with pytest.raises(ValueError, match=r"^matrix: got 1 map"):
        largest_correlation(np.eye(1))


def test_scatter_of_every_row_is_that_over_the_seeds():
    ratios = [0.8, 0.9, 1.3, 1.0]
    entries = quantity_scatter([report(ratio=value) for value in ratios])
    assert [entry["name"] for entry in entries] == [
        "mean",
        "pixel correlation",
        "correlation, l = 1 to 3",
        "correlation, l = 4 to 7",
        "C_l ratio, mean over l >= 2",
        "C_l ratio, l = 2 to 3",
        "Wasserstein distance, in std",
        "S1 relative error",
        "scattering coefficient error (S1, squared)",
        "improvement of S1 on the start, percent",
    ]
    assert entries[5] == {
        "group": "power_spectrum_bins",
        "name": "C_l ratio, l = 2 to 3",
        "sees": SEES["power_spectrum_bins"],
        "original": None,
        "chance": None,
        "tolerance": None,
        "gaussian": 5.0,
        "gaussian_std": 0.5,
        "filtered": 4.0,
        "filtered_std": 0.25,
        "mean": pytest.approx(1.0),
        "std": pytest.approx(np.sqrt((0.04 + 0.01 + 0.09) / 3)),
        # The ranks 0.48, 1.5 and 2.52 of 0.8, 0.9, 1.0, 1.3.
        "percentile_16": pytest.approx(0.848),
        "percentile_50": pytest.approx(0.95),
        "percentile_84": pytest.approx(1.156),
        "seeds": 4,
        "separation": {},
    }
    assert entries[0]["original"] == 2.0 and entries[0]["std"] == 0.0
    assert [entry["chance"] for entry in entries] == [None, None, 0.2, *[None] * 7]
    assert entries[-1]["mean"] == 50.0 and entries[-1]["gaussian"] is None


def test_separation_of_distances_is_in_standard_deviations_of_one_control():
    reports = [report(moved=value) for value in (0.1, 0.3, 0.8)]
    (entry,) = [entry for entry in quantity_scatter(reports) if entry["separation"]]
    assert entry["group"] == "distances" and entry["mean"] == pytest.approx(0.4)
    assert entry["separation"] == pytest.approx({"gaussian": 4.6 / 0.5, "filtered": 3.6 / 0.25})
    for change in ({"gaussian_std": None}, {"gaussian_std": 0.0}, {"gaussian": None}):
        reports[0]["distances"]["wasserstein"] |= change
        changed = [entry for entry in quantity_scatter(reports) if entry["group"] == "distances"]
        assert changed[0]["separation"] == {"gaussian": None, "filtered": pytest.approx(14.4)}
    without = report()
    for name in ("gaussian", "gaussian_std", "filtered", "filtered_std"):
        del without["distances"]["wasserstein"][name]
    changed = [entry for entry in quantity_scatter([without]) if entry["group"] == "distances"]
    assert changed[0]["separation"] == {} and changed[0]["gaussian"] is None


@pytest.mark.parametrize(
    ("chance", "values", "copied"),
    [
        (0.18, [0.5, 0.3, 0.2, 0.09], True),  # three times 0.18 / 2 is 0.27
        (0.18, [0.5, 0.3, 0.2, 0.07], False),
        (0.18, [-0.5, -0.3, -0.2, -0.09], True),
        (0.18, [-0.5, -0.3, -0.2, -0.07], False),
        (0.18, [0.9, -0.9, 0.9, -0.9], False),
        # A correlation of 0.3 can just be told, and just not.
        (0.099, [0.29], False),
        (0.101, [0.29], None),
        (0.101, [0.304], True),
        (0.2, [0.61], True),
        (0.2, [0.59], None),
        (0.2, [0.0], None),
        (0.2, [-0.9, -0.9], True),
        (0.2, [0.9, None], None),
        (0.01, [0.0, None], None),
    ],
)
def test_a_mean_beyond_three_times_chance_is_a_copy_if_that_can_be_told(chance, values, copied):
    first, second = copy_test([report(chance, copy=value) for value in values])
    known = None not in values
    assert first == {
        "l_min": 1,
        "l_max": 3,
        "mean": pytest.approx(np.mean(values)) if known else None,
        "by_chance": pytest.approx(chance / np.sqrt(len(values))),
        "scatter": pytest.approx(np.std(values, ddof=1)) if known and len(values) > 1 else None,
        "copied": copied,
        "rms": pytest.approx(np.sqrt(np.mean(np.square(values)))) if known else None,
        "chance": chance,
        "aligned": first["aligned"],
    }
    assert (second["by_chance"], second["copied"], second["aligned"]) == (None, None, None)


def test_a_small_correlation_is_no_copy_however_unlikely():
    """Seeds 0 to 7 of the cosmic web at nside 32 have +0.02, three times what chance gives."""
    assert copy_test([report(0.01, copy=0.02) for _ in range(8)])[0]["copied"] is False
    assert copy_test([report(0.01, copy=0.12) for _ in range(8)])[0]["copied"] is True


@pytest.mark.parametrize(("dimensions", "count"), [(5, 8), (20, 2), (200, 1), (5, 30)])
def test_random_directions_are_seldom_aligned_and_one_direction_with_any_sign_is(dimensions, count):
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((20000, count, dimensions))
    cosines = drawn[..., 0] / np.linalg.norm(drawn, axis=-1)
    chance = dimensions**-0.5

    def tested(values):
        return copy_test([report(chance, copy=value) for value in values])[0]

    limit = min(
        (found["rms"] for found in map(tested, cosines[:4000]) if found["aligned"]), default=np.inf
    )
    rms = np.sqrt(np.mean(cosines**2, axis=1))
    assert limit > np.quantile(rms, 0.997)  # a tail of 1 / 741 is expected, or a smaller one
    assert tested(np.array([0.98, -0.98] * count)[:count])["aligned"]
    assert tested(np.full(count, 0.5 * chance))["aligned"] is False


def test_one_map_in_few_dimensions_cannot_be_called_aligned():
    (found, _) = copy_test([report(0.6, copy=0.99)])
    assert found["aligned"] is None


def test_numbers_that_do_not_exist_are_left_out():
    one, none = (
        quantity_scatter([report(mean=first), report(mean=None)])[0] for first in (3.0, None)
    )
    assert (one["mean"], one["percentile_84"], one["seeds"]) == (3.0, 3.0, 1)
    assert one["std"] is None
    assert (none["seeds"], none["mean"], none["percentile_16"]) == (0, None, None)


def test_report_names_the_pairs_and_goes_to_json(maps):
    matrix = correlation_matrix(maps)
    reports = [report(), report(mean=None), report(mean=None)]
    found = ensemble_report([7, 3, 4], reports, matrix)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["seeds"] == [7, 3, 4]
    pixels = found["pixel_correlation"]
    assert pixels["maps"] == ["ORIGINAL", "SEED_7", "SEED_3", "SEED_4"]
    expected = np.corrcoef(maps)
    np.testing.assert_allclose(pixels["matrix"], expected, atol=1e-14)
    # By construction the second and the third map have most in common, in opposite sense.
    assert pixels["largest_between_seeds"]["seeds"] == [7, 3]
    assert pixels["largest_between_seeds"]["correlation"] == pytest.approx(expected[1, 2])
    assert expected[1, 2] < -0.3
    nearest = int(np.argmax(np.abs(expected[0, 1:])))
    assert pixels["largest_with_original"] == {
        "seed": [7, 3, 4][nearest],
        "correlation": pytest.approx(expected[0, 1 + nearest]),
    }
    assert found["quantities"][0]["std"] is None  # of one seed
    assert found["copies"] == copy_test(reports)


def test_report_passes_over_maps_without_variance(maps):
    matrix = correlation_matrix([maps[0], np.ones(300), maps[1]])
    pixels = ensemble_report([1, 2], [report(), report()], matrix)["pixel_correlation"]
    assert pixels["largest_between_seeds"]["correlation"] is None
    assert pixels["largest_with_original"]["seed"] == 2
    assert pixels["matrix"][1] == [None] * 3


def test_report_refuses_what_is_no_ensemble():
    with pytest.raises(ValueError, match=r"^reports: got 1 for 1 seeds"):
        ensemble_report([1], [report()], np.eye(2))
    with pytest.raises(ValueError, match=r"^correlations: got shape \(2, 2\)"):
        ensemble_report([1, 2], [report(), report()], np.eye(2))


def test_table_has_a_line_per_quantity_and_a_column_per_seed():
    lines = quantity_table([7, 3], [report(S1=0.25), report(S1=None)])
    controls = ["gaussian", "gaussian_std", "filtered", "filtered_std"]
    assert lines[0] == ["quantity", "original", "chance", *controls, "SEED_7", "SEED_3"]
    assert lines[1] == ["mean", 2.0, None, 5.0, 0.5, 4.0, 0.25, 1.0, 1.0]
    assert lines[3] == ["correlation, l = 1 to 3", None, 0.2, 5.0, 0.5, 4.0, 0.25, 0.2, 0.2]
    assert lines[8] == ["S1 relative error", None, None, 5.0, 0.5, 4.0, 0.25, 0.25, None]
    assert lines[10] == ["improvement of S1 on the start, percent", *[None] * 6, 50.0, 50.0]
    assert len(lines) == 11 and len({line[0] for line in lines}) == 11
