"""Reductions of orientations against loops over their definitions, and numbers from FOSCAT."""

import dataclasses
import os
import re
import warnings
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscat.statistics.angular import (
    FourierHarmonics,
    IsotropicMean,
    ReducedCovariance,
    Reduction,
    isotropic_spread,
)
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import scale_pairs, scale_triples

GOLDEN_BOUND = 1e-14  # relative rms over a group
REDUCTIONS = [
    IsotropicMean(),
    IsotropicMean("foscat"),
    FourierHarmonics(0),
    FourierHarmonics(1),
    FourierHarmonics(2, imaginary=False),
    FourierHarmonics(2),
]


def coefficients(
    orientations: int = 4,
    *,
    masks: tuple[int, ...] = (),
    scales: int = 3,
    covariances: int = 2,
    cross: bool = False,
    both_triangles: bool = False,
    errors: bool = False,
    seed: int = 0,
) -> ScatteringCovariance:
    """Random numbers; S3 and S4 stand at the finest scales only, unless `covariances` is all."""
    generator = np.random.default_rng(seed)

    def draw(*shape, real=False):
        numbers = generator.standard_normal(masks + shape)
        if errors:
            return jnp.asarray(np.abs(numbers))
        return jnp.asarray(
            numbers if real else numbers + 1j * generator.standard_normal(masks + shape)
        )

    pairs, triples = len(scale_pairs(covariances)), len(scale_triples(covariances, both_triangles))
    return ScatteringCovariance(
        s0=draw(2, real=True),
        s1=draw(scales, orientations, real=True),
        s2=draw(scales, orientations, real=True),
        s3=draw(pairs, orientations, orientations),
        s4=draw(triples, orientations, orientations, orientations),
        s3p=draw(pairs, orientations, orientations) if cross else None,
        both_triangles=both_triangles,
    )


CASES = {
    "auto": coefficients(),
    "eight": coefficients(8),
    "odd": coefficients(5),
    "all scales": coefficients(covariances=3),
    "masks": coefficients(masks=(3,)),
    "one mask": coefficients(masks=(1,)),
    "cross": coefficients(cross=True),
    "both triangles": coefficients(cross=True, both_triangles=True, masks=(2,)),
    "errors": coefficients(errors=True, cross=True),
}


def turned(name: str, group: np.ndarray):
    """Every combination of differences, and the numbers it has at each l2 in turn."""
    size = group.shape[-1]
    if name in ("S1", "S2"):
        yield (), [group[..., m] for m in range(size)]
    elif name in ("S3", "S3P"):
        for d in range(size):
            yield (d,), [group[..., m, (m + d) % size] for m in range(size)]
    else:
        for d1 in range(size):
            for d2 in range(size):
                yield (
                    (d1, d2),
                    [group[..., m, (m + d1) % size, (m + d2) % size] for m in range(size)],
                )


def harmonic(label: dict[str, int], m: int, size: int) -> float:
    ((name, k),) = label.items()
    angle = 2 * np.pi * k * m / size
    return 1 / size if k == 0 else np.cos(angle) if name == "cos" else np.sin(angle)


def slow_reduce(name: str, group, reduce) -> np.ndarray:
    """`reduce` takes the numbers at every l2, each with the axes of masks and scales."""
    group = np.asarray(group)
    reduced = [reduce(numbers) for _, numbers in turned(name, group)]
    size, differences = group.shape[-1], {"S1": 0, "S2": 0, "S4": 2}.get(name, 1)
    axis = -1 if np.ndim(reduced[0]) == group.ndim - 1 - differences else -2
    stacked = np.stack(reduced, axis=axis)
    tail = stacked.shape[stacked.ndim + axis + 1 :] if axis == -2 else ()
    head = stacked.shape[: group.ndim - 1 - differences]
    return stacked.reshape(*head, *(size,) * differences, *tail)


def slow_mean(name: str, group, reduction: Reduction, power: int = 1) -> np.ndarray:
    size = group.shape[-1]

    def reduce(numbers):
        if isinstance(reduction, IsotropicMean):
            quarter = reduction.compatibility == "foscat" and name in ("S3", "S3P")
            factor = 1 / 4 if quarter else 1 / size
            return sum(factor**power * number**power for number in numbers)
        sums = [
            sum(
                harmonic(label, m, size) ** power * number**power
                for m, number in enumerate(numbers)
            )
            for label in reduction.labels(size)
        ]
        return np.stack(sums, axis=-1)

    return slow_reduce(name, group, reduce)


