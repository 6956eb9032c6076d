"""Fisher matrices of parameters, and compression that keeps them."""

from __future__ import annotations

import warnings
from typing import Any, Literal, get_args

import numpy as np
import scipy.linalg
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.inference.covariances import Covariance, precision_of
from jaxscat.inference.derivatives import Jacobian
from jaxscat.maps import check_kind, describe, to_numpy

Estimator = Literal["standard", "compressed", "combined"]
# Share of noise in a Fisher matrix above which it is worth a warning.
_NOISE = 0.05
_SAME_EFFECT = (
    "jacobian: got a derivative by parameter {} that is zero or follows from those before, "
    "expected independent parameters: leave out what has no effect of its own on the summary"
)


def fisher(
    jacobian: Jacobian | ArrayLike,
    covariance: Covariance | ArrayLike,
    *,
    estimator: Estimator = "standard",
) -> Float[np.ndarray, "parameter parameter"]:
    """Return the Fisher matrix of parameters, from the derivatives of the mean of a summary.

    The covariance is taken not to depend on the parameters, and the likelihood of the summary as
    Gaussian; of exact derivatives the matrix is a lower bound of the information in the maps.
    Noise of the derivatives makes it too large, parameters by chance distinguishable; if the
    derivatives of the seeds are there, that is estimated, and above 5 % in any direction warned of.

    Args:
        jacobian: from `jacobian`, or derivatives `[coefficient, parameter]`.
        covariance: from `covariance`, with its Hartlap factor, or a matrix that is inverted as it
            is.
        estimator: "standard" uses all seeds twice, and noise makes it too large. "compressed"
            compresses with half the seeds and differentiates with the other half, which makes it
            too small. "combined" is the geometric mean of that and of the standard one of the
            halves, near the truth for many more coefficients than parameters.

    Raises:
        ValueError: shapes that do not match, a covariance that is not positive definite, or another
            estimator than "standard" without the derivatives of four seeds, or of parameters whose
            derivatives are not independent (of which "standard" warns).

    Examples:
        >>> import numpy as np
        >>> from jaxscat.inference import fisher
        >>> fisher([[1.0], [2.0]], [[1.0, 0.0], [0.0, 4.0]]).item()
        2.0

    Source: Tegmark, Taylor & Heavens 1997, ApJ 480, 22, equation 15; Coulton & Wandelt 2023,
    arXiv:2305.08994; `docs/inference.md`, "Fisher matrix".
    """
    if estimator not in get_args(Estimator):
        raise ValueError(
            f"estimator: got {estimator!r}, expected 'standard', 'compressed' or 'combined'"
        )
    values, precision, root = _check_both(jacobian, covariance)
    standard = _symmetric(values.T @ precision @ values)
    lost = _not_told_apart(root.T @ values)
    if estimator == "standard":
        if lost is not None:
            warnings.warn(
                f"fisher: the derivative by parameter {lost} is zero or follows from those before: "
                "the matrix has no inverse; leave parameters without an effect of their own out, "
                "or add a prior",
                stacklevel=2,
            )
        elif isinstance(jacobian, Jacobian):
            _warn_of_noise(standard, fisher_noise(jacobian, covariance))
        return standard
    if not isinstance(jacobian, Jacobian) or len(jacobian.each) < 4:
        raise ValueError(
            f"estimator: got {estimator!r} for derivatives without those of four seeds, expected "
            "'standard', or the result of jacobian()"
        )
    if lost is not None:
        raise ValueError(_SAME_EFFECT.format(lost))
    compressed = _compressed(jacobian.each, precision)
    if estimator == "compressed":
        return compressed
    # Of as many seeds as the compressed one: its noise is then what the other lacks.
    halves = (half.mean(0) for half in (jacobian.each[::2], jacobian.each[1::2]))
    each = [_symmetric(half.T @ precision @ half) for half in halves]
    return _geometric_mean((each[0] + each[1]) / 2, compressed)


def fisher_noise(
    jacobian: Jacobian, covariance: Covariance | ArrayLike
) -> Float[np.ndarray, "parameter parameter"]:
    """Return by how much noise of the derivatives makes the Fisher matrix too large, on average.

    Args:
        jacobian: from `jacobian`.
        covariance: as for `fisher`.

    Raises:
        ValueError: as `fisher`, or derivatives without those of the seeds.

    Source: `docs/inference.md`, "Fisher matrix".
    """
    check_kind(jacobian, Jacobian, "jacobian", "the result of jacobian(), with all seeds")
    values, precision, _ = _check_both(jacobian, covariance)
    deviations = jacobian.each - values
    count = len(deviations)
    products = np.einsum("sia,ij,sjb->ab", deviations, precision, deviations, optimize=True)
    return _symmetric(products / (count * (count - 1)))


