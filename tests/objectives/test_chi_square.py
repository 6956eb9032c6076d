from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.objectives.chi_square import chi_square
from jaxscat.objectives.make_target import make_target
from jaxscat.objectives.scattering import map_loss
from jaxscat.objectives.target import Target, finest_covariances
from jaxscat.operators.pyramid import build_pyramid
from jaxscat.statistics.alignment import align_orientations
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.power import wavelet_power
from jaxscat.statistics.scattering import measure

NPIX = 192
ALL_SCALES = {"coarsest_nside": 1}
# What each group has of a balanced loss, of one map and of two.
SHARES = {
    "auto": {"S0": 0.02, "S1": 0.2, "S2": 0.2, "S3": 0.28, "S4": 0.3},
    "cross": {"S0": 0.02, "S1": 0.2, "S2": 0.2, "S3": 0.14, "S3P": 0.14, "S4": 0.3},
}

loss_and_gradient = jax.jit(jax.value_and_grad(map_loss))
compiled_distance = jax.jit(chi_square)
compiled_normalize = jax.jit(normalize)


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(4)


@pytest.fixture(scope="module")
def generator():
    return np.random.default_rng(2)


@pytest.fixture(scope="module")
def maps():
    """An original, a start, and two masks."""
    generator = np.random.default_rng(4)
    masks = generator.random((2, NPIX))
    masks[1, :60] = 0
    return generator.gamma(2.0, size=NPIX), generator.standard_normal(NPIX), masks


def filled(value: complex, scales: int = 2, masks: tuple[int, ...] = ()) -> ScatteringCovariance:
    """Coefficients of two scales and one orientation that are all the same."""
    pairs, triples = {1: (1, 1), 2: (3, 4)}[scales]
    real = value.real if isinstance(value, complex) else value

    def full(*shape, of=real):
        return jnp.asarray(np.full((*masks, *shape), of))

    return ScatteringCovariance(
        s0=full(2),
        s1=full(2, 1),
        s2=full(2, 1),
        s3=full(pairs, 1, 1, of=value),
        s4=full(triples, 1, 1, 1, of=value),
    )


def with_entry(statistics: ScatteringCovariance, group: str, value: complex):
    groups = {name.lower(): np.array(array) for name, array in statistics.groups().items()}
    groups[group][(0,) * groups[group].ndim] = value
    return ScatteringCovariance(**{name: jnp.asarray(array) for name, array in groups.items()})


def distance(found, mean, sigma, weights: str) -> float:
    """The distance as a sum over the numbers of every group, in NumPy."""
    squares = {
        name: np.square(np.abs(np.asarray(group) - np.asarray(mean.groups()[name])))
        / np.square(np.asarray(sigma.groups()[name]))
        for name, group in found.groups().items()
    }
    if weights == "plain":
        return np.mean(np.concatenate([square.ravel() for square in squares.values()]))
    shares = SHARES[mean.kind]
    assert squares.keys() == shares.keys() and sum(shares.values()) == pytest.approx(1)
    return sum(share * squares[name].sum() / squares[name].size for name, share in shares.items())


@pytest.mark.parametrize("group", ["s0", "s1", "s2", "s3", "s4"])
def test_one_difference_of_three_sigmas_among_thirteen_coefficients(group):
    target = Target(mean=filled(1 + 0j), sigma=filled(0.5), mask=None)
    statistics = with_entry(target.mean, group, 2.5)
    assert chi_square(statistics, target) == pytest.approx(9 / 13, rel=1e-15)


@pytest.mark.parametrize("group", ["s0", "s1", "s2", "s3", "s4"])
def test_a_group_has_its_share_of_a_balanced_distance_however_many_it_has(group):
    target = Target(mean=filled(1 + 0j), sigma=filled(0.5), mask=None, weights="balanced")
    size = {"s0": 2, "s1": 2, "s2": 2, "s3": 3, "s4": 4}[group]
    statistics = with_entry(target.mean, group, 2.5)
    expected = SHARES["auto"][group.upper()] * 9 / size
    assert chi_square(statistics, target) == pytest.approx(expected, rel=1e-14)
    # All three sigmas away, the groups add up to the same as coefficients that count alike.
    assert chi_square(filled(2.5 + 0j), target) == pytest.approx(9, rel=1e-14)


def test_complex_coefficient_counts_once_with_its_squared_modulus():
    target = Target(mean=filled(0j), sigma=filled(2.0), mask=None)
    statistics = with_entry(with_entry(target.mean, "s3", 3 - 4j), "s4", 6j)
    loss = chi_square(statistics, target)
    assert loss == pytest.approx((25 / 4 + 36 / 4) / 13, rel=1e-15)
    assert loss.dtype == np.float64 and loss.shape == ()


