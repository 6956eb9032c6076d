"""Maps of E and B: signs, parities, what leaks, and what is refused."""

import jax
import numpy as np
import pytest

import jaxscat
from jaxscat import EBMaps, QUMaps, eb_from_qu, qu_from_eb

NSIDE, LMAX = 8, 16
NPIX = 12 * NSIDE**2


def harmonics(seed, lmax=LMAX):
    """Coefficients of a field of power one in l = 2 ... lmax."""
    import healpy

    random = np.random.default_rng(seed)
    size = healpy.Alm.getsize(lmax)
    multipole, order = healpy.Alm.getlm(lmax)
    imaginary = np.where(order > 0, random.standard_normal(size), 0.0)
    return (random.standard_normal(size) + 1j * imaginary) * (multipole > 1)


def scalar(coefficients):
    import healpy

    return healpy.reorder(healpy.alm2map(coefficients, NSIDE, lmax=LMAX), r2n=True)


def stokes(e, b):
    import healpy

    _, *qu = healpy.alm2map([0 * e, e, b], NSIDE, lmax=LMAX, pol=True)
    return np.stack([healpy.reorder(map, r2n=True) for map in qu])


@pytest.fixture(scope="module")
def sky():
    """Coefficients of E and B, and the maps E, B, Q and U of them."""
    e, b = harmonics(0), harmonics(1)
    return e, b, np.stack([scalar(e), scalar(b)]), stokes(e, b)


def assert_close(found, expected, relative=1e-10):
    np.testing.assert_allclose(found, expected, atol=relative * np.abs(expected).max(), rtol=0)


def test_both_ways_are_healpys_harmonics(sky):
    _, _, eb, qu = sky
    found, back = eb_from_qu(*qu), qu_from_eb(*eb)
    assert isinstance(found, EBMaps) and isinstance(back, QUMaps)
    assert found.lmax == back.lmax == LMAX
    e, b = found
    assert e is found.e and b is found.b
    assert_close(np.stack(found), eb)
    assert_close(np.stack(back), qu)


def test_maps_within_the_band_return(sky):
    qu = sky[3]
    assert_close(np.stack(qu_from_eb(*eb_from_qu(*qu))), qu)
    # Fewer iterations do not suffice: that is why there are more than healpy's three.
    rough = np.stack(qu_from_eb(*eb_from_qu(*qu, iterations=3), iterations=3))
    assert np.abs(rough - qu).max() > 1e-6 * np.abs(qu).max()


def test_monopole_and_dipole_are_zero(sky):
    import healpy

    eb = sky[2]
    direction = np.stack(healpy.pix2vec(NSIDE, np.arange(NPIX), nest=True))
    found = qu_from_eb(eb[0] + 5.0 + direction[0], eb[1] - 7.0 + direction[2])
    assert_close(np.stack(found), sky[3])
    made = np.stack(eb_from_qu(*np.random.default_rng(0).standard_normal((2, NPIX))))
    # Sums over pixels stand for integrals up to the error of the quadrature.
    assert np.abs(made.mean(-1)).max() < 1e-3
    low = healpy.map2alm([healpy.reorder(one, n2r=True) for one in made], LMAX, pol=False, iter=12)
    assert np.abs(low[:, [0, 1, LMAX + 1]]).max() < 1e-10


def test_e_alone_leaves_no_b(sky):
    e, b = eb_from_qu(*stokes(sky[0], 0 * sky[1]))
    assert np.std(b) < 1e-11 * np.std(e)
    pyramid = jaxscat.build_pyramid(NSIDE, dtype="float64")
    of_e, of_b = jaxscat.measure(e, pyramid), jaxscat.measure(b, pyramid)
    assert np.all(np.abs(of_b.s2) <= 1e-9 * np.abs(of_e.s2))
    assert np.abs(of_b.s4).max() <= 1e-9 * np.abs(of_e.s4).max()


def test_a_constant_turn_of_the_frame_mixes_e_and_b(sky):
    alpha, qu = 0.3, sky[3]
    turned = (qu[0] + 1j * qu[1]) * np.exp(2j * alpha)
    e, b = eb_from_qu(turned.real, turned.imag)
    expected = (sky[2][0] + 1j * sky[2][1]) * np.exp(2j * alpha)
    assert_close(np.stack([e, b]), np.stack([expected.real, expected.imag]))


def test_the_other_sign_of_u_is_a_mirror_image_of_the_frame(sky):
    # The IAU's U is minus that of HEALPix. A mirror image of the sky keeps Q and turns U.
    import healpy

    e, b, _, (q, u) = sky
    theta, phi = healpy.pix2ang(NSIDE, np.arange(NPIX), nest=True)
    mirrored = healpy.ang2pix(NSIDE, theta, -phi, nest=True)
    found = eb_from_qu(q[mirrored], -u[mirrored])
    assert_close(np.stack(found), np.stack([sky[2][0], -sky[2][1]])[:, mirrored])
    conjugate = eb_from_qu(*stokes(e.conj(), -b.conj()))
    assert_close(np.stack(conjugate), np.stack(found))


