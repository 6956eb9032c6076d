"""Orientations counted from the dominant one: against dense matrices and simple cases."""

import jax
import numpy as np
import pytest

from jaxscat.statistics.alignment import Turn, align_orientations
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.scattering import measure

BOUND = 1e-12  # relative rms over a group
# FOSCAT rounds weights to float32, the oracle does not.
ROUNDED_BOUND = 1e-6

CELLS = np.sort(np.random.default_rng(2).permutation(192)[:120])


@pytest.fixture(scope="module")
def pyramid(pyramids):
    def get(nside, orientations, *, kernel_size=3, patch=False):
        cells = tuple(CELLS.tolist()) if patch else None
        return pyramids(nside, orientations=orientations, kernel_size=kernel_size, cell_ids=cells)

    return get


def some_map(npix: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, size=npix)


def relative_rms(value, expected) -> float:
    value = np.asarray(value)
    assert value.shape == expected.shape
    return np.linalg.norm(value - expected) / np.linalg.norm(expected)


CASES = {
    "four": {"nside": 4, "orientations": 4},
    "three": {"nside": 4, "orientations": 3},
    "one": {"nside": 2, "orientations": 1},
    "kernel": {"nside": 2, "orientations": 2, "kernel_size": 5},
    "patch": {"nside": 4, "orientations": 3, "patch": True},
}


@pytest.mark.parametrize(
    ("name", "cross", "compatibility"),
    [
        ("four", False, None),
        ("three", True, "foscat"),
        ("one", True, None),
        ("kernel", False, "foscat"),
        ("patch", False, None),
        ("patch", True, "foscat"),
    ],
)
def test_coefficients_and_errors(reference, pyramid, name, cross, compatibility):
    case = CASES[name]
    operators = pyramid(**case)
    npix = operators.spec.npix
    guide, map, second = (some_map(npix, seed) for seed in range(3))
    second = second if cross else None
    masks = np.random.default_rng(4).random((2, npix))
    grid = {
        "nside": case["nside"],
        "kernel_size": case.get("kernel_size", 3),
        "cells": tuple(CELLS.tolist()) if case.get("patch") else None,
    }
    spec = operators.spec
    alignment = align_orientations(guide, operators, compatibility=compatibility)
    turns = reference.find_turns(
        guide, spec.orientations, spec.scales, **grid, foscat=compatibility == "foscat"
    )
    bound = BOUND if compatibility is None else ROUNDED_BOUND
    for function, reduction in (
        (measure, reference.masked_mean),
        (standard_error, reference.pixel_error),
    ):
        expected = reference.reduce_fields(
            map,
            masks,
            spec.orientations,
            spec.scales,
            reduction,
            second=second,
            alignment=turns,
            **grid,
        )
        if function is standard_error:
            expected["s0"][..., 0] = expected["s0"][..., 1]
        found = function(map, operators, second=second, mask=masks, alignment=alignment)
        errors = {
            group: relative_rms(array, expected[group.lower()])
            for group, array in found.groups().items()
        }
        assert ("S3P" in errors) == cross
        assert max(errors.values()) <= bound, (function, errors)


def test_turns_of_a_known_direction():
    """Strength in one orientation only is dominant there; between two equal ones, half and half."""
    from jaxscat.statistics.alignment import _dominant_turn

    strength = np.array([[0, 0, 1.0, 0], [1, 1, 0, 0], [0, 0, 0, 2], [1, 0, 0, 0]]).T
    turn = _dominant_turn(jax.numpy.asarray(strength), axis=-2)
    assert turn.whole.tolist() == [2, 0, 3, 0]
    np.testing.assert_allclose(turn.near, [1, 0.5, 1, 1], atol=1e-15)
    np.testing.assert_allclose(turn.far, [0, 0.5, 0, 0], atol=1e-15)


def test_turn_brings_the_dominant_orientation_to_the_beginning():
    fields = np.arange(12.0).reshape(4, 3) ** 2
    turn = Turn(np.array([0, 3, 2]), near=np.array([1, 1, 0.75]), far=np.array([0, 0, 0.25]))
    found = np.asarray(turn.apply(jax.numpy.asarray(fields), axis=-2))
    for step in range(4):
        first, second = fields[(step + turn.whole) % 4, range(3)], fields[(step + 3) % 4, 2]
        np.testing.assert_allclose(found[step, :2], first[:2])
        assert found[step, 2] == 0.75 * first[2] + 0.25 * second


