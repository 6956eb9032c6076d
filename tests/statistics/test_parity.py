"""Parity: what a mirror makes of coefficients, on mirrored maps and in dense matrices."""

import dataclasses

import healpy
import jax
import numpy as np
import pytest

from jaxscat.fields.pairs import changes_sign
from jaxscat.statistics.angular import FourierHarmonics, IsotropicMean
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.fields import measure_fields
from jaxscat.statistics.indices import scale_pairs, scale_triples
from jaxscat.statistics.parity import (
    even_errors,
    even_part,
    joined_errors,
    mirror,
    odd_part,
)

PAIRS = (("T", "T"), ("B", "B"), ("T", "E"), ("T", "B"), ("B", "E"))


def make_fields(nside):
    generator = np.random.default_rng(nside)
    t, e, b = generator.gamma(2.0, size=(3, 12 * nside**2))
    return {"T": t, "E": e + 0.5 * t - 2, "B": b + 0.5 * t + 0.3 * e - 3}


def reflection(nside):
    """The pixel that the mirror carries to every pixel: longitudes of the other sign."""
    theta, phi = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True)
    return healpy.ang2pix(nside, theta, -phi, nest=True)


def mirrored(fields, nside):
    signs = {"T": 1, "E": 1, "B": -1}
    return {name: signs[name] * map[..., reflection(nside)] for name, map in fields.items()}


def scale_of(name, statistics):
    """The coarsest scale, `j` or `j3`, of every entry of a group."""
    if name in ("S1", "S2"):
        return np.arange(statistics.scales)
    indices = statistics.triples if name == "S4" else statistics.pairs
    return np.array(indices)[:, -1]


def relative(one, other):
    return np.linalg.norm(np.asarray(one) - np.asarray(other)) / np.linalg.norm(other)


@pytest.fixture(scope="module", params=[4, 3], ids="L={}".format)
def both(request, pyramids):
    """Coefficients of maps and of their mirror images."""
    operators = pyramids(8, orientations=request.param)
    maps = make_fields(8)
    return tuple(measure_fields(of, operators, pairs=PAIRS) for of in (maps, mirrored(maps, 8)))


def test_the_other_sign_of_b_changes_signs_to_the_last_bit(pyramid):
    maps = make_fields(4)
    found, flipped = (measure_fields(maps | {"B": sign * maps["B"]}, pyramid) for sign in (1, -1))
    for pair, one, other in zip(found.pairs, found.statistics, flipped.statistics, strict=True):
        theirs = other.groups()
        for name, group in one.groups().items():
            sign = np.array(-1.0 if changes_sign(pair, name) else 1.0)
            if name == "S0":
                sign = np.array([sign, 1.0])
            np.testing.assert_array_equal(theirs[name], sign * group, err_msg=f"{pair} {name}")


def test_mirror_images_have_mirrored_coefficients_at_the_finest_scale(both):
    found, image = both
    for pair, one, other in zip(found.pairs, found.statistics, image.statistics, strict=True):
        expected = mirror(one, pair).groups()
        for name, group in other.groups().items():
            if name == "S0":
                np.testing.assert_allclose(group, expected[name], rtol=1e-12, atol=1e-14)
                continue
            finest = scale_of(name, one) == 0
            assert finest.any()
            assert relative(group[finest], expected[name][finest]) <= 1e-12, (pair, name)
            # At others, eight corners of the grid differ from their images.
            coarse = scale_of(name, one) == 1
            assert 1e-5 < relative(group[coarse], expected[name][coarse]) < 0.3


