import json

import numpy as np
import pytest

from jaxscat.fields.field_starts import gaussian_fields
from jaxscat.harmonics.cross_spectra import correlation, polarized_spectra
from jaxscat.objectives.make_field_target import make_field_target
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.fields import measure_fields
from jaxscat.statistics.parity import even_part
from jaxscat.validation.coherence import coherence_bounds, coherence_errors
from jaxscat.validation.fields import validate_fields
from jaxscat.validation.seeds import validate_seeds

NSIDE, NPIX = 8, 768


def sky(seed):
    """Fields T and E that are correlated and not Gaussian, and B that is independent of them."""
    t, e, b = np.random.default_rng(seed).gamma(1.0, size=(3, NPIX))
    return {"T": t + 2.0, "E": 0.5 * t + 0.3 * e, "B": 0.1 * b * np.sign(b - 0.7)}


ORIGINALS, MADE = sky(0), {7: sky(1), 3: sky(2)}
STARTS = {seed: gaussian_fields(ORIGINALS, seed) for seed in MADE}


@pytest.fixture(scope="module")
def pyramid():
    return build_pyramid(NSIDE, scales=2, orientations=2, dtype=np.float64)


@pytest.fixture(scope="module")
def target(pyramid):
    return make_field_target(
        ORIGINALS, pyramid, pairs=["TT", "EE", "BB", "ET"], parity="even", coarsest_nside=4
    )


@pytest.fixture(scope="module")
def found(pyramid, target):
    starts = STARTS.__getitem__
    return validate_fields(
        ORIGINALS, MADE, pyramid, target=target, start_of=starts, controls=3, lmax=16
    )


def test_each_field_has_the_validation_of_a_map_alone(found, pyramid):
    assert list(found.fields) == ["T", "E", "B"] and found.seeds == [7, 3]
    alone = validate_seeds(
        ORIGINALS["E"],
        {seed: maps["E"] for seed, maps in MADE.items()},
        pyramid,
        start_of=lambda seed: STARTS[seed]["E"],
        controls=3,
    )
    assert found.fields["E"].as_json() == alone.as_json()


def test_pairs_have_the_correlation_of_their_spectra(found):
    assert list(found.pairs) == ["TE", "TB", "EB"]
    one = found.pairs["TE"]
    assert one.bins[0][0] == 2 and one.bins[-1][1] == 16
    expected = correlation(polarized_spectra(ORIGINALS), "TE", one.bins)
    np.testing.assert_allclose(one.original, expected, atol=1e-12)
    for group, skies in {
        "synthesized": MADE.values(),
        "start": STARTS.values(),
        "gaussian": [gaussian_fields(ORIGINALS, 2**31 + number) for number in range(3)],
    }.items():
        expected = [correlation(polarized_spectra(maps), "TE", one.bins) for maps in skies]
        np.testing.assert_allclose(one.groups[group], expected, atol=1e-12)


def test_chance_is_the_scatter_of_independent_fields(found):
    rng = np.random.default_rng(5)
    bins = found.pairs["TB"].bins
    drawn = []
    for _ in range(60):
        maps = dict(zip("TB", rng.standard_normal((2, NPIX)), strict=True))
        drawn.append(correlation(polarized_spectra(maps), "TB", bins))
    scatter = np.std(drawn, axis=0)
    np.testing.assert_allclose(found.pairs["TB"].chance, scatter, rtol=0.35)


def test_errors_are_those_of_measured_coefficients(found, pyramid):
    original, made = (measure_fields(maps, pyramid) for maps in (ORIGINALS, MADE[3]))
    for name in ("TT", "TE", "TB"):
        bounds = coherence_bounds(original[name[0] * 2], original[name[1] * 2])
        pair = (name[0], name[1])
        even = [even_part(one[name], pair) for one in (made, original)]  # as the parity says
        expected = coherence_errors(*even, bounds)
        assert found.errors[name].groups["synthesized"][1] == pytest.approx(expected, rel=1e-9)
    rows = {row["name"]: row for row in found.errors["TE"].as_json()}
    errors = found.errors["TE"]
    columns = {
        group: np.array([one["S3"] for one in errors.groups[group]]) for group in errors.groups
    }
    row = rows["S3"]
    assert row["mean"] == pytest.approx(columns["synthesized"].mean())
    assert row["std"] == pytest.approx(columns["synthesized"].std(ddof=1))
    assert row["start"] == pytest.approx(columns["start"].mean())
    spread = columns["gaussian"].std(ddof=1)
    assert row["gaussian_std"] == pytest.approx(spread)
    apart = (columns["gaussian"].mean() - columns["synthesized"].mean()) / spread
    assert row["separation"] == pytest.approx(apart)


def test_a_gaussian_original_has_no_texture(found, pyramid):
    textured = {row["name"]: row["texture"] for row in found.errors["TT"].as_json()}
    assert textured["S4"] > 3
    drawn = {field: map.astype(np.float64) for field, map in gaussian_fields(sky(9), 77).items()}
    none = validate_fields(drawn, {0: drawn}, pyramid, controls=8)
    for errors in none.errors.values():
        for row in errors.as_json():
            # By chance as far as another control, and the scatter is known from eight only.
            assert row["name"] not in ("S3", "S3P", "S4") or abs(row["texture"]) < 4
            assert row["mean"] == 0


