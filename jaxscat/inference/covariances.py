"""The covariance of simulated vectors, and its inverse without the bias of few simulations."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.inference.storage import Simulations
from jaxscat.maps import check_flag, describe, to_numpy


class Covariance(NamedTuple):
    """A covariance estimated from simulations.

    Attributes:
        matrix: the estimate, shrunk if that was asked for.
        precision: its inverse times `hartlap`, the estimate of the inverse covariance.
        mean: of the vectors.
        hartlap: factor that makes the inverse of a sample covariance unbiased; 1 after shrinkage,
            whose inverse has no known bias to correct.
        condition: largest over smallest eigenvalue of the correlation matrix.
        shrinkage: weight of the diagonal in `matrix`, from 0 to 1.
        simulations: number of vectors.
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
            numbers that are not finite, or a coefficient that is the same in all simulations.

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
    still = np.flatnonzero(~(spread > 4 * np.finfo(float).eps * np.abs(mean)))
    if still.size:
        names = vectors.names if isinstance(vectors, Simulations) else None
        which = f"{still[0]}" if names is None else f"{still[0]} ({names[still[0]]})"
        raise ValueError(
            f"vectors: got coefficient {which} the same in all simulations, expected it left out"
        )
    scaled = (values - mean) / spread
    correlation = scaled.T @ scaled / (count - 1)
    weight = _ledoit_wolf(scaled) if shrinkage else 0.0
    correlation = (1 - weight) * correlation + weight * np.eye(size)
    eigenvalues = scipy.linalg.eigvalsh(correlation)
    # What rounding of the vectors adds to the eigenvalues.
    floor = size * (rounding * np.abs(mean) / spread).max() ** 2 + size * np.finfo(float).eps
    if eigenvalues[0] < floor:
        warnings.warn(
            "covariance: some combination of coefficients scatters no more than rounding (smallest "
            f"eigenvalue of the correlations {eigenvalues[0]:.1g}, of rounding {floor:.1g}), and "
            "its inverse is not to be trusted; leave redundant coefficients out (as to_vector "
            "does), measure in float64, or use shrinkage=True",
            stacklevel=2,
        )
    hartlap = 1.0 if shrinkage else (count - size - 2) / (count - 1)
    precision = hartlap * _inverse(correlation) / np.outer(spread, spread)
    return Covariance(
        matrix=correlation * np.outer(spread, spread),
        precision=precision,
        mean=mean,
        hartlap=hartlap,
        condition=float(eigenvalues[-1] / max(eigenvalues[0], np.finfo(float).tiny)),
        shrinkage=weight,
        simulations=count,
    )


def precision_of(given: Any, size: int | None = None) -> Float[np.ndarray, "n n"]:
    """Return the inverse of a covariance that is given as `Covariance` or as a matrix.

    Raises:
        ValueError: it is no symmetric positive definite matrix, or not of `size` coefficients.
    """
    if isinstance(given, Covariance):
        precision = given.precision
    else:
        matrix = to_numpy(given, name="covariance")
        square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size
        if matrix.dtype.kind not in "iuf" or not square:
            raise ValueError(
                f"covariance: got {describe(matrix)}, expected what covariance() returns, or a "
                "square matrix"
            )
        matrix = matrix.astype(np.float64)
        spread = np.sqrt(np.maximum(np.diag(matrix), 0))
        if not np.isfinite(matrix).all() or not (spread > 0).all():
            raise ValueError("covariance: got one without positive finite variances")
        scaled = matrix / np.outer(spread, spread)
        if np.abs(scaled - scaled.T).max() > 1e-6:
            raise ValueError("covariance: got a matrix that is not symmetric")
        try:
            precision = _inverse(scaled) / np.outer(spread, spread)
        except np.linalg.LinAlgError:
            raise ValueError(
                "covariance: got a matrix that is not positive definite, expected one that is"
            ) from None
    if size is not None and len(precision) != size:
        raise ValueError(
            f"covariance: got one of {len(precision)} coefficients, expected {size} as the "
            "jacobian has"
        )
    return precision


def _inverse(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Return the symmetric inverse of a positive definite matrix."""
    factor = scipy.linalg.cho_factor(matrix)
    inverse = scipy.linalg.cho_solve(factor, np.eye(len(matrix)))
    return (inverse + inverse.T) / 2


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