@pytest.mark.parametrize("orientations", [4, 3])
def test_with_a_symmetric_downsampling_it_is_exact_at_all_scales(
    reference, monkeypatch, orientations
):
    """In dense matrices, of which that one has the mean with its mirror image."""
    plain = reference.downsampling_matrix

    def symmetric(nside, cells=None):
        matrix = plain(nside, cells)
        return (matrix + matrix[reflection(nside // 2)][:, reflection(nside)]) / 2

    monkeypatch.setattr(reference, "downsampling_matrix", symmetric)
    maps = make_fields(4)
    image = mirrored(maps, 4)

    def oracle(maps, pair):
        first, second = pair
        groups = reference.reduce_fields(
            maps[first],
            np.ones((1, 192)),
            orientations,
            3,
            reference.masked_mean,
            second=None if first == second else maps[second],
        )
        return ScatteringCovariance(**{name: group[0] for name, group in groups.items()})

    for pair in (("B", "B"), ("T", "B")):
        expected = mirror(oracle(maps, pair), pair).groups()
        for name, group in oracle(image, pair).groups().items():
            assert relative(group, expected[name]) <= 1e-12, (pair, name)


def test_masks_stay_on_their_axis(pyramids):
    """Under masks that are their own images, and one that is the image of another."""
    operators, maps = pyramids(8), make_fields(8)
    weights = np.random.default_rng(1).random((2, 768))
    image = weights[:, reflection(8)]
    found = measure_fields(maps, operators, pairs=["TB"], mask=weights)["TB"]
    other = measure_fields(mirrored(maps, 8), operators, pairs=["TB"], mask=image)["TB"]
    expected = mirror(found, ("T", "B")).groups()
    for name, group in other.groups().items():
        at = ... if name == "S0" else (slice(None), scale_of(name, found) == 0)
        assert relative(group[at], expected[name][at]) <= 1e-12, name


def test_parts(both):
    found, _ = both
    for pair, one in zip(found.pairs, found.statistics, strict=True):
        even, odd = even_part(one, pair), odd_part(one, pair)
        for name, group in one.groups().items():
            parts = even.groups()[name], odd.groups()[name]
            np.testing.assert_allclose(parts[0] + parts[1], group, rtol=1e-14, atol=1e-15)
            assert not (parts[1] == group).all() or name == "S0"
        jax.tree.map(np.testing.assert_array_equal, even_part(even, pair), even)
        jax.tree.map(np.testing.assert_array_equal, odd_part(odd, pair), odd)
        for part in (even_part(odd, pair), odd_part(even, pair)):
            assert all((np.asarray(group) == 0).all() for group in part.groups().values())
        twice = mirror(mirror(one, pair), pair)
        jax.tree.map(np.testing.assert_array_equal, twice, one)
        jax.tree.map(np.testing.assert_array_equal, mirror(even, pair), even)


def made(**changed):
    """Zeros of four orientations and two scales, for two maps."""
    shapes = {"s0": (2,), "s1": (2, 4), "s2": (2, 4)}
    pairs, triples = len(scale_pairs(2)), len(scale_triples(2))
    groups = {name: np.zeros(shape) for name, shape in shapes.items()}
    groups |= {name: np.zeros((pairs, 4, 4), complex) for name in ("s3", "s3p")}
    groups["s4"] = np.zeros((triples, 4, 4, 4), complex)
    return ScatteringCovariance(**groups | changed)


def test_where_coefficients_go():
    """Orientation l to -l, and conjugated but for l3 = 0; by hand."""
    z = 2 + 3j
    s1, s3, s4 = np.zeros((2, 4)), np.zeros((3, 4, 4), complex), np.zeros((4, 4, 4, 4), complex)
    s1[1, 1] = 5
    s3[2, 1, 3], s3[0, 2, 0] = z, z
    s4[3, 1, 0, 2], s4[1, 3, 2, 0] = z, z
    one = made(s0=np.array([1.0, 2.0]), s1=s1, s2=s1, s3=s3, s3p=s3, s4=s4)

    def nonzero(group):
        group = np.asarray(group)
        return {tuple(map(int, at)): group[tuple(at)] for at in np.argwhere(group)}

    found = mirror(one, ("T", "B"))
    np.testing.assert_array_equal(found.s0, [-1, 2])
    assert nonzero(found.s1) == nonzero(found.s2) == {(1, 3): -5}
    assert nonzero(found.s3) == {(2, 3, 1): z.conjugate(), (0, 2, 0): z}
    assert nonzero(found.s3p) == {(2, 3, 1): -z.conjugate(), (0, 2, 0): -z}
    assert nonzero(found.s4) == {(3, 3, 0, 2): z.conjugate(), (1, 1, 2, 0): z}


def test_signs_of_groups():
    groups = ("S0", "S1", "S2", "S3", "S3P", "S4")
    odd = {
        pair: {group for group in groups if changes_sign(pair, group)}
        for pair in (("E", "E"), ("B", "B"), ("T", "B"), ("B", "T"), ("B", "U"), ("T", "E"))
    }
    assert odd == {
        ("E", "E"): set(),
        ("T", "E"): set(),
        ("B", "B"): {"S0", "S3", "S3P"},  # one field has no S3P
        ("T", "B"): {"S0", "S1", "S2", "S3P"},
        ("B", "T"): {"S0", "S1", "S2", "S3"},
        ("B", "U"): {"S3", "S3P"},
    }


def test_errors_of_even_parts(both):
    """By the spread of even parts of coefficients that scatter independently."""
    found, _ = both
    one = found["TB"]
    generator = np.random.default_rng(0)
    errors = jax.tree.map(lambda group: generator.uniform(1, 2, group.shape), one)
    even = even_errors(errors)
    np.testing.assert_array_equal(even.s0, errors.s0)
    drawn = jax.tree.map(lambda group: generator.normal(size=(4000, *group.shape)) * group, errors)
    # The signs of a pair do not matter, and neither do phases.
    parts = jax.vmap(lambda one: even_part(one, ("T", "E")))(drawn)
    own = -np.arange(one.orientations) % one.orientations == np.arange(one.orientations)
    for name, group in parts.groups().items():
        if name == "S0":
            continue
        spread = np.std(np.asarray(group), axis=0)
        np.testing.assert_allclose(spread, even.groups()[name], rtol=0.09, err_msg=name)
    np.testing.assert_array_equal(np.asarray(even.s1)[:, own], errors.s1[:, own])
    other = np.asarray(even.s1)[:, ~own]
    assert (other < np.max(errors.s1[:, ~own], axis=1, keepdims=True)).all()
    single = dataclasses.replace(errors, s2=errors.s2 * 1e-300)
    np.testing.assert_allclose(even_errors(single).s2, even.s2 * 1e-300, rtol=1e-12)


@pytest.mark.parametrize("reduction", [IsotropicMean(), FourierHarmonics(1)], ids=str)
def test_errors_of_reduced_even_parts(both, reduction):
    """By the spread of reduced even parts; harmonics of a sine may be less than that."""
    one = both[0]["TB"]
    generator = np.random.default_rng(0)
    errors = jax.tree.map(lambda group: generator.uniform(1, 2, group.shape), one)
    drawn = jax.tree.map(lambda group: generator.normal(size=(4000, *group.shape)) * group, errors)
    found = reduction.sigma(joined_errors(even_errors(errors)))
    parts = jax.vmap(lambda one: reduction.mean(even_part(one, ("T", "E"))))(drawn)
    for name, group in parts.groups().items():
        if name == "S0":
            continue
        spread, sigma = np.std(np.asarray(group), axis=0), np.asarray(found.groups()[name])
        if reduction == IsotropicMean():
            np.testing.assert_allclose(spread, sigma, rtol=0.09, err_msg=name)
        assert (spread < 1.5 * sigma).all()