def assert_groups_close(reduced: ReducedCovariance, expected: dict[str, np.ndarray]) -> None:
    found = {name: group for name, group in reduced.groups().items() if name != "S0"}
    assert list(found) == list(expected)
    for name, group in found.items():
        assert group.shape == expected[name].shape, name
        np.testing.assert_allclose(group, expected[name], rtol=1e-13, atol=1e-13, err_msg=name)


def loops(statistics: ScatteringCovariance, slow) -> dict[str, np.ndarray]:
    return {name: slow(name, x) for name, x in statistics.groups().items() if name != "S0"}


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_means_follow_their_definition(case, reduction):
    statistics = CASES[case]
    reduced = jax.jit(reduction.mean)(statistics)
    assert_groups_close(reduced, loops(statistics, partial(slow_mean, reduction=reduction)))
    np.testing.assert_array_equal(reduced.s0, statistics.s0)
    assert reduced.kind == statistics.kind
    assert reduced.masks == statistics.masks
    assert reduced.both_triangles == statistics.both_triangles
    assert (reduced.pairs, reduced.triples) == (statistics.pairs, statistics.triples)
    assert (reduced.scales, reduced.orientations) == (statistics.scales, statistics.orientations)


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
@pytest.mark.parametrize("options", [{}, {"masks": (2,), "cross": True}, {"both_triangles": True}])
@pytest.mark.parametrize("orientations", [4, 8])
def test_errors_add_in_quadrature_unless_foscat_says_otherwise(orientations, options, reduction):
    errors = coefficients(orientations, errors=True, **options)
    if reduction == IsotropicMean("foscat"):
        expected = loops(errors, partial(slow_mean, reduction=reduction))
    else:
        squares = loops(errors, partial(slow_mean, reduction=reduction, power=2))
        expected = {name: np.sqrt(square) for name, square in squares.items()}
    reduced = jax.jit(reduction.sigma)(errors)
    assert_groups_close(reduced, expected)
    np.testing.assert_array_equal(reduced.s0, errors.s0)


def test_errors_are_those_of_independent_numbers():
    errors = coefficients(errors=True, scales=1, covariances=1)
    generator = np.random.default_rng(1)
    draws = jax.tree.map(
        lambda sigma: np.asarray(sigma) * generator.standard_normal((4000, *sigma.shape)), errors
    )  # on the axis of masks
    for reduction in (IsotropicMean(), FourierHarmonics(1)):
        scatter = np.asarray(jax.jit(reduction.mean)(draws).ravel()).std(0)
        expected = jax.jit(reduction.sigma)(errors).ravel()
        np.testing.assert_allclose(scatter[2:], expected[2:], rtol=0.06)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_small_and_large_errors_in_float32_keep_their_digits(factor):
    errors = coefficients(errors=True)
    scaled = jax.tree.map(
        lambda group: jnp.asarray((factor * np.asarray(group)).astype(np.float32)), errors
    )
    for reduction in (IsotropicMean(), FourierHarmonics(1)):
        single, double = (jax.jit(reduction.sigma)(sigma) for sigma in (scaled, errors))
        assert single.s4.dtype == np.float32
        np.testing.assert_allclose(np.asarray(single.s4, float) / factor, double.s4, rtol=1e-5)