def test_every_coefficient_has_its_own_sigma(generator):
    sigma = jax.tree.map(
        lambda group: jnp.asarray(generator.uniform(1, 3, group.shape)), filled(1.0)
    )
    target = Target(mean=filled(0j), sigma=sigma, mask=None)
    expected = np.mean(np.asarray(sigma.ravel()) ** -2)
    assert chi_square(filled(1j + 0), target) < expected  # real parts of S0 to S2 are zero
    assert chi_square(filled(1 + 0j), target) == pytest.approx(expected, rel=1e-14)


def test_scales_that_the_target_leaves_out_do_not_count():
    target = Target(
        mean=finest_covariances(filled(0j), 1),
        sigma=finest_covariances(filled(1.0), 1),
        mask=None,
    )
    statistics = filled(1 + 0j)
    far = ScatteringCovariance(
        statistics.s0,
        statistics.s1,
        statistics.s2,
        jnp.asarray(np.where(np.arange(3)[:, None, None] < 1, statistics.s3, 1e9)),
        jnp.asarray(np.where(np.arange(4)[:, None, None, None] < 1, statistics.s4, np.nan)),
    )
    assert chi_square(far, target) == 1
    assert chi_square(with_entry(far, "s4", 3.0), target) == pytest.approx((7 + 9) / 8, rel=1e-15)


def test_every_mask_adds_its_own_coefficients():
    target = Target(mean=filled(0j, masks=(2,)), sigma=filled(1.0, masks=(2,)), mask=None)
    assert chi_square(with_entry(target.mean, "s1", 26.0), target) == pytest.approx(26, rel=1e-15)


@pytest.mark.parametrize("masks", [(), (3,)])
@pytest.mark.parametrize("kind", ["auto", "cross"])
def test_balanced_distance_is_a_sum_over_groups_by_hand(generator, kind, masks):
    def drawn(sigma=False):
        def of(shape, complex=False):
            real = generator.uniform(1, 3, shape)
            return jnp.asarray(real + 1j * generator.random(shape) if complex else real)

        with_phase = not sigma
        return ScatteringCovariance(
            s0=of((*masks, 2)),
            s1=of((*masks, 2, 4)),
            s2=of((*masks, 2, 4)),
            s3=of((*masks, 3, 4, 4), with_phase),
            s4=of((*masks, 4, 4, 4, 4), with_phase),
            s3p=of((*masks, 3, 4, 4), with_phase) if kind == "cross" else None,
        )

    statistics, mean, sigma = drawn(), drawn(), drawn(sigma=True)
    for weights in ("plain", "balanced"):
        found = chi_square(statistics, Target(mean=mean, sigma=sigma, weights=weights))
        assert found == pytest.approx(distance(statistics, mean, sigma, weights), rel=1e-13)


def test_other_shapes_are_refused():
    target = Target(mean=filled(0j), sigma=filled(1.0), mask=None)
    with pytest.raises(ValueError, match=r"^statistics: got S0 of shape \(3, 2\)"):
        chi_square(filled(0j, masks=(3,)), target)