def test_the_convention_of_the_iau_turns_b(sky):
    # Without the change of sign of U, maps of E alone stay E only if U is zero.
    e_only = stokes(sky[0], 0 * sky[0])
    assert np.std(eb_from_qu(e_only[0], -e_only[1]).b) > 0.1 * np.std(sky[2][0])
    import healpy

    # In a band of order zero E is Q alone and B is U alone.
    zonal = harmonics(2) * (healpy.Alm.getlm(LMAX)[1] == 0)
    q, u = stokes(zonal, zonal)
    cosmo, iau = np.stack(eb_from_qu(q, u)), np.stack(eb_from_qu(q, -u))
    assert_close(iau, np.stack([cosmo[0], -cosmo[1]]))


def test_stacks_are_one_by_one_and_keep_the_precision(sky):
    qu = sky[3]
    stack = np.stack([qu, 2 * qu[::-1]], axis=1)
    pair = eb_from_qu(*stack)
    assert pair.e.shape == (2, NPIX)
    for n in range(2):
        assert_close(np.stack(pair)[:, n], np.stack(eb_from_qu(*stack[:, n])), 1e-14)
    single = eb_from_qu(*qu.astype(np.float32))
    assert single.e.dtype == single.b.dtype == np.float32
    assert_close(np.stack(single), np.stack(eb_from_qu(*qu)), 1e-6)


def test_a_pair_is_a_pytree(sky):
    pair = eb_from_qu(*sky[3], lmax=12)
    assert pair.lmax == 12
    doubled = jax.tree.map(lambda map: 2 * map, pair)
    assert isinstance(doubled, EBMaps) and doubled.lmax is None
    np.testing.assert_array_equal(doubled.b, 2 * pair.b)


def holes(value):
    map = np.ones(NPIX)
    map[:5] = value
    return map


@pytest.mark.parametrize("function", [eb_from_qu, qu_from_eb])
@pytest.mark.parametrize(
    "map",
    [holes(np.nan), holes(-1.6375e30), np.ma.masked_equal(holes(0.0), 0.0)],
    ids=["NaN", "UNSEEN", "masked"],
)
def test_a_cut_sky_is_refused_with_the_reason_and_what_to_do(function, map):
    first, second = ("q", "u") if function is eb_from_qu else ("e", "b")
    said = "got 5 of 768 pixels without data .* E and B of a cut sky mix: fill the gaps .*scalar"
    with pytest.raises(ValueError, match=f"^{first}: {said}"):
        function(map, np.ones(NPIX))
    with pytest.raises(ValueError, match=f"^{second}: {said}"):
        function(np.ones(NPIX), map)


@pytest.mark.parametrize(
    ("q", "u", "message"),
    [
        (np.zeros(NPIX), np.zeros(192), r"^u: got an array of shape \(192,\), expected \(768,\)"),
        (np.zeros(NPIX), np.zeros((2, NPIX)), r"^u: got .* expected \(768,\) as q has"),
        (np.zeros(100), np.zeros(100), r"^q: got 100 pixels, expected 12 nside\^2"),
        (np.zeros((1, 1, 12)), np.zeros((1, 1, 12)), r"^q: got an array of shape .* one map"),
        (np.zeros(NPIX), None, r"^u: got unsuitable values"),
        (np.zeros(NPIX, complex), np.zeros(NPIX), r"^q: got complex values"),
        (np.zeros(NPIX), holes(np.inf), r"^u: got 5 of 768 pixels infinite"),
    ],
)
def test_maps_that_do_not_fit_are_refused(q, u, message):
    with pytest.raises(ValueError, match=message):
        eb_from_qu(q, u)


@pytest.mark.parametrize("lmax", [1, 24, 2.0, True, "all"])
def test_band_limits_that_are_not_possible_are_refused(lmax):
    above = ", above what the tables hold" if lmax == 24 else ""
    with pytest.raises(ValueError, match=f"^lmax: got {lmax!r}{above}, expected an integer from 2"):
        eb_from_qu(np.zeros(NPIX), np.zeros(NPIX), lmax=lmax)


@pytest.mark.parametrize("iterations", [-1, 1.5, None])
def test_iterations_are_a_number(iterations):
    with pytest.raises(ValueError, match="^iterations: got"):
        qu_from_eb(np.zeros(NPIX), np.zeros(NPIX), iterations=iterations)


def test_the_last_band_limit_is_allowed():
    q, u = np.random.default_rng(0).standard_normal((2, NPIX))
    assert eb_from_qu(q, u, lmax=3 * NSIDE - 1).lmax == 23