def test_what_a_mirror_changes_and_what_was_not_imposed_is_marked(found):
    odd = {
        name: {row["name"] for row in errors.as_json() if row["parity"] == "odd"}
        for name, errors in found.errors.items()
    }
    assert odd == {
        "TT": set(),
        "EE": set(),
        "BB": {"S3"},
        "TE": set(),
        "TB": {"S1", "S2", "S3P"},
        "EB": {"S1", "S2", "S3P"},
    }
    imposed = {name for name, errors in found.errors.items() if errors.as_json()[-1]["imposed"]}
    assert imposed == {"TT", "EE", "BB", "TE"} == set(found.as_json()["imposed"])
    assert all(row["imposed"] for row in found.errors["TE"].as_json())


def test_the_share_beyond_the_last_multipole_is_that_of_the_spectra(found, pyramid):
    spectrum = polarized_spectra(ORIGINALS)["EE"]
    power = (2 * np.arange(24) + 1) * spectrum
    share = power[17:].sum() / power[1:].sum()
    assert found.beyond["E"]["original"] == pytest.approx(share)
    assert found.beyond["E"]["gaussian"] == pytest.approx(share, rel=0.2)
    whole = validate_fields({"T": ORIGINALS["T"]}, {0: {"T": MADE[3]["T"]}}, pyramid, controls=0)
    assert whole.beyond == {"T": None} and whole.lmax == 23 and whole.pairs == {}


def test_json_and_table_hold_everything(found):
    written = found.as_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["controls"] == 3 and written["lmax"] == 16 and written["parity"] == "even"
    more = {"power", "beyond_lmax", "coherence"}
    assert set(written["fields"]["B"]) == more | set(found.fields["B"].as_json())
    reports = [report["power_spectrum_bins"] for report in found.fields["B"].reports.values()]
    power = written["fields"]["B"]["power"]
    assert [bin["l_max"] for bin in power] == [bin["l_max"] for bin in reports[0]]
    both = [bins[-1]["ratio"]["synthesized"] for bins in reports]
    assert power[-1]["mean"] == pytest.approx(np.mean(both))
    assert set(written["pairs"]["TB"]) == {"correlation", "coherence"}
    bin = written["pairs"]["TE"]["correlation"][-1]
    assert set(bin["maps"]) == {"7", "3"}
    assert bin["mean"] == pytest.approx(np.mean(list(bin["maps"].values())))
    lines = found.as_table()
    heads = ["field", "quantity", "original", "chance", "gaussian", "gaussian_std", "mean", "std"]
    assert lines[0] == heads and {len(line) for line in lines} == {8}
    rows = {(line[0], line[1]): line for line in lines[1:]}
    assert len(rows) == len(lines) - 1
    last = rows["TE", f"correlation, l = {bin['l_min']} to {bin['l_max']}"]
    assert last[2:] == [bin[key] for key in heads[2:]]
    assert ("TB", "S2 coherence error of even parts, parity-odd") in rows
    assert ("B", "S1 coherence error of even parts") in rows and ("T", "kurtosis") in rows


def test_hidden_pixels_do_not_matter(pyramid):
    mask = np.where(np.arange(NPIX) < 500, 1.0, 0.0)

    def changed(maps):
        return {name: np.where(mask > 0, map, np.nan) for name, map in maps.items()}

    given = {"mask": mask, "controls": 0}
    one = validate_fields(ORIGINALS, {7: MADE[7]}, pyramid, **given)
    other = validate_fields(changed(ORIGINALS), {7: changed(MADE[7])}, pyramid, **given)
    assert one.as_json()["pairs"] == other.as_json()["pairs"]
    assert one.sky == other.sky and one.sky["sky_fraction"] == 500 / NPIX
    assert one.as_json()["pairs"]["TE"]["coherence"][0]["separation"] is None


def test_progress_hears_of_every_field_and_seed(pyramid):
    heard = []
    two = {name: ORIGINALS[name] for name in "TE"}
    validate_fields(two, MADE, pyramid, controls=0, progress=lambda *done: heard.append(done))
    assert heard == [(step, 6) for step in range(1, 7)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"originals": {}}, "originals: got .*expected a dictionary"),
        ({"made": {}}, "made: got no seed"),
        ({"made": {3: {"T": MADE[3]["T"]}}}, r"made\[3\]: got T, expected maps of the fields T, E"),
        ({"made": {3: {**MADE[3], "E": np.ones(48)}}}, r"made\[3\]\['E'\]: got 48 pixels"),
        ({"originals": {**ORIGINALS, "E": np.full(NPIX, np.nan)}}, r"originals\['E'\]: "),
        ({"target": 3}, "target: got 3"),
        ({"controls": -1}, "controls: got -1"),
        ({"lmax": 24}, "lmax: got 24, expected an integer from 2 to 23"),
        ({"start_of": 3}, "start_of: got 3"),
        ({"mask": np.zeros(NPIX)}, "mask: "),
    ],
)
def test_bad_input_is_named(changed, message, pyramid):
    given = {"originals": ORIGINALS, "made": MADE, "pyramid": pyramid} | changed
    originals, made, operators = (given.pop(name) for name in ("originals", "made", "pyramid"))
    with pytest.raises(ValueError, match=message):
        validate_fields(originals, made, operators, **given)


def test_a_target_of_other_fields_or_operators_is_refused(pyramid, target):
    two = {name: ORIGINALS[name] for name in "TE"}
    with pytest.raises(ValueError, match="target: got one of T, E, B, expected one of T, E"):
        validate_fields(two, MADE, pyramid, target=target)
    other = build_pyramid(NSIDE, scales=2, orientations=4, dtype=np.float64)
    with pytest.raises(ValueError, match="target: got 2 scales and 2 orientations"):
        validate_fields(ORIGINALS, MADE, other, target=target)
