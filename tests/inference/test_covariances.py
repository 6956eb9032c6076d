"""Covariances from simulations, and their inverses by Monte Carlo and by brute force."""

import warnings

import numpy as np
import pytest

from jaxscat.inference import Simulations, covariance
from jaxscat.operators.spec import PyramidSpec

RANDOM = np.random.default_rng(3)
SPEC = PyramidSpec(4, 4, 3, 3, "exact", "float64")


def correlated(size):
    """A factor of the covariance of correlated numbers in different units."""
    factor = np.tril(np.random.default_rng(1).normal(size=(size, size)) / 2) + np.eye(size)
    return factor * np.geomspace(1e-3, 1e3, size)[:, None]


def test_hartlap_makes_the_inverse_unbiased_by_monte_carlo():
    size, count, trials = 6, 15, 4000
    factor = correlated(size)
    normal = np.random.default_rng(2).normal(size=(trials, count, size))
    traces = []
    for vectors in normal @ factor.T:
        found = covariance(vectors)
        assert found.hartlap == (count - size - 2) / (count - 1)
        traces.append(np.trace(factor.T @ found.precision @ factor) / size)
    error = np.std(traces) / np.sqrt(trials)
    assert abs(np.mean(traces) - 1) < 4 * error
    assert np.mean(traces) / found.hartlap > 1.9 > 1 + 50 * error  # without it, twice too large
    np.testing.assert_allclose(found.matrix, np.cov(vectors.T), rtol=1e-10, atol=0)
    product = factor.T @ found.precision @ found.matrix @ np.linalg.inv(factor.T)
    np.testing.assert_allclose(product, found.hartlap * np.eye(size), atol=1e-9)


def brute_force_weight(scaled):
    """Ledoit and Wolf's weight as they define it, with all outer products."""
    count, size = scaled.shape
    sample = sum(np.outer(row, row) for row in scaled) / count

    def norm(matrix):
        return np.trace(matrix @ matrix.T) / size

    distance = norm(sample - np.trace(sample) / size * np.eye(size))
    error = sum(norm(np.outer(row, row) - sample) for row in scaled) / count**2
    return min(error, distance) / distance


@pytest.mark.parametrize(("count", "size"), [(12, 20), (60, 8)])
def test_shrinkage_is_that_of_ledoit_and_wolf(count, size):
    vectors = np.random.default_rng(5).normal(size=(count, size)) @ correlated(size).T
    found = covariance(vectors, shrinkage=True)
    scaled = (vectors - vectors.mean(0)) / vectors.std(0, ddof=1)
    assert 0 < found.shrinkage < 1
    assert found.shrinkage == pytest.approx(brute_force_weight(scaled), rel=1e-10)
    np.testing.assert_allclose(np.diag(found.matrix), vectors.var(0, ddof=1))
    off = ~np.eye(size, dtype=bool)
    wanted = (1 - found.shrinkage) * np.cov(vectors.T)[off]
    np.testing.assert_allclose(found.matrix[off], wanted, rtol=1e-9)
    assert found.hartlap == 1 and found.simulations == count
    assert np.isfinite(found.condition) and np.linalg.eigvalsh(found.precision)[0] > 0


def test_shrinkage_is_that_of_scikit_learn():
    learn = pytest.importorskip("sklearn.covariance", reason="scikit-learn is not installed")
    vectors = np.random.default_rng(5).normal(size=(30, 10)) @ correlated(10).T
    scaled = (vectors - vectors.mean(0)) / vectors.std(0, ddof=1)
    _, weight = learn.ledoit_wolf(scaled, assume_centered=True)
    assert covariance(vectors, shrinkage=True).shrinkage == pytest.approx(weight, rel=1e-10)


def test_too_few_simulations_are_refused_unless_they_are_shrunk():
    vectors = RANDOM.normal(size=(22, 20))
    message = r"^vectors: got 22 simulations of 20 coefficients, expected at least 23 "
    with pytest.raises(ValueError, match=message):
        covariance(vectors)
    assert covariance(RANDOM.normal(size=(23, 20))).hartlap == pytest.approx(1 / 22)
    assert covariance(vectors, shrinkage=True).shrinkage > 0


def test_redundant_coefficients_are_told():
    vectors = RANDOM.normal(size=(50, 4)) + 10
    twice = np.column_stack([vectors, vectors.sum(1)]).astype(np.float32)
    with pytest.warns(UserWarning, match="^covariance: some combination of coefficients scatters"):
        covariance(twice)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert covariance(vectors.astype(np.float32)).condition < 10


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (3.0, "vectors: got an array of float64 of shape"),
        (np.ones((5, 2), int), "vectors: got an array of int64"),
        (RANDOM.normal(size=8), r"vectors: got an array of float64 of shape \(8,\)"),
        (np.full((9, 2), np.nan), "vectors: got 18 numbers that are not finite"),
        (
            np.ones((9, 2)),
            "vectors: got the same in all simulations .* coefficients 0, 1, expected",
        ),
        (RANDOM.normal(size=(2, 1)), "vectors: got 2 simulations, expected three or more"),
    ],
)
def test_bad_vectors_are_refused(vectors, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        covariance(vectors)
    with pytest.raises(ValueError, match="^shrinkage: got 'yes', expected True or False"):
        covariance(RANDOM.normal(size=(9, 2)), shrinkage="yes")


def named(vectors):
    """Vectors as `measure_many` returns them, with the names a, b, c, ..."""
    names = tuple("abcdefghijklmnop"[: vectors.shape[1]])
    return Simulations(vectors, names, None, None, SPEC)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_coefficients_that_do_not_scatter_are_named(kind):
    vectors = RANDOM.normal(size=(50, 4)) + 10
    vectors[:, 1] = 7.0
    vectors[:, 3] = 1e3 * (1 + np.finfo(kind).eps * RANDOM.normal(size=50))  # scatter of rounding
    message = r"^vectors: got the same in all .* for coefficients 1 \(b\), 3 \(d\), expected"
    with pytest.raises(ValueError, match=message):
        covariance(named(vectors.astype(kind)))


@pytest.mark.parametrize(
    ("weights", "which"),
    [
        ([0, 0, 1, 0, 0, 0], r"coefficients 2 \(c\), 6 \(g\),"),  # once more
        ([2, 0, 0, 0, -3, 0], r"coefficients 0 \(a\), 4 \(e\), 6 \(g\),"),
    ],
)
def test_coefficients_that_follow_from_each_other_are_named(weights, which):
    vectors = RANDOM.normal(size=(50, 6)) * np.geomspace(1e-3, 1e3, 6)
    both = np.column_stack([vectors, vectors @ (weights / vectors.std(0))])
    with pytest.raises(ValueError, match=f"^vectors: got coefficients that follow .*: {which}"):
        covariance(named(both))
    with pytest.warns(UserWarning, match=f"is not to be trusted: {which[:-1]};"):
        covariance(named((both + 10 * both.std(0)).astype(np.float32)))
    assert covariance(both, shrinkage=True).condition > 1


def test_many_redundant_coefficients_are_listed_in_part():
    vectors = RANDOM.normal(size=(50, 12))
    with pytest.raises(ValueError, match=r"0, 1, 2, 3, 4, 5, 6, 7 and 5 more, expected indep"):
        covariance(np.column_stack([vectors, vectors.sum(1)]))