@pytest.mark.parametrize("compatibility", [None, "foscat"])
@pytest.mark.parametrize("case", CASES)
def test_spread_follows_its_definition(case, compatibility):
    statistics = CASES[case]
    reduction = IsotropicMean(compatibility)

    def slow(name, group):
        centres = slow_mean(name, group, reduction)

        def at(differences):
            return centres[(..., *differences)]

        spread = np.zeros(centres.shape)
        for differences, numbers in turned(name, np.asarray(group)):
            away = [number - at(differences) for number in numbers]
            if compatibility is None:
                square = sum(np.abs(one) ** 2 for one in away) / len(away)
                spread[(..., *differences)] = np.sqrt(square)
            else:
                divisor = 4 if name in ("S3", "S3P") else len(away)
                square = sum(np.real(one) ** 2 for one in away) / divisor
                spread[(..., *differences)] = np.sign(square) * np.sqrt(square + 1e-16)
        return spread

    spread = jax.jit(partial(isotropic_spread, compatibility=compatibility))(statistics)
    assert_groups_close(spread, loops(statistics, slow))
    assert spread.reduction == reduction
    np.testing.assert_array_equal(spread.s0, jnp.zeros_like(statistics.s0))


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
def test_isotropic_coefficients_have_their_mean_and_no_harmonics(reduction):
    """Coefficients that depend on differences only, made by a loop."""
    generator = np.random.default_rng(2)
    s3, s4 = generator.standard_normal((6, 4)), generator.standard_normal((10, 4, 4))
    l2, l1, l3 = np.ogrid[:4, :4, :4]
    statistics = ScatteringCovariance(
        s0=jnp.asarray(np.ones(2)),
        s1=jnp.asarray(np.full((3, 4), 2.0)),
        s2=jnp.asarray(np.full((3, 4), 3.0)),
        s3=jnp.asarray(s3[:, (l3[0] - l2[:, 0]) % 4]),
        s4=jnp.asarray(s4[:, (l1 - l2) % 4, (l3 - l2) % 4]),
    )
    reduced = jax.jit(reduction.mean)(statistics)
    labels = reduction.labels(4)
    first = (lambda x: x) if labels == [{}] else (lambda x: np.asarray(x)[..., 0])
    np.testing.assert_allclose(first(reduced.s1), 2, rtol=1e-14)
    np.testing.assert_allclose(first(reduced.s2), 3, rtol=1e-14)
    np.testing.assert_allclose(first(reduced.s3), s3, rtol=1e-14)
    np.testing.assert_allclose(first(reduced.s4), s4, rtol=1e-14)
    for group in (reduced.s1, reduced.s3, reduced.s4) if labels != [{}] else ():
        np.testing.assert_allclose(np.asarray(group)[..., 1:], 0, atol=1e-14)
    # What is left of the spread is rounding.
    assert np.abs(isotropic_spread(statistics).ravel()).max() < 1e-14


def test_a_sine_at_half_the_orientations_is_left_out():
    assert FourierHarmonics(2).labels(4) == [{"cos": 0}, {"cos": 1}, {"sin": 1}, {"cos": 2}]
    assert FourierHarmonics(2).labels(5)[-1] == {"sin": 2}
    assert FourierHarmonics(2, imaginary=False).labels(4) == [{"cos": k} for k in range(3)]


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
@pytest.mark.parametrize("case", ["auto", "odd", "both triangles"])
def test_names_say_where_a_coefficient_stands(case, reduction):
    reduced = jax.jit(reduction.mean)(CASES[case])
    labels = reduction.labels(reduced.orientations)
    names = reduced.names()
    assert names[:2] == ["S0 mean", "S0 error"]
    arrays = {name: np.asarray(group) for name, group in reduced.groups().items()}
    values = np.asarray(reduced.ravel())
    assert len(set(names)) == len(names) == values.shape[-1]
    for position, name in enumerate(names[2:], start=2):
        group, rest = name.split(" ", 1)
        at = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", rest)}
        label = {key: at.pop(key) for key in ("cos", "sin") if key in at}
        index = {
            "S1": lambda at: (at["j"],),
            "S3": lambda at: (reduced.pairs.index((at["j2"], at["j3"])), at["d"]),
            "S4": lambda at: (
                reduced.triples.index((at["j1"], at["j2"], at["j3"])),
                at["d1"],
                at["d2"],
            ),
        }[{"S2": "S1", "S3P": "S3"}.get(group, group)](at)
        index = (..., *index) if labels == [{}] else (..., *index, labels.index(label))
        np.testing.assert_array_equal(values[..., position], arrays[group][index], name)


def test_names_and_table_read_as_documented():
    names = FourierHarmonics(1).mean(CASES["auto"]).names()
    assert names[2:5] == ["S1 j=0 cos=0", "S1 j=0 cos=1", "S1 j=0 sin=1"]
    assert "S3 j2=0 j3=1 d=2 sin=1" in names
    reduced = IsotropicMean().mean(CASES["masks"])
    assert "S3 j2=0 j3=1 d=2" in reduced.names()
    assert "S4 j1=0 j2=0 j3=1 d1=3 d2=2" in reduced.names()
    table = reduced.table()
    rows = np.flatnonzero((table["group"] == "S4") & (table["d1"] == 3) & (table["d2"] == 1))
    triples = [(table["j1"][row], table["j2"][row], table["j3"][row]) for row in rows]
    assert triples == [(0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1)] * 3
    assert table["mask"][rows].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(table["value"][rows], reduced.s4[:, :, 3, 1].reshape(-1))


