"""Fisher matrices with noisy derivatives, and compression that keeps them."""

import warnings

import numpy as np
import pytest

from jaxscat.inference import Jacobian, covariance, fisher, fisher_noise, moped

SIZE, PARAMETERS = 30, 3
RANDOM = np.random.default_rng(4)
FACTOR = np.tril(RANDOM.normal(size=(SIZE, SIZE)) / 6) + np.eye(SIZE)
FACTOR *= np.geomspace(1e-3, 1e3, SIZE)[:, None]  # units differ
MATRIX = FACTOR @ FACTOR.T
UNITS = np.array([1.0, 10.0, 0.1])
DERIVATIVES = FACTOR @ RANDOM.normal(size=(SIZE, PARAMETERS)) * UNITS


def of_seeds(count, seed, noise=3.0):
    """Derivatives with noise, whose mean is known."""
    normal = np.random.default_rng(seed).normal(size=(count, SIZE, PARAMETERS))
    each = DERIVATIVES + noise * FACTOR @ (normal * UNITS)
    errors = each.std(0, ddof=1) / np.sqrt(count)
    names = tuple(map(str, range(SIZE)))
    return Jacobian(each.mean(0), errors, each, names, np.arange(count), np.zeros(PARAMETERS))


def test_moped_keeps_the_fisher_matrix():
    vectors = np.random.default_rng(0).normal(size=(400, SIZE)) @ FACTOR.T
    for given in (MATRIX, covariance(vectors)):
        known = MATRIX if given is MATRIX else np.linalg.inv(given.precision)
        wanted = fisher(DERIVATIVES, given)
        weights = moped(DERIVATIVES, given)
        assert weights.shape == (SIZE, PARAMETERS)
        np.testing.assert_allclose(weights.T @ known @ weights, np.eye(PARAMETERS), atol=1e-10)
        kept = fisher(weights.T @ DERIVATIVES, weights.T @ known @ weights)
        scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
        assert np.abs((kept - wanted) / scale).max() < 1e-10


def test_moped_is_the_algorithm_of_the_paper():
    """Equations 11 and 14 as they stand there."""
    inverse = np.linalg.inv(MATRIX)
    found = []
    for slope in DERIVATIVES.T:
        vector, square = inverse @ slope, slope @ inverse @ slope
        for known in found:
            vector = vector - (slope @ known) * known
            square -= (slope @ known) ** 2
        found.append(vector / np.sqrt(square))
    weights = moped(DERIVATIVES, MATRIX)
    np.testing.assert_allclose(FACTOR.T @ weights, FACTOR.T @ np.stack(found, 1), atol=1e-8)


def test_noise_of_derivatives_is_known_on_average():
    exact = fisher(DERIVATIVES, MATRIX)
    noisy = [of_seeds(12, seed) for seed in range(300)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = np.array([fisher(one, MATRIX) for one in noisy])
    clean = raw - [fisher_noise(one, MATRIX) for one in noisy]
    lower = np.array([fisher(one, MATRIX, estimator="compressed") for one in noisy])
    between = np.array([fisher(one, MATRIX, estimator="combined") for one in noisy])
    error = clean.std(0) / np.sqrt(len(noisy))
    assert (np.abs(clean.mean(0) - exact) < 4 * error).all()
    inflated, deflated = (np.diag(of.mean(0)) / np.diag(exact) for of in (raw, lower))
    assert (inflated > 1.5).all() and (deflated < 0.7).all()
    # Compression of 30 coefficients by 3 noisy derivatives keeps some of the noise: see below for
    # many coefficients.
    ratios = np.diag(between.mean(0)) / np.diag(exact)
    assert (ratios > 1).all() and (ratios < 1.2).all()


def test_noise_is_told_where_it_counts():
    with pytest.warns(UserWarning, match=r"^fisher: up to \d+ % of the information is noise"):
        fisher(of_seeds(12, 0), MATRIX)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = fisher(of_seeds(12, 0, noise=0.1), MATRIX)
    ratios = np.diag(found) / np.diag(fisher(DERIVATIVES, MATRIX))
    np.testing.assert_allclose(ratios, 1, atol=0.1)


def test_the_fisher_matrix_is_that_of_the_likelihood():
    """Minus the second derivatives of the logarithm of the likelihood, by finite differences."""
    inverse, unit = np.linalg.inv(MATRIX), np.eye(PARAMETERS)

    def minus_log(parameters):
        shift = DERIVATIVES @ parameters
        return shift @ inverse @ shift / 2

    found = fisher(DERIVATIVES, MATRIX)
    for a in range(PARAMETERS):
        for b in range(PARAMETERS):
            signs = [(s, t) for s in (1, -1) for t in (1, -1)]
            corners = [s * t * minus_log(s * unit[a] + t * unit[b]) for s, t in signs]
            assert found[a, b] == pytest.approx(sum(corners) / 4, rel=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"jacobian": 3.0}, "jacobian: got an array of float64 of shape"),
        ({"jacobian": np.full((SIZE, 1), np.inf)}, "jacobian: got numbers that are not finite"),
        ({"jacobian": np.ones((4, 1))}, "covariance: got one of 30 coefficients, expected 4"),
        ({"covariance": np.ones(3)}, "covariance: got an array of float64 of shape"),
        ({"covariance": np.ones((SIZE, SIZE))}, "covariance: got a matrix that is not positive"),
        ({"covariance": np.triu(np.ones((3, 3)))}, "covariance: got a matrix that is not symm"),
        ({"covariance": -np.eye(SIZE)}, "covariance: got one without positive finite variances: c"),
        (
            {"covariance": np.diag(np.r_[np.ones(SIZE - 1), 0])},
            "covariance: got one without positive finite variances: coefficient 29$",
        ),
    ],
)
def test_bad_input_is_named(given, message):
    for function in (fisher, moped):
        with pytest.raises(ValueError, match=f"^{message}"):
            function(**{"jacobian": DERIVATIVES, "covariance": MATRIX, **given})


