"""How far the scattering covariances of a map are from those of the original."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.scattering import measure


def measure_on_host(map: Any, pyramid: Pyramid, mask: Any = None) -> ScatteringCovariance:
    """The scattering covariances of a map [p] in the pyramid's precision, as NumPy arrays."""
    dtype = pyramid.spec.dtype
    weights = None if mask is None else jnp.asarray(mask, dtype=dtype)
    statistics = measure(jnp.asarray(map, dtype=dtype), pyramid, mask=weights)
    return jax.tree.map(np.asarray, statistics)


def relative_errors(
    statistics: ScatteringCovariance, target: ScatteringCovariance
) -> dict[str, float]:
    """Root mean square of the difference over that of the target, for each of S1, S2, S3, S4.

    Source: `docs/conventions.md`, "Validation".
    """
    errors = {}
    for name in ("s1", "s2", "s3", "s4"):
        wanted = np.asarray(getattr(target, name))
        difference = np.asarray(getattr(statistics, name)) - wanted
        errors[name.upper()] = float(_rms(difference) / _rms(wanted))
    return errors


def scattering_error(statistics: ScatteringCovariance, target: ScatteringCovariance) -> float:
    """Mean squared difference of S1 over the mean square of the target's S1.

    The square of the S1 entry of `relative_errors`. It is kept for its name in the reference
    experiment; a Gaussian map improves it nearly as much as a synthesis does.

    Source: `docs/conventions.md`, "Validation".
    """
    return relative_errors(statistics, target)["S1"] ** 2


def _rms(values: np.ndarray) -> np.floating:
    # In float64: coefficients of weak maps squared leave the range of float32.
    return np.sqrt(np.mean(np.square(np.abs(values), dtype=np.float64)))