def moped(
    jacobian: Jacobian | ArrayLike, covariance: Covariance | ArrayLike
) -> Float[np.ndarray, "coefficient parameter"]:
    """Return one weighting vector for each parameter, of which the products keep all information.

    `vectors @ moped(jacobian, covariance)` are as many numbers as parameters, uncorrelated and of
    unit variance (of the covariance that is the inverse of `precision`), with the Fisher matrix of
    all coefficients. Number `i` does not respond to the parameters before `i`.

    Args:
        jacobian, covariance: as for `fisher`.

    Raises:
        ValueError: as `fisher`, or parameters whose derivatives are not independent.

    Examples:
        >>> import numpy as np
        >>> from jaxscat.inference import fisher, moped
        >>> derivatives = np.random.default_rng(0).normal(size=(5, 2))
        >>> weights = moped(derivatives, np.eye(5))
        >>> kept = fisher(weights.T @ derivatives, weights.T @ weights)
        >>> bool(np.allclose(kept, fisher(derivatives, np.eye(5))))
        True

    Source: Heavens, Jimenez & Lahav 2000, MNRAS 317, 965, equations 11 and 14;
    `docs/inference.md`, "Compression".
    """
    values, _, root = _check_both(jacobian, covariance)
    white = root.T @ values  # derivatives of uncorrelated numbers of unit variance
    lost = _not_told_apart(white)
    if lost is not None:
        raise ValueError(_SAME_EFFECT.format(lost))
    # Gram and Schmidt's directions, by reflections, which are stable.
    directions, components = np.linalg.qr(white)
    return root @ (directions * np.sign(np.diag(components)))


def _not_told_apart(white: Float[np.ndarray, "coefficient parameter"]) -> int | None:
    """Return the first parameter whose derivative is zero or follows from those before, or None.

    Args:
        white: derivatives of uncorrelated numbers of unit variance.
    """
    lengths = np.linalg.norm(white, axis=0)
    kept = np.abs(np.diag(np.linalg.qr(white)[1]))
    lost = np.flatnonzero(~(kept > 1e-7 * lengths[: kept.size]))
    if lost.size:
        return int(lost[0])
    return kept.size if kept.size < lengths.size else None


def _check_both(
    jacobian: Any, covariance: Any
) -> tuple[
    Float[np.ndarray, "coefficient parameter"], Float[np.ndarray, "n n"], Float[np.ndarray, "n n"]
]:
    """Return derivatives, precision and a root of it in float64.

    Raises:
        ValueError: as `fisher`.
    """
    given = jacobian.values if isinstance(jacobian, Jacobian) else jacobian
    values = to_numpy(given, name="jacobian")
    if values.dtype.kind not in "iuf" or values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"jacobian: got {describe(values)}, expected what jacobian() returns, or real numbers "
            "[coefficient, parameter]"
        )
    if not np.isfinite(values).all():
        raise ValueError("jacobian: got numbers that are not finite, expected finite ones")
    names = jacobian.names if isinstance(jacobian, Jacobian) else None
    return values.astype(np.float64), *precision_of(covariance, len(values), names)


def _compressed(
    each: Float[np.ndarray, "seed coefficient parameter"], precision: Float[np.ndarray, "n n"]
) -> Float[np.ndarray, "parameter parameter"]:
    """Return the mean Fisher matrix of compression by one half of the seeds, seen by the other."""
    halves = each[::2].mean(0), each[1::2].mean(0)
    found = np.zeros((each.shape[2],) * 2)
    for weighing, seen in (halves, halves[::-1]):
        scatter = weighing.T @ precision @ weighing
        derivative = weighing.T @ precision @ seen
        found += derivative.T @ np.linalg.solve(scatter, derivative) / 2
    return _symmetric(found)


def _geometric_mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the geometric mean of two positive definite matrices."""
    values, vectors = scipy.linalg.eigh(other, one)  # other = one V diag V^-1
    inverse = np.linalg.inv(vectors)
    return _symmetric(one @ (vectors * np.sqrt(np.maximum(values, 0))) @ inverse)


def _warn_of_noise(standard: np.ndarray, noise: np.ndarray) -> None:
    try:
        share = float(scipy.linalg.eigvalsh(noise, standard)[-1])
    except np.linalg.LinAlgError:  # parameters that are hardly told apart, of which fisher warns
        return
    if share > _NOISE:
        warnings.warn(
            f"fisher: up to {100 * min(share, 1):.2g} % of the information is noise of the "
            "derivatives, which makes errors of parameters too small; use more seeds, or "
            "estimator='combined'",
            stacklevel=3,
        )


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2
