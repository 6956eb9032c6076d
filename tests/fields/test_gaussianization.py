import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.stats import kurtosis, norm, rankdata, skew

from jaxscat.fields.gaussianization import gaussianize
from jaxscat.fields.starts import gaussian_noise
from jaxscat.maps import UNSEEN
from jaxscat.run import problem
from jaxscat.run.config import config_from_tree, load_config
from jaxscat.run.execute import run_experiment
from jaxscat.run.validate import validate_run


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def maps(dtype=np.float64, ties=False):
    """Histograms of many kinds: even, heavy-tailed, with a gap, with nearly equal values."""
    generator = np.random.default_rng(1)
    noise = generator.standard_normal(192)
    half = noise[:96].astype(dtype)
    found = {
        "lognormal": np.exp(1.5 * noise),
        "bimodal": np.where(generator.random(192) < 0.3, -100.0, 100.0) + noise,
        "small unit far from zero": 1e-20 * (1e4 + noise),
        "close pairs": np.concatenate([half, np.nextafter(half, dtype(9))]),
    }
    if ties:
        found["ties"] = np.round(generator.gamma(2.0, size=192), 1)
        found["two values"] = np.repeat([3.0, 5.0], [180, 12])
    return {name: values.astype(dtype) for name, values in found.items()}


def each_slope(function, points):
    """Derivative at every point, each of which the function takes by itself."""
    return np.asarray(jax.grad(lambda points: jnp.sum(function(points)))(jnp.asarray(points)))


def by_name(dtype=np.float64, ties=False):
    found = maps(dtype, ties)
    return pytest.mark.parametrize("map", found.values(), ids=found.keys())


