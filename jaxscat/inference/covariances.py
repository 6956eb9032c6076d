"""The covariance of simulated vectors, and its inverse without the bias of few simulations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxscat.inference.storage import Simulations
from jaxscat.maps import check_flag, describe, to_numpy

# Coefficients with less of a combination than this share of the largest part are not named.
_PART = 0.1
_LISTED = 8


class Covariance(NamedTuple):
    """A covariance estimated from simulations, as `covariance` returns it, in float64.

    Attributes:
        matrix: the estimate, shrunk if that was asked for.
        precision: its inverse times `hartlap`, the estimate of the inverse covariance.
        mean: of the vectors.
        hartlap: factor that makes the inverse of a sample covariance unbiased; 1 after shrinkage,
            whose inverse has no known bias to correct.
        condition: largest over smallest eigenvalue of the correlation matrix.
        shrinkage: weight of the diagonal in `matrix`, from 0 to 1.
        simulations: number of vectors.

    Source: `docs/inference.md`, "Covariance".
    """

    matrix: Float[np.ndarray, "n n"]
    precision: Float[np.ndarray, "n n"]
    mean: Float[np.ndarray, " n"]
    hartlap: float
    condition: float
    shrinkage: float
    simulations: int


def covariance(vectors: ArrayLike | Simulations, *, shrinkage: bool = False) -> Covariance:
    """Estimate the covariance of vectors and its inverse.

    Warns where coefficients depend on each other within the rounding of the vectors, so that the
    inverse amplifies that.

    Args:
        vectors: `[simulation, coefficient]`, or what `measure_many` returns.
        shrinkage: whether to mix the correlation matrix with the unit matrix, by the weight of
            Ledoit & Wolf. Needed for no more simulations than coefficients and two; then errors
            of parameters from `precision` are no longer unbiased.

    Raises:
        ValueError: no more simulations than coefficients and two (two simulations with shrinkage),
            numbers that are not finite, or coefficients that are the same in all simulations or
            follow from each other, which are named.

    Examples:
        >>> import numpy as np
        >>> from jaxscat.inference import covariance
        >>> found = covariance(np.random.default_rng(0).normal(size=(100, 9)))
        >>> round(found.hartlap, 4)
        0.899

    Source: Hartlap et al. 2007, A&A 464, 399, equation 17; Ledoit & Wolf 2004, J. Multivar. Anal.
    88, 365, section 3.3; `docs/inference.md`, "Covariance".
    """
    check_flag(shrinkage, "shrinkage")
    values, rounding = _check_vectors(vectors)
    count, size = values.shape
    if count < 3:
        raise ValueError(f"vectors: got {count} simulations, expected three or more")
    if not shrinkage and count <= size + 2:
        raise ValueError(
            f"vectors: got {count} simulations of {size} coefficients, expected at least "
            f"{size + 3} for a covariance that can be inverted; use fewer coefficients, more "
            "simulations or shrinkage=True"
        )
    mean = values.mean(0)
    spread = values.std(0, ddof=1)
    names = vectors.names if isinstance(vectors, Simulations) else None
    still = np.flatnonzero(~(spread > 4 * rounding * np.abs(mean)))
    if still.size:
        raise ValueError(
            f"vectors: got the same in all simulations (within rounding) for "
            f"{list_coefficients(still, names)}, expected coefficients that scatter: leave these "
            "out, as a Summary of other groups does"
        )
    scaled = (values - mean) / spread
    correlation = scaled.T @ scaled / (count - 1)
    weight = _ledoit_wolf(scaled) if shrinkage else 0.0
    correlation = (1 - weight) * correlation + weight * np.eye(size)
    eigenvalues = scipy.linalg.eigvalsh(correlation)
    # What rounding of the vectors adds to the eigenvalues.
    floor = size * (rounding * np.abs(mean) / spread).max() ** 2 + size * np.finfo(float).eps
    hartlap = 1.0 if shrinkage else (count - size - 2) / (count - 1)
    root = _inverse_root(correlation)
    if root is None:
        raise ValueError(
            "vectors: got coefficients that follow from each other: "
            f"{list_coefficients(redundant(correlation), names)}, expected independent ones: leave "
            "redundant ones out (a Summary, or to_vector of coefficients, has none), use fewer, or "
            f"more simulations{'' if shrinkage else ', or shrinkage=True'}"
        )
    if eigenvalues[0] < floor:
        warnings.warn(
            "covariance: some combination of coefficients scatters no more than rounding (smallest "
            f"eigenvalue of the correlations {eigenvalues[0]:.1g}, of rounding {floor:.1g}), and "
            "its inverse is not to be trusted: "
            f"{list_coefficients(redundant(correlation), names)}; leave redundant coefficients out "
            "(as to_vector does), measure in float64, or use shrinkage=True",
            stacklevel=2,
        )
    precision = hartlap * (root @ root.T) / np.outer(spread, spread)
    return Covariance(
        matrix=correlation * np.outer(spread, spread),
        precision=precision,
        mean=mean,
        hartlap=hartlap,
        condition=float(eigenvalues[-1] / max(eigenvalues[0], np.finfo(float).tiny)),
        shrinkage=weight,
        simulations=count,
    )


def precision_of(
    given: Any, size: int, names: Sequence[str] | None = None
) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n n"]]:
    """Return the inverse of a covariance, and a root whose product with its transpose that is.

    Args:
        given: a `Covariance`, or a matrix.
        size: number of coefficients that it has to have.
        names: of the coefficients, for messages.

    Raises:
        ValueError: it is no symmetric positive definite matrix, or not of `size` coefficients.
    """
    if isinstance(given, Covariance):
        matrix, precision, factor = given.matrix, given.precision, given.hartlap
        spread = np.sqrt(np.diag(matrix))
    else:
        precision, factor = None, 1.0
        matrix = to_numpy(given, name="covariance")
        square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size
        if matrix.dtype.kind not in "iuf" or not square:
            raise ValueError(
                f"covariance: got {describe(matrix)}, expected what covariance() returns, or a "
                "square matrix"
            )
        matrix = matrix.astype(np.float64)
        spread = np.sqrt(np.maximum(np.diag(matrix), 0))
        still = np.flatnonzero(~(np.isfinite(matrix).all(axis=0) & (spread > 0)))
        if still.size:
            raise ValueError(
                "covariance: got one without positive finite variances: "
                f"{list_coefficients(still, names if len(matrix) == size else None)}"
            )
        scaled = matrix / np.outer(spread, spread)
        if np.abs(scaled - scaled.T).max() > 1e-6:
            raise ValueError("covariance: got a matrix that is not symmetric")
    if len(matrix) != size:
        raise ValueError(
            f"covariance: got one of {len(matrix)} coefficients, expected {size} as the "
            "jacobian has"
        )
    correlation = matrix / np.outer(spread, spread)
    root = _inverse_root(correlation)
    if root is None:
        raise ValueError(
            "covariance: got a matrix that is not positive definite (within rounding), because of "
            f"{list_coefficients(redundant(correlation), names)}, expected independent "
            "coefficients: use fewer of them (a Summary has no redundant ones), more simulations, "
            "or covariance(..., shrinkage=True)"
        )
    root = np.sqrt(factor) * root / spread[:, None]
    return root @ root.T if precision is None else precision, root


def redundant(correlation: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " k"]:
    """Return which coefficients are part of the combination that scatters least of all."""
    combination = np.abs(np.linalg.eigh(correlation)[1][:, 0])
    return np.flatnonzero(combination > _PART * combination.max())


def list_coefficients(which: Sequence[int] | np.ndarray, names: Sequence[str] | None) -> str:
    """Return coefficients by their positions and names, for messages; no more than eight."""
    listed = [f"{at}" if names is None else f"{at} ({names[at]})" for at in which[:_LISTED]]
    more = len(which) - len(listed)
    rest = f" and {more} more" if more else ""
    return f"coefficient{'s' * (len(which) > 1)} {', '.join(listed)}{rest}"


def _inverse_root(correlation: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"] | None:
    """Return a root of the inverse of a matrix of unit diagonal; None of a singular one."""
    # Rounding can make a singular matrix positive definite.
    if scipy.linalg.eigvalsh(correlation)[0] <= len(correlation) * np.finfo(float).eps:
        return None
    lower = scipy.linalg.cholesky(correlation, lower=True)
    return scipy.linalg.solve_triangular(lower, np.eye(len(lower)), lower=True).T


def _ledoit_wolf(scaled: Float[np.ndarray, "simulation n"]) -> float:
    """Return the weight of the unit matrix for vectors of mean zero and unit variances.

    Source: Ledoit & Wolf 2004, J. Multivar. Anal. 88, 365, section 3.3.
    """
    count, size = scaled.shape
    sample = scaled.T @ scaled / count
    scale = np.trace(sample) / size
    distance = ((sample - scale * np.eye(size)) ** 2).sum()
    # The sum over simulations of |x x^T - sample|^2, without forming the outer products.
    error = ((scaled**2).sum(1) ** 2).sum() / count**2 - (sample**2).sum() / count
    return 1.0 if distance == 0 else float(np.clip(error / distance, 0, 1))


def _check_vectors(vectors: Any) -> tuple[Float[np.ndarray, "simulation n"], float]:
    """Return the vectors in float64, and the rounding of the type in which they came."""
    given = vectors.vectors if isinstance(vectors, Simulations) else vectors
    array = to_numpy(given, name="vectors")
    if array.dtype.kind != "f" or array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"vectors: got {describe(array)}, expected real numbers [simulation, coefficient]"
        )
    bad = (~np.isfinite(array)).sum()
    if bad:
        raise ValueError(f"vectors: got {bad} numbers that are not finite, expected finite ones")
    return array.astype(np.float64), float(np.finfo(array.dtype).eps)