def test_parameters_that_are_not_told_apart_are_refused_by_moped():
    twice = np.column_stack([DERIVATIVES, DERIVATIVES @ (1 / UNITS)])
    with pytest.raises(ValueError, match="^jacobian: got a derivative by parameter 3 that is zero"):
        moped(twice, MATRIX)
    with pytest.raises(ValueError, match="^jacobian: got a derivative by parameter 1 that is zero"):
        moped(np.column_stack([np.ones(SIZE), np.zeros(SIZE)]), np.eye(SIZE))


def test_estimators_that_need_seeds_ask_for_them():
    with pytest.raises(ValueError, match="^estimator: got 'combined' for derivatives without"):
        fisher(DERIVATIVES, MATRIX, estimator="combined")
    with pytest.raises(ValueError, match="^estimator: got 'best', expected 'standard'"):
        fisher(DERIVATIVES, MATRIX, estimator="best")
    with pytest.raises(ValueError, match="^jacobian: got .*, expected the result of jacobian"):
        fisher_noise(DERIVATIVES, MATRIX)


def test_the_combined_estimator_is_right_for_many_coefficients():
    """With noise of the size of the information, by draws."""
    generator, size, count = np.random.default_rng(1), 300, 8
    derivatives = generator.normal(size=(size, 2))
    found = []
    for _ in range(40):
        each = derivatives + np.sqrt(count) * generator.normal(size=(count, size, 2))
        errors = each.std(0, ddof=1) / np.sqrt(count)
        names = tuple(map(str, range(size)))
        noisy = Jacobian(each.mean(0), errors, each, names, np.arange(count), np.zeros(2))
        found.append(fisher(noisy, np.eye(size), estimator="combined"))
    exact = derivatives.T @ derivatives
    ratios = np.diag(np.mean(found, axis=0)) / np.diag(exact)
    np.testing.assert_allclose(ratios, 1, atol=0.06)


def test_coefficients_that_follow_from_each_other_are_named():
    mixing = np.vstack([np.eye(SIZE - 1), np.eye(SIZE - 1)[4]])
    noisy = of_seeds(12, 0)._replace(names=tuple(f"S{at}" for at in range(SIZE)))
    for function in (fisher, moped, fisher_noise):
        with pytest.raises(
            ValueError, match=r"^covariance: .* of coefficients 4 \(S4\), 29 \(S29\)"
        ):
            function(noisy, mixing @ mixing.T)


def test_covariances_that_are_hardly_singular_serve():
    """As the paper of MOPED has it, in the basis in which the coefficients are independent."""
    values = np.geomspace(1e-12, 1.0, SIZE)
    vectors = np.linalg.qr(RANDOM.normal(size=(SIZE, SIZE)))[0]
    matrix = (vectors * values) @ vectors.T
    derivatives = vectors @ (np.sqrt(values)[:, None] * RANDOM.normal(size=(SIZE, 2)))
    white = vectors.T @ derivatives / np.sqrt(values)[:, None]
    np.testing.assert_allclose(fisher(derivatives, matrix), white.T @ white, rtol=1e-3)
    weights = moped(derivatives, matrix)
    np.testing.assert_allclose(weights.T @ matrix @ weights, np.eye(2), atol=1e-3)


@pytest.mark.parametrize("column", [np.zeros(SIZE), DERIVATIVES @ (1 / UNITS)])
def test_parameters_without_an_effect_of_their_own_are_told(column):
    each = of_seeds(12, 0).each
    more = np.concatenate(
        [each, (each @ (1 / UNITS) if column.any() else 0 * each[..., 0])[..., None]], 2
    )
    found = of_seeds(12, 0)._replace(values=more.mean(0), each=more, noise=np.zeros(4))
    with pytest.warns(
        UserWarning, match="^fisher: the derivative by parameter 3 is zero or follows"
    ):
        information = fisher(found, MATRIX)
    assert np.linalg.matrix_rank(information / np.abs(information).max(), tol=1e-9) <= 3
    for estimator in ("compressed", "combined"):
        with pytest.raises(
            ValueError, match="^jacobian: got a derivative by parameter 3 that is zero"
        ):
            fisher(found, MATRIX, estimator=estimator)