@pytest.mark.parametrize("weights", ["plain", "balanced"])
@pytest.mark.parametrize("coarsest", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_loss_of_a_map_is_the_distance_of_its_coefficients(
    pyramid, maps, coarsest, masked, weights
):
    original, start, masks = maps
    mask = masks if masked else None
    target = make_target(
        original, pyramid, mask=mask, sigma_floor=0, coarsest_nside=coarsest, weights=weights
    )
    statistics = measure(start, pyramid, mask=mask)
    loss = map_loss(start, pyramid, target)
    assert loss == pytest.approx(float(compiled_distance(statistics, target)), rel=1e-12)
    # By hand, from the list of all numbers.
    kept = finest_covariances(statistics, {1: 3, 2: 2}[coarsest])
    mean, sigma = (
        finest_covariances(function(original, pyramid, mask=mask), {1: 3, 2: 2}[coarsest])
        for function in (measure, standard_error)
    )
    assert loss == pytest.approx(distance(kept, mean, sigma, weights), rel=1e-12)
    assert loss > 1
    assert map_loss(original, pyramid, target) <= 1e-20


@pytest.mark.parametrize("kind", ["all", "masked", "fine", "plain", "default"])
def test_gradient_agrees_with_finite_differences(pyramid, generator, maps, kind):
    original, start, masks = maps
    options = {
        "all": ALL_SCALES,
        "masked": {"mask": masks, **ALL_SCALES},
        "fine": {"coarsest_nside": 2},
        "plain": {"sigma": "foscat", "sigma_floor": 0, "weights": "plain", **ALL_SCALES},
        "default": {},
    }[kind]
    target = make_target(original, pyramid, **options)
    _, gradient = loss_and_gradient(start, pyramid, target)
    for direction in generator.standard_normal((3, NPIX)):
        step = 1e-5 * direction
        above, _ = loss_and_gradient(start + step, pyramid, target)
        below, _ = loss_and_gradient(start - step, pyramid, target)
        assert gradient @ direction == pytest.approx(float(above - below) / 2e-5, rel=1e-6)


def test_forward_mode_agrees_with_reverse_mode(pyramid, maps):
    original, start, _ = maps
    target = make_target(original, pyramid, **ALL_SCALES)
    value, gradient = loss_and_gradient(start, pyramid, target)
    forward = jax.jit(jax.jacfwd(map_loss))(start, pyramid, target)
    np.testing.assert_allclose(forward, gradient, rtol=0, atol=1e-12 * np.abs(gradient).max())
    direction = np.random.default_rng(0).standard_normal(NPIX)
    along = jax.jit(lambda *both: jax.jvp(lambda x: map_loss(x, pyramid, target), *both))
    same, slope = along((start,), (direction,))
    assert same == pytest.approx(float(value), rel=1e-13)
    assert slope == pytest.approx(float(gradient @ direction), rel=1e-11)


def test_many_maps_at_once_are_many_single_maps(maps):
    eight = build_pyramid(8, dtype="float64")  # its finest level is sparse
    generator = np.random.default_rng(9)
    target = make_target(generator.gamma(2.0, size=768), eight, **ALL_SCALES)
    starts = generator.standard_normal((8, 768))
    together = jax.jit(jax.vmap(jax.value_and_grad(map_loss), in_axes=(0, None, None)))
    losses, gradients = together(starts, eight, target)
    for position, start in enumerate(starts):
        loss, gradient = loss_and_gradient(start, eight, target)
        assert losses[position] == pytest.approx(float(loss), rel=1e-12)
        error = np.linalg.norm(gradients[position] - gradient)
        assert error <= 1e-12 * np.linalg.norm(gradient)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("constant", [0.0, 3.0, 0.1])
def test_gradient_at_a_constant_map_is_finite(pyramid, maps, constant, masked):
    original, _, masks = maps
    target = make_target(original, pyramid, mask=masks if masked else None, **ALL_SCALES)
    loss, gradient = loss_and_gradient(np.full(NPIX, constant), pyramid, target)
    assert np.isfinite(loss) and np.isfinite(gradient).all()


@pytest.mark.parametrize("bad", [np.ones(48), np.ones((2, NPIX)), np.full(NPIX, np.nan)])
def test_bad_maps_are_refused(pyramid, maps, bad):
    target = make_target(maps[0], pyramid)
    with pytest.raises(ValueError, match=r"^map: got "):
        map_loss(bad, pyramid, target)


# Two maps, thresholds, normalization, reductions, alignment.


@pytest.mark.parametrize("group", ["s0", "s1", "s2", "s3", "s3p", "s4"])
def test_every_group_of_two_maps_counts(group):
    plain = filled(1 + 0j)
    cross = ScatteringCovariance(plain.s0, plain.s1, plain.s2, plain.s3, plain.s4, s3p=plain.s3)
    sigma = jax.tree.map(lambda array: jnp.asarray(np.full(array.shape, 0.5)), cross)
    statistics = with_entry(cross, group, 2.5)
    loss = chi_square(statistics, Target(mean=cross, sigma=sigma))
    assert loss == pytest.approx(9 / 16, rel=1e-15)


def test_kinds_are_not_compared(pyramid, maps):
    original, start, _ = maps
    one = make_target(original, pyramid)
    two = make_target(original, pyramid, second=start)
    both = make_target(original, pyramid, second=start, both_triangles=True)
    for target, statistics, got, expected in (
        (one, two.mean, "cross", "auto"),
        (two, one.mean, "auto", "cross"),
        (two, both.mean, "cross coefficients with both triangles of S4", "cross"),
    ):
        with pytest.raises(ValueError, match=rf"^statistics: got {got}.*, expected {expected} "):
            chi_square(statistics, target)


OPTIONS = {
    "second": {"second": True},
    "both triangles": {"second": True, "both_triangles": True, "coarsest_nside": 4},
    "threshold": {"mask": True, "mask_threshold": 0.4},
    "own power": {"normalization": "own"},
    "own power of two": {"second": True, "normalization": "own", "mask": True},
    "power of the target": {"normalization": "target", "second": True},
    "isotropic": {"reduction": IsotropicMean()},
    "harmonics": {"reduction": FourierHarmonics(1), "normalization": "own", "mask": True},
    "aligned": {"alignment": True, "second": True},
    "aligned, own power": {"alignment": True, "normalization": "own", "mask": True},
}


@pytest.fixture(scope="module")
def two_scales(pyramids):
    return pyramids(4, scales=2)


def options_of(name, pyramid, maps):
    original, _, masks = maps
    options = dict(OPTIONS[name])
    if options.get("second"):
        options["second"] = np.random.default_rng(8).gamma(1.0, size=NPIX) * 10
    if options.get("mask"):
        options["mask"] = masks
    if options.get("alignment"):
        options["alignment"] = align_orientations(original, pyramid)
    return options


@pytest.mark.parametrize("name", OPTIONS)
def test_loss_is_that_of_the_coefficients_by_hand_and_so_is_its_slope(two_scales, maps, name):
    """Measured, normalized and reduced one after the other, then compared number by number."""
    (original, start, _), pyramid = maps, two_scales
    options = {"sigma_floor": 0.0, **ALL_SCALES, **options_of(name, pyramid, maps)}
    target = make_target(original, pyramid, **options)
    how = {
        key: options[key]
        for key in ("second", "mask", "mask_threshold", "both_triangles", "alignment")
        if key in options
    }
    masked = {key: how[key] for key in ("mask", "mask_threshold", "alignment") if key in how}
    parts = []
    for map, function in ((start, measure), (original, measure), (original, standard_error)):
        statistics = function(map, pyramid, **how)
        if "normalization" in options:
            reference = map if options["normalization"] == "own" else original
            power = wavelet_power(reference, pyramid, **masked)
            second = how.get("second")
            other = None if second is None else wavelet_power(second, pyramid, **masked)
            statistics = compiled_normalize(statistics, power, other)
        if options["coarsest_nside"] == 4:
            statistics = finest_covariances(statistics, 1)
        if "reduction" in options:
            reduce = (
                options["reduction"].sigma
                if function is standard_error
                else (options["reduction"].mean)
            )
            statistics = jax.jit(reduce)(statistics)
        parts.append(statistics)
    loss, gradient = loss_and_gradient(start, pyramid, target)
    assert loss == pytest.approx(distance(*parts, "balanced"), rel=1e-10) and loss > 0.1
    plain = map_loss(start, pyramid, replace(target, weights="plain"))
    assert plain == pytest.approx(distance(*parts, "plain"), rel=1e-10)
    assert abs(plain / loss - 1) > 1e-3
    assert loss_and_gradient(original, pyramid, target)[0] <= 1e-20
    # And the gradient against differences.
    direction = np.random.default_rng(1).standard_normal(NPIX)
    above, below = (
        float(loss_and_gradient(start + step * direction, pyramid, target)[0])
        for step in (1e-6, -1e-6)
    )
    assert gradient @ direction == pytest.approx((above - below) / 2e-6, rel=1e-5)


def test_own_power_forgets_the_unit_of_the_map(pyramid, maps):
    """S0 aside, which is not normalized."""
    original, start, _ = maps
    target = make_target(original, pyramid, normalization="own")
    no_mean = replace(target, sigma=eqx.tree_at(lambda s: s.s0, target.sigma, jnp.full(2, jnp.inf)))
    losses = [
        float(loss_and_gradient(factor * start, pyramid, no_mean)[0]) for factor in (1, 0.1, 3, 10)
    ]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-9)
    assert loss_and_gradient(10 * start, pyramid, target)[0] > 1.05 * losses[0]


def test_own_power_of_two_maps_needs_the_map(pyramid, maps):
    original, start, _ = maps
    target = make_target(original, pyramid, second=start, normalization="own")
    with pytest.raises(ValueError, match=r"^statistics: .* expected a call of map_loss"):
        chi_square(measure(start, pyramid, second=start), target)


def test_coefficients_of_one_map_are_compared_by_their_own_power(pyramid, maps):
    original, start, _ = maps
    target = make_target(original, pyramid, normalization="own")
    found = chi_square(measure(start, pyramid), target)
    assert found == pytest.approx(float(map_loss(start, pyramid, target)), rel=1e-12)


def test_coefficients_that_are_reduced_already_are_refused(pyramid, maps):
    original, start, _ = maps
    target = make_target(original, pyramid, reduction=IsotropicMean())
    with pytest.raises(ValueError, match=r"^statistics: got ReducedCovariance, expected a Scat"):
        chi_square(IsotropicMean().mean(measure(start, pyramid)), target)