@by_name(ties=True)
def test_ranks_become_normal_quantiles_and_equal_pixels_their_mean_rank(map):
    normal, relation = gaussianize(map)
    expected = norm.ppf((rankdata(map) - 0.5) / map.size)
    np.testing.assert_allclose(normal, expected, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(np.sort(normal), np.sort(-gaussianize(-map)[0]), atol=1e-14)
    _, group = np.unique(map, return_inverse=True)
    np.testing.assert_array_equal(normal, np.unique(normal)[group])
    np.testing.assert_allclose(relation.inverse(normal), map, rtol=1e-15)


def test_both_tails_are_exact():
    map = np.arange(10.0**5)
    normal, _ = gaussianize(map)
    np.testing.assert_allclose(normal[0], norm.ppf(0.5e-5), rtol=1e-14)
    np.testing.assert_array_equal(normal, -normal[::-1])


@by_name(ties=True)
def test_inverse_is_the_pchip_spline(map):
    _, relation = gaussianize(map)
    knots, values = np.asarray(relation.normals), np.asarray(relation.values)
    if knots.size > 2:
        pchip = PchipInterpolator(knots, values)
        np.testing.assert_allclose(relation.slopes[1:-1], pchip(knots, 1)[1:-1], rtol=1e-9)
    expected = CubicHermiteSpline(knots, values, np.asarray(relation.slopes))
    points = np.linspace(knots[0], knots[-1], 192)
    np.testing.assert_allclose(
        relation.inverse(points), expected(points), rtol=1e-12, atol=1e-12 * np.abs(values).max()
    )


@by_name()
def test_beyond_the_outermost_knots_are_lines_with_the_outermost_slopes(map):
    _, relation = gaussianize(map)
    values, normals = np.asarray(relation.values), np.asarray(relation.normals)
    secants = (np.diff(values) / np.diff(normals))[[0, -1]]
    np.testing.assert_allclose(np.asarray(relation.slopes)[[0, -1]], secants, rtol=1e-12)
    beyond = normals[[0, -1]] + [-2.0, 2.0]
    expected = values[[0, -1]] + secants * [-2.0, 2.0]
    np.testing.assert_allclose(relation.inverse(beyond), expected, rtol=1e-13)
    roundings = 4 * np.spacing(np.abs(expected)) / secants
    assert (np.abs(relation.forward(expected) - beyond) < 1e-14 + roundings).all()
    slopes = each_slope(relation.inverse, beyond)
    np.testing.assert_allclose(slopes, secants, rtol=1e-12)


def assert_round_trip(map, relation, roundings):
    """Every value comes back within so many roundings of itself and of u times the slope."""
    margin = 0.1 * np.ptp(map)
    points = np.linspace(map.min() - margin, map.max() + margin, map.size, dtype=map.dtype)
    normals = relation.forward(points)
    scale = np.abs(points) + np.abs(normals) * each_slope(relation.inverse, normals)
    error = np.abs(np.asarray(relation.inverse(normals)) - points)
    assert (error <= roundings * np.finfo(map.dtype).eps * scale).all()


@by_name()
def test_round_trip_off_the_knots(map):
    _, relation = gaussianize(map)
    assert_round_trip(map, relation, 4)
    points = np.linspace(map.min(), map.max(), map.size)
    back = relation.inverse(relation.forward(points))
    np.testing.assert_allclose(back, points, rtol=1e-14, atol=1e-13 * map.std())


@by_name(np.float32, ties=True)
def test_round_trip_in_float32(map):
    normal, relation = gaussianize(map)
    assert normal.dtype == relation.values.dtype == relation.slopes.dtype == np.float32
    assert np.isfinite(relation.slopes).all() and (np.asarray(relation.slopes) > 0).all()
    assert (np.diff(relation.values) > 0).all() and (np.diff(relation.normals) > 0).all()
    np.testing.assert_array_equal(relation.inverse(normal), map)
    expected = norm.ppf((rankdata(map) - 0.5) / map.size)
    np.testing.assert_allclose(normal, expected, rtol=3e-7, atol=1e-7)
    assert_round_trip(map, relation, 4)


def test_float64_maps_are_ranked_in_float32_where_that_is_what_jax_has():
    map = np.arange(768) * 1e-9 + 1.0  # a few values only in float32
    map[0] = 0.0
    with jax.enable_x64(False):
        normal, relation = gaussianize(map)
        back = relation.inverse(normal)
    assert normal.dtype == np.float32
    assert relation.values.size == np.unique(map.astype(np.float32)).size < 20
    np.testing.assert_array_equal(back, map.astype(np.float32))
    assert np.isfinite(relation.slopes).all()


def test_close_values_and_close_quantiles_break_nothing_in_float32():
    # Weights that differ by 10^14 give quantiles that only one knot in float32 can stand for.
    generator = np.random.default_rng(2)
    map = np.nextafter(np.float32(1), np.float32(2)) + np.spacing(np.float32(1)) * np.arange(768)
    weights = 10.0 ** generator.uniform(-14, 0, 768)
    normal, relation = gaussianize(map.astype(np.float32), weights=weights)
    assert 10 < relation.values.size < 768
    assert np.isfinite(normal).all() and (np.diff(normal) >= 0).all()
    assert np.isfinite(relation.slopes).all() and (np.diff(relation.normals) > 0).all()
    values = relation.inverse(jnp.linspace(-9, 9, 10001, dtype=np.float32))
    assert np.isfinite(values).all()
    assert np.diff(values).min() >= -2 * np.spacing(np.float32(1))  # rising but for rounding


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_rise_strictly(seed):
    generator = np.random.default_rng(seed)
    # Steps between values over six decades, and ties, in any order.
    steps = 10.0 ** generator.uniform(-5, 1, 40)
    steps[generator.choice(np.arange(1, 40), 8, replace=False)] = 0.0
    map = generator.permutation(np.cumsum(steps) - 3)
    _, relation = gaussianize(map, weights=generator.random(40) ** 4)
    normals = np.linspace(-6, 6, 4001)
    values = np.asarray(relation.inverse(normals))
    assert (np.diff(values) > 0).all()
    assert (np.diff(relation.forward(values)) > 0).all()
    assert (each_slope(relation.inverse, normals) > 0).all()


def test_gradients_are_finite_differences(generator):
    _, relation = gaussianize(np.exp(generator.standard_normal(48)))
    points = np.concatenate([[-4.0, 4.0], generator.uniform(-2, 2, 20)])
    step = 1e-6
    for function, at in (
        (relation.inverse, points),
        (relation.forward, np.asarray(relation.inverse(points))),
    ):
        difference = (function(at + step) - function(at - step)) / (2 * step)
        np.testing.assert_allclose(each_slope(function, at), difference, rtol=1e-5)
    # Of second order too, through the bisection.
    curvature = each_slope(jax.vmap(jax.grad(function)), at)
    twice = (each_slope(function, at + step) - each_slope(function, at - step)) / (2 * step)
    np.testing.assert_allclose(curvature, twice, rtol=1e-4, atol=1e-6)


@by_name()
def test_gradients_of_both_ways_are_each_others_reciprocals(map):
    _, relation = gaussianize(map)
    margin = 0.1 * np.ptp(map)
    points = np.linspace(map.min() - margin, map.max() + margin, map.size)
    slopes = each_slope(relation.inverse, relation.forward(points))
    np.testing.assert_allclose(each_slope(relation.forward, points) * slopes, 1, rtol=1e-6)


def test_slope_is_continuous_at_every_knot(generator):
    _, relation = gaussianize(generator.gamma(1.0, size=48))
    knots, slopes = np.asarray(relation.normals), np.asarray(relation.slopes)
    for step, rtol in ((-1e-9, 1e-4), (1e-9, 1e-4), (0.0, 1e-12)):
        np.testing.assert_allclose(each_slope(relation.inverse, knots + step), slopes, rtol=rtol)
    backwards = each_slope(relation.forward, relation.values)
    np.testing.assert_allclose(backwards, 1 / slopes, rtol=1e-9)


def test_compiled_and_mapped_calls_agree(generator):
    _, relation = gaussianize(generator.gamma(2.0, size=192))
    several = generator.gamma(2.0, size=(3, 2, 50))
    plain = np.stack([[relation.forward(map) for map in pair] for pair in several])
    for found in (
        relation.forward(several),
        jax.jit(lambda relation, maps: relation.forward(maps))(relation, several),
        jax.vmap(jax.vmap(relation.forward))(several),
    ):
        np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(relation.inverse(plain), several, rtol=1e-12)
    assert np.isnan(relation.forward(np.nan)) and np.isnan(relation.inverse(np.nan))


def test_whole_weights_count_as_repeated_pixels(generator):
    map, weights = generator.gamma(2.0, size=100), generator.integers(0, 4, size=100)
    normal, relation = gaussianize(map, weights=weights)
    repeated, other = gaussianize(np.repeat(map, weights))
    np.testing.assert_allclose(normal[np.repeat(np.arange(100), weights)], repeated, atol=1e-13)
    np.testing.assert_allclose(relation.slopes, other.slopes, rtol=1e-9)
    again, _ = gaussianize(map, weights=7.5 * weights)
    np.testing.assert_allclose(again, normal, atol=1e-13)


def test_pixels_of_weight_zero_are_mapped_but_have_no_rank(generator):
    map, weights = generator.standard_normal(192), np.ones(192)
    weights[:50] = 0.0
    map[0] = 1e6
    normal, relation = gaussianize(map, weights=weights)
    alone, _ = gaussianize(map[50:])
    np.testing.assert_array_equal(normal[50:], alone)
    np.testing.assert_allclose(relation.inverse(normal), map, rtol=1e-9)
    assert normal[0] > 1e3  # on the line beyond the last knot


@pytest.mark.parametrize(
    ("map", "weights", "message"),
    [
        (np.full(48, 2.0), None, "map: got the same value 2 in every pixel, expected"),
        (np.arange(48.0), np.arange(48) == 3, "map: got the same value 3 .*positive weight"),
        (np.append(np.arange(47.0), np.nan), None, "map: got 1 of 48 pixels NaN, expected"),
        (np.append(np.arange(47.0), np.inf), None, "map: got 1 of 48 pixels infinite"),
        (np.append(np.arange(47.0), UNSEEN), None, "map: got 1 of 48 pixels UNSEEN"),
        (np.arange(48) * 1j, None, "map: got complex values"),
        (np.arange(48) > 3, None, "map: got boolean values"),
        (np.ones((2, 48)), None, r"map: got an array of shape \(2, 48\), expected one map"),
        (np.ones(1), None, r"map: got an array of shape \(1,\), expected one map of at least two"),
        (np.arange(48.0) * 1e-320, None, "map: got values from 0 to 4.*another unit"),
        (np.repeat([-1.7e308, 1.7e308], 24), None, "map: got values from -1.7.*another unit"),
        (np.arange(48.0), np.ones(12), r"weights: got an array of shape \(12,\), expected \(48,"),
        (np.arange(48.0), np.zeros(48), "weights: got values from 0 to 0, expected"),
        (np.arange(48.0), np.arange(-1.0, 47), "weights: got values from -1 to 46, expected"),
        (np.arange(48.0), np.full(48, np.nan), "weights: got 48 of 48 pixels NaN"),
        (np.arange(48.0), np.full(48, 1j), "weights: got complex values"),
    ],
)
def test_bad_input_is_refused(map, weights, message):
    with pytest.raises(ValueError, match=message):
        gaussianize(map, weights=weights)


NPIX = 192


@pytest.fixture(scope="module")
def lognormal_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "map.npy"
    np.save(path, np.exp(np.random.default_rng(3).standard_normal(NPIX)).astype(np.float32))
    return path


def settings(path, **sections):
    tree = {
        "data": {"path": str(path)},
        "pyramid": {"scales": 1, "orientations": 2},
        "synthesis": {"seeds": [3], "max_steps": 12},
        "run": {"name": "trial"},
    }
    return config_from_tree(
        {name: tree.get(name, {}) | sections.get(name, {}) for name in tree | sections}
    )


@pytest.fixture(scope="module")
def run(lognormal_file, tmp_path_factory, without_figures_in_module):
    config = settings(lognormal_file, synthesis={"gaussianize": True})
    return run_experiment(config, tmp_path_factory.mktemp("runs") / "gaussianized")


def columns(outcome):
    with fits.open(outcome.folder / "maps.fits") as units:
        table = units[1].data
        return {name: np.asarray(table[name], np.float64).ravel() for name in table.names}


def test_written_maps_have_the_originals_histogram(run, lognormal_file):
    found = columns(run)
    original = np.load(lognormal_file)
    np.testing.assert_array_equal(found["ORIGINAL"], original)
    normal, relation = gaussianize(original)
    noise = gaussian_noise(np.asarray(normal), 3)
    np.testing.assert_allclose(found["START"], relation.inverse(noise), rtol=1e-6)
    for name in ("START", "SEED_3"):
        assert found[name].min() > -0.1  # a Gaussian of this spread goes below -3
        assert skew(found[name]) > 1.5
        quartiles = np.quantile(found[name], [0.25, 0.5, 0.75])
        np.testing.assert_allclose(quartiles, np.quantile(original, [0.25, 0.5, 0.75]), rtol=0.3)
        back = relation.forward(found[name].astype(np.float32))
        assert abs(skew(back)) < 0.5 and abs(kurtosis(back)) < 0.8
    assert run.results["gaussianized"] is True
    assert run.results["final_loss"] < 0.3 * run.results["start_loss"]
    std = run.results["statistics"]["synthesized_std"]
    assert found["SEED_3"].std() == pytest.approx(std, rel=1e-5)


def test_the_option_changes_the_maps_and_is_written_down(run, lognormal_file, tmp_path):
    plain = run_experiment(settings(lognormal_file), tmp_path / "plain")
    assert plain.results["gaussianized"] is False
    assert load_config(run.folder / "config.toml").synthesis.gaussianize is True
    assert load_config(plain.folder / "config.toml").synthesis.gaussianize is False
    ours, theirs = columns(run), columns(plain)
    np.testing.assert_array_equal(
        theirs["START"], gaussian_noise(np.load(lognormal_file), 3).astype(np.float64)
    )
    assert theirs["START"].min() < -1.0
    for name in ("START", "SEED_3"):
        assert np.abs(ours[name] - theirs[name]).max() > 1.0


def test_validating_the_folder_again_makes_the_start_the_same_way(run):
    reports = validate_run(run.folder).reports
    for row, report in zip(run.results["seeds"], reports.values(), strict=True):
        for quantity, values in report["distribution"].items():
            for name, value in values.items():
                expected = row["validation"]["distribution"][quantity][name]
                assert value == pytest.approx(expected, rel=1e-4, abs=1e-5), (quantity, name)
        improvement = row["validation"]["scattering_improvement_pct"]
        assert report["scattering_improvement_pct"] == pytest.approx(improvement, rel=1e-3)


def test_ranks_of_a_masked_run_are_those_of_the_footprint(lognormal_file, tmp_path, monkeypatch):
    masks = np.zeros((2, NPIX), np.float32)
    masks[0, :100], masks[1, 60:150] = 1.0, 0.5
    np.save(tmp_path / "mask.npy", masks)
    config = settings(
        lognormal_file,
        target={"mask": str(tmp_path / "mask.npy")},
        synthesis={"gaussianize": True},
    )
    measured = []

    def build_run_target(config, original, *arguments, **options):
        measured.append(original)
        raise KeyboardInterrupt  # all that follows is for other tests

    monkeypatch.setattr(problem, "build_run_target", build_run_target)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, tmp_path / "masked")
    weights = masks.max(axis=0)
    expected, _ = gaussianize(np.load(lognormal_file), weights=weights)
    np.testing.assert_array_equal(measured[0][weights > 0], expected[weights > 0])