def test_different_reductions_do_not_mix():
    statistics = CASES["auto"]
    subtract = partial(jax.tree.map, jnp.subtract)
    isotropic = IsotropicMean().mean(statistics)
    same = subtract(isotropic, IsotropicMean().mean(statistics))
    assert np.abs(same.ravel()).max() == 0
    scaled = jax.tree.map(jnp.divide, same, IsotropicMean().sigma(coefficients(errors=True)))
    assert np.abs(scaled.ravel()).max() == 0
    others = [IsotropicMean("foscat"), FourierHarmonics(1), FourierHarmonics(1, imaginary=False)]
    for other in others:
        with pytest.raises(ValueError):
            subtract(isotropic, other.mean(statistics))
    with pytest.raises(ValueError):
        subtract(FourierHarmonics(1).mean(statistics), FourierHarmonics(2).mean(statistics))
    with pytest.raises(ValueError):
        subtract(isotropic, statistics)


@pytest.mark.parametrize("reduction", [IsotropicMean(), FourierHarmonics(2)], ids=str)
def test_losses_compile_once_and_have_the_right_gradient(reduction):
    """The loss is quadratic in the coefficients, and differentiated by their errors too."""
    numbers = (coefficients(), coefficients(errors=True))
    traces = []

    @partial(jax.jit, static_argnames="reduction")
    def value_and_gradient(numbers, reduction):
        traces.append(reduction)

        def loss(numbers):
            statistics, errors = numbers
            scaled = jax.tree.map(jnp.divide, reduction.mean(statistics), reduction.sigma(errors))
            return jnp.sum(jnp.abs(scaled.ravel()) ** 2)

        return jax.value_and_grad(loss)(numbers)

    _, gradient = value_and_gradient(numbers, reduction)
    values, structure = jax.tree.flatten(numbers)
    steps = [np.sin(np.arange(x.size)).reshape(x.shape) for x in values]

    def along(step):
        moved = [x + step * by for x, by in zip(values, steps, strict=True)]
        equal_but_another_object = dataclasses.replace(reduction)
        return value_and_gradient(structure.unflatten(moved), equal_but_another_object)[0]

    difference = float(along(1e-6) - along(-1e-6)) / 2e-6
    assert len(traces) == 1
    leaves = jax.tree.leaves(gradient)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    projected = sum(np.sum(np.real(x) * by) for x, by in zip(leaves, steps, strict=True))
    assert float(projected) == pytest.approx(difference, rel=1e-5)


def test_what_is_not_a_number_stays_so():
    errors = jax.tree.map(lambda group: group * jnp.nan, coefficients(errors=True))
    for reduction in (IsotropicMean(), FourierHarmonics(1)):
        assert np.isnan(reduction.sigma(errors).ravel()).all()
    assert np.isnan(isotropic_spread(errors).ravel()[2:]).all()


@pytest.mark.parametrize("compatibility", [None, "foscat"])
def test_spread_of_equal_orientations_has_a_finite_gradient(compatibility):
    statistics = jax.tree.map(jnp.ones_like, CASES["auto"])
    gradient = jax.jit(jax.grad(lambda x: isotropic_spread(x, compatibility).ravel().sum()))(
        statistics
    )
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
def test_reductions_are_static(reduction):
    assert jax.tree.leaves(reduction) == []
    assert {reduction: "found"}[dataclasses.replace(reduction)] == "found"
    assert [other == reduction for other in REDUCTIONS].count(True) == 1


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="^compatibility: got 'planck'"):
        IsotropicMean("planck")
    with pytest.raises(ValueError, match="^compatibility: got 'planck'"):
        isotropic_spread(CASES["auto"], "planck")
    for wrong in (-1, 1.0, True, "1"):
        with pytest.raises(ValueError, match=f"^harmonics: got {wrong!r}, expected an integer"):
            FourierHarmonics(wrong)
    with pytest.raises(ValueError, match="^imaginary: got 1"):
        FourierHarmonics(1, imaginary=1)


def test_numbers_of_numpy_are_pythons():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of fields that are not static
        assert FourierHarmonics(np.int64(2)) == FourierHarmonics(2)


class Largest(Reduction):
    """A reduction of one's own."""

    def mean_of_group(self, name, group):
        return jnp.abs(group).max(-1)

    def sigma_of_group(self, name, group):
        return group.max(-1)

    def labels(self, orientations):
        return [{}]