def test_dominant_orientation_is_strongest_afterwards(pyramid):
    """In the finest S1 at least, where a map is aligned with itself."""
    operators = pyramid(8, 4)
    map = some_map(768)
    plain = measure(map, operators)
    aligned = measure(map, operators, alignment=align_orientations(map, operators))
    assert aligned.s1[0].argmax() == 0
    assert aligned.s1[0, 0] > 1.2 * plain.s1[0].max()
    assert aligned.s1[0, 2] < 0.8 * plain.s1[0].min()
    np.testing.assert_array_equal(aligned.s0, plain.s0)


def test_one_orientation_has_nothing_to_turn(pyramid):
    operators, map = pyramid(2, 1), some_map(48)
    aligned = measure(map, operators, alignment=align_orientations(map, operators))
    for name, group in measure(map, operators).groups().items():
        assert relative_rms(aligned.groups()[name], np.asarray(group)) <= 1e-14, name


def test_only_foscats_inner_turns_are_the_same_for_every_scale(pyramid):
    operators, map = pyramid(4, 3), some_map(192)
    own, foscat = (
        align_orientations(map, operators, compatibility=compatibility)
        for compatibility in (None, "foscat")
    )
    for scale, pixels in enumerate((192, 48, 12)):
        assert own.outer[scale].whole.shape == foscat.outer[scale].whole.shape == (pixels,)
        assert own.inner[scale].whole.shape == (scale + 1, 3, pixels)
        assert foscat.inner[scale].whole.shape == (1, 3, pixels)
        assert own.inner[scale].whole.max() <= 2 and own.inner[scale].whole.min() >= 0
    # The finest scale has one modulus, its own: both look for its turn there, FOSCAT after the
    # modulus of the turned coefficients, not in the turned modulus.
    one, other = (measure(map, operators, alignment=alignment) for alignment in (own, foscat))
    np.testing.assert_allclose(one.s1, other.s1, rtol=1e-6)
    assert relative_rms(one.s3, np.asarray(other.s3)) > 1e-3


def test_unit_of_the_map_does_not_turn_anything(pyramid):
    operators, map = pyramid(4, 3), some_map(192)
    expected = align_orientations(map, operators)
    found = align_orientations(1024 * map, operators)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


def test_alignment_is_a_constant_of_derivatives(pyramid):
    operators, map = pyramid(4, 3), some_map(192)
    direction = np.random.default_rng(6).standard_normal(192)

    def whole(map):
        alignment = align_orientations(map, operators)
        return measure(map, operators, alignment=alignment).ravel()

    alignment = align_orientations(map, operators)

    def fixed(map):
        return measure(map, operators, alignment=alignment).ravel()

    same, slope = jax.jvp(jax.jit(whole), (map,), (direction,))
    value, expected = jax.jvp(jax.jit(fixed), (map,), (direction,))
    np.testing.assert_allclose(same, value, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-12)
    step = 1e-6 * direction
    difference = (fixed(map + step) - fixed(map - step)) / 2e-6
    assert relative_rms(expected, np.asarray(difference)) <= 1e-7


def test_constant_and_zero_maps_have_finite_alignments(pyramid):
    operators = pyramid(4, 3)
    for map in (np.zeros(192), np.full(192, 3.0)):
        alignment = align_orientations(map, operators)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(alignment))
        statistics = measure(some_map(192), operators, alignment=alignment)
        assert np.isfinite(statistics.ravel()).all()


@pytest.mark.parametrize("bad", [np.ones(48), np.full(192, np.nan), np.ones((2, 192))])
def test_bad_maps_are_refused(pyramid, bad):
    with pytest.raises(ValueError, match=r"^map: got "):
        align_orientations(bad, pyramid(4, 3))


@pytest.mark.parametrize("bad", ["exact", "", False, 1])
def test_unknown_compatibility_is_refused(pyramid, bad):
    with pytest.raises(ValueError, match=r"^compatibility: got .*, expected None or 'foscat'"):
        align_orientations(some_map(192), pyramid(4, 3), compatibility=bad)


@pytest.mark.parametrize(
    ("nside", "orientations", "patch"), [(2, 3, False), (8, 3, False), (4, 4, False), (4, 3, True)]
)
def test_alignment_of_another_pyramid_is_refused(pyramid, nside, orientations, patch):
    other = pyramid(nside, orientations, patch=patch)
    alignment = align_orientations(some_map(other.spec.npix), other)
    for function in (measure, standard_error):
        with pytest.raises(ValueError, match=r"^alignment: got turns of .* expected 3 orient"):
            function(some_map(192), pyramid(4, 3), alignment=alignment)
