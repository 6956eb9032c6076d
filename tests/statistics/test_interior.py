"""The pixels that hidden ones disturb, and coefficients under different masks."""

import healpy
import jax
import numpy as np
import pytest

import jaxscat

NSIDE, NPIX = 16, 3072
SCALES = 3


@pytest.fixture(scope="module")
def pyramid(pyramids):
    return pyramids(NSIDE)


def cap(share=0.7):
    z = np.array(healpy.pix2vec(NSIDE, np.arange(NPIX), nest=True))[2]
    return z < 2 * share - 1


def disc(radius=20.0):
    hidden = np.zeros(NPIX, dtype=bool)
    hidden[healpy.query_disc(NSIDE, (0.3, -0.5, 0.4), np.radians(radius), nest=True)] = True
    return ~hidden


@pytest.mark.parametrize("seen", [cap(), disc()], ids=["cap", "disc"])
def test_share_of_hidden_pixels_is_that_of_dense_stencils(reference, pyramid, seen):
    """With matrices of absolute weights, from the finest to the coarsest scale."""
    field, moduli = (~seen).astype(float), np.zeros(NPIX)
    coefficients, pairs = [], []
    for scale in range(SCALES):
        nside = NSIDE >> scale
        # Axes orientation, pixel, pixel; the parts of every point of the kernel are as large as
        # the modulus in one of them or both.
        matrix = reference.wavelet_matrix(nside, 4)
        matrix = np.abs(matrix.real) + np.abs(matrix.imag)

        def share(values, matrix=matrix):
            return np.max(matrix @ values / matrix.sum(axis=-1), axis=0)

        single = share(field)
        moduli = np.maximum(moduli, single)
        coefficients.append(single)
        pairs.append(np.maximum(share(moduli), single))
        down = reference.downsampling_matrix(nside)
        field, moduli = down @ field, down @ moduli
    left = jaxscat.coverage(seen, pyramid)
    assert left.sky == pytest.approx(seen.mean()) and left.nsides == (16, 8, 4, 2, 1)
    for found, shares in ((left.coefficients, coefficients), (left.pairs, pairs)):
        expected = [(share <= 0.01).mean() for share in shares]
        np.testing.assert_allclose(found[:SCALES], expected, atol=1e-12)


def test_coefficients_are_means_of_the_whole_sky_where_nothing_disturbs(pyramid):
    """Up to the hundredth of a stencil that may be hidden."""
    seen = disc()
    map = np.random.default_rng(0).gamma(2.0, size=NPIX)
    masked = jaxscat.measure(map, pyramid.finest(1), mask=seen, hidden="interior")
    fields = jaxscat.coefficient_maps(map, pyramid.finest(1))
    stencil_matrix = jaxscat.coefficient_maps((~seen).astype(float), pyramid.finest(1))
    touched = np.max(np.asarray(stencil_matrix.s1[0]), axis=0) > 1e-3
    undisturbed = np.asarray(fields.s2[0])[:, ~touched].mean(axis=-1)
    np.testing.assert_allclose(masked.s2[0], undisturbed, rtol=0.02)
    excluded = jaxscat.measure(map, pyramid.finest(1), mask=seen)
    assert np.abs(excluded.s2[0] / undisturbed - 1).max() > 0.02


def test_scales_with_too_little_left_are_left_out_and_named(pyramid):
    map, seen = np.random.default_rng(0).gamma(2.0, size=NPIX), cap(0.4)
    left = jaxscat.coverage(seen, pyramid)
    scales, pairs = left.kept()
    counts = [part * 12 * np.square(left.nsides) for part in (left.coefficients, left.pairs)]
    assert scales == np.sum(counts[0] >= 20) and pairs == np.sum(counts[1] >= 20)
    assert 0 < pairs < scales < 5
    lost = ", ".join(str(nside) for nside in left.nsides[scales:])
    between = ", ".join(str(nside) for nside in left.nsides[pairs:scales])
    message = (
        f"mask: S3 and S4 at nside {between} and S1 to S4 at nside {lost} left out, where hidden "
        "pixels leave fewer than 20 pixels undisturbed"
    )
    with pytest.warns(UserWarning, match=f"^{message}$") as caught:
        found = jaxscat.measure(map, pyramid, mask=seen, hidden="interior")
    assert caught[0].filename == __file__
    assert found.scales == scales and found.s1.shape == (scales, 4)
    assert len(found.pairs) == pairs * (pairs + 1) // 2
    with pytest.warns(UserWarning, match="left out"):
        errors = jaxscat.standard_error(map, pyramid, mask=seen, hidden="interior")
    for name, group in found.groups().items():
        assert errors.groups()[name].shape == group.shape
        assert np.isfinite(group).all() and (np.asarray(errors.groups()[name]) > 0).all()