def test_a_reduction_of_ones_own():
    statistics, errors = coefficients(3), coefficients(3, errors=True)
    reduced, sigma = Largest().mean(statistics), Largest().sigma(errors)
    np.testing.assert_array_equal(sigma.s1, np.max(errors.s1, axis=-1))
    for d1 in range(3):
        for d2 in range(3):
            of_pair = [statistics.s4[:, l2, (l2 + d1) % 3, (l2 + d2) % 3] for l2 in range(3)]
            np.testing.assert_allclose(
                reduced.s4[:, d1, d2], np.abs(of_pair).max(axis=0), rtol=1e-15
            )
    assert len(reduced.names()) == reduced.ravel().size
    with pytest.raises(ValueError, match="statistics: got ReducedCovariance"):
        Largest().mean(reduced)
    with pytest.raises(ValueError, match="errors: got S3 of type complex"):
        Largest().sigma(statistics)


def test_more_harmonics_than_orientations_tell_apart_are_refused():
    for orientations, harmonics in [(4, 3), (5, 3), (1, 1)]:
        message = f"^harmonics: got {harmonics} for {orientations} orientations, expected at most"
        for reduce in (FourierHarmonics(harmonics).mean, FourierHarmonics(harmonics).sigma):
            with pytest.raises(ValueError, match=message):
                reduce(coefficients(orientations, errors=True))


@pytest.mark.parametrize("reduction", REDUCTIONS, ids=str)
def test_reduced_coefficients_and_complex_errors_are_refused(reduction):
    reduced = IsotropicMean().mean(CASES["errors"])
    with pytest.raises(ValueError, match="^statistics: got ReducedCovariance"):
        reduction.mean(reduced)
    with pytest.raises(ValueError, match="^errors: got ReducedCovariance"):
        reduction.sigma(reduced)
    with pytest.raises(ValueError, match="^statistics: got ReducedCovariance"):
        isotropic_spread(reduced)
    with pytest.raises(ValueError, match="^errors: got S3 of type complex128"):
        reduction.sigma(CASES["auto"])


def golden(name: str) -> dict[str, np.ndarray]:
    data = os.environ.get("JAXSCAT_DATA")
    if data is None:
        pytest.skip("JAXSCAT_DATA is not set: no FOSCAT numbers of the LSS map")
    path = Path(data).resolve().parent / "golden" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"no FOSCAT numbers of the LSS map at {path}")
    return dict(np.load(path))


def golden_statistics(numbers: dict[str, np.ndarray], prefix: str = "") -> ScatteringCovariance:
    # There, arrays have an axis of maps; that of masks stays.
    return ScatteringCovariance(
        **{f"s{k}": jnp.asarray(numbers[f"{prefix}S{k}"][0]) for k in range(5)}
    )


def assert_golden(reduced: ReducedCovariance, numbers: dict[str, np.ndarray], prefix: str) -> None:
    errors = {}
    for name in ("S1", "S2", "S3", "S4"):
        found, expected = np.asarray(reduced.groups()[name]), numbers[f"{prefix}_{name}"][0]
        assert found.shape == expected.shape, name
        errors[name] = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert max(errors.values()) <= GOLDEN_BOUND, errors


@pytest.mark.parametrize("nside", [8, 16, 32])
def test_foscat_numbers_of_four_orientations(nside):
    measured = golden(f"auto_L4_K3_nside{nside}")
    numbers = golden(f"angular_L4_K3_nside{nside}")
    statistics = golden_statistics(measured)
    errors = golden_statistics(measured, "sig_")
    for compatibility in (None, "foscat"):  # With four orientations the means agree.
        assert_golden(jax.jit(IsotropicMean(compatibility).mean)(statistics), numbers, "iso")
    cosines, harmonics = FourierHarmonics(1, imaginary=False), FourierHarmonics(1)
    assert_golden(jax.jit(cosines.mean)(statistics), numbers, "fftre")
    assert_golden(jax.jit(harmonics.mean)(statistics), numbers, "fft")
    assert_golden(jax.jit(harmonics.sigma)(errors), numbers, "fftsig")
    spread = jax.jit(partial(isotropic_spread, compatibility="foscat"))
    assert_golden(spread(statistics), numbers, "isostd")


@pytest.mark.parametrize("nside", [8, 16])
def test_foscat_numbers_of_eight_orientations(nside):
    numbers = golden(f"auto_L8_K3_nside{nside}")
    statistics = golden_statistics(numbers)
    reduced = IsotropicMean("foscat").mean(statistics)
    assert_golden(reduced, numbers, "iso")
    np.testing.assert_allclose(reduced.s3, 2 * IsotropicMean().mean(statistics).s3, rtol=1e-13)