@pytest.mark.filterwarnings("ignore:mask. .* left out")
def test_s1_and_s2_have_more_left_than_s3_and_s4(pyramid):
    seen, map = cap(), np.random.default_rng(0).gamma(2.0, size=NPIX)
    left = jaxscat.coverage(seen, pyramid)
    assert (left.coefficients[:3] > left.pairs[:3]).all()
    weights = np.asarray(seen, float)
    found = jaxscat.measure(map, pyramid, mask=weights, hidden="interior")
    power = jaxscat.wavelet_power(map, pyramid, mask=weights, hidden="interior")
    np.testing.assert_allclose(found.s2, power, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:mask. .* left out")
def test_new_maps_can_be_asked_to_agree_with_what_is_undisturbed(pyramid):
    map, other = np.random.default_rng(0).gamma(2.0, size=(2, NPIX))
    seen = cap().astype(float)
    target = jaxscat.make_target(map, pyramid, mask=seen, hidden="interior")
    assert target.mean.scales < 5
    assert float(jaxscat.map_loss(map, pyramid, target)) < 1e-25  # rounding errors, squared
    result = jaxscat.synthesize(target, pyramid, other, max_steps=3)
    assert result.losses[-1] < result.losses[0]
    np.testing.assert_allclose(result.map[seen == 0], other[seen == 0], rtol=1e-6)
    with pytest.raises(ValueError, match=r"^coarsest_nside: got 1, but hidden='interior' leaves"):
        jaxscat.make_target(map, pyramid, mask=seen, hidden="interior", coarsest_nside=1)


def test_masks_that_leave_no_coefficient_undisturbed_are_refused(pyramid):
    map = np.random.default_rng(0).gamma(2.0, size=NPIX)
    scattered = np.random.default_rng(1).random(NPIX) < 0.7
    message = r"^mask: got one that leaves 0 % of the finest scale \(nside 16\) undisturbed"
    with pytest.raises(ValueError, match=message):
        jaxscat.measure(map, pyramid, mask=scattered, hidden="interior")
    assert np.isfinite(jaxscat.measure(map, pyramid, mask=scattered).ravel()).all()


def test_a_mask_that_hides_nothing_leaves_all(pyramid):
    weights = 0.5 + np.random.default_rng(1).random(NPIX)
    left = jaxscat.coverage(weights, pyramid)
    np.testing.assert_array_equal([left.coefficients, left.pairs], np.ones((2, 5)))
    map = np.random.default_rng(0).gamma(2.0, size=NPIX)
    found, expected = (
        jaxscat.measure(map, pyramid.finest(3), mask=weights, hidden=hidden)
        for hidden in ("interior", "exclude")
    )
    np.testing.assert_allclose(found.ravel(), expected.ravel(), rtol=1e-12, atol=1e-15)


@pytest.mark.filterwarnings("ignore:mask. .* left out")
def test_homogeneous_fields_have_the_same_coefficients_under_any_mask(pyramids):
    """The mean over fields of the difference to the whole sky is within its own scatter.

    With `exclude` it is not: the hole is in the coefficients.
    """
    pyramid = pyramids(NSIDE, orientations=2)
    noise = np.random.default_rng(3).normal(size=(16, NPIX))
    smooth = [healpy.reorder(healpy.smoothing(one, sigma=0.3), r2n=True) for one in noise]
    fields = [np.exp(field / field.std()) for field in smooth]
    whole = [jaxscat.measure(field, pyramid) for field in fields]
    away = {}
    for hidden in ("interior", "exclude"):
        for name, seen in (("cap", cap()), ("disc", disc())):
            masked = [jaxscat.measure(f, pyramid, mask=seen, hidden=hidden) for f in fields]
            for group in ("S1", "S2"):
                difference = np.array(
                    [
                        one.groups()[group][:2] - other.groups()[group][:2]
                        for one, other in zip(masked, whole, strict=True)
                    ]
                )
                error = difference.std(axis=0, ddof=1) / np.sqrt(len(fields))
                away[hidden, name, group] = np.mean((difference.mean(axis=0) / error) ** 2)
    inside = [value for (hidden, *_), value in away.items() if hidden == "interior"]
    assert max(inside) < 3, away
    assert away["exclude", "disc", "S1"] > 6, away


@pytest.mark.filterwarnings("ignore:mask. .* left out")
def test_known_masks_are_known_inside_jit(pyramid):
    """So that the same scales are left out, which a mask that is an operand cannot say."""
    map, seen = np.random.default_rng(0).gamma(2.0, size=NPIX), cap()
    expected = jaxscat.measure(map, pyramid, mask=seen, hidden="interior")
    found = jax.jit(lambda map: jaxscat.measure(map, pyramid, mask=seen, hidden="interior"))(map)
    assert found.scales == expected.scales < 5
    np.testing.assert_allclose(found.ravel(), expected.ravel(), rtol=1e-12, atol=1e-15)
    traced = jax.jit(lambda map, seen: jaxscat.measure(map, pyramid, mask=seen, hidden="interior"))
    assert np.isnan(traced(map, seen.astype(float)).s2[-1]).all()


@pytest.mark.filterwarnings("ignore:mask. .* left out")
def test_alignments_lose_the_scales_that_are_left_out(pyramid):
    map, seen = np.random.default_rng(0).gamma(2.0, size=NPIX), cap()
    alignment = jaxscat.align_orientations(map, pyramid, mask=seen, hidden="interior")
    how = {"mask": seen, "hidden": "interior", "alignment": alignment}
    found = jaxscat.measure(map, pyramid, **how)
    assert found.scales < 5 and np.isfinite(found.ravel()).all()
    target = jaxscat.make_target(map, pyramid, **how)
    assert float(jaxscat.map_loss(map, pyramid, target)) < 1e-25  # rounding errors, squared


def test_no_mask_has_no_coverage(pyramid):
    with pytest.raises(ValueError, match=r"^mask: got None, expected weights"):
        jaxscat.coverage(None, pyramid)
