"""Differences between the scattering covariances of a map and the original."""

import jax
import numpy as np
from jaxtyping import Float

from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.measurement import Measurement
from jaxscat.statistics.scattering import measure_coefficients


def measure_on_host(map: Float[np.ndarray, " p"], measurement: Measurement) -> ScatteringCovariance:
    """Measure a map of the whole sphere, returned as NumPy arrays; of a patch, its pixels count."""
    spec = measurement.pyramid.spec
    if spec.cell_count is not None:
        map = map[measurement.pyramid.pixels(spec.own_scale)]
    # Given in float64: a large mean is taken off before the map is rounded.
    statistics = measure_coefficients(map, measurement)
    return jax.tree.map(np.asarray, statistics)


def relative_errors(
    statistics: ScatteringCovariance, target: ScatteringCovariance
) -> dict[str, float]:
    """Return the rms difference over the rms of the target, for each of S1, S2, S3, S4.

    Source: `docs/conventions.md`, "Validation".
    """
    errors = {}
    for name in ("s1", "s2", "s3", "s4"):
        wanted = np.asarray(getattr(target, name))
        difference = np.asarray(getattr(statistics, name)) - wanted
        errors[name.upper()] = float(_rms(difference) / _rms(wanted))
    return errors


def scattering_error(statistics: ScatteringCovariance, target: ScatteringCovariance) -> float:
    """Return the mean squared difference of S1 over the mean square of the target's S1.

    It is the square of the S1 entry of `relative_errors`, and kept for comparison with the
    reference experiment; a Gaussian map improves it nearly as much as a synthesis does.

    Source: `docs/conventions.md`, "Validation".
    """
    return relative_errors(statistics, target)["S1"] ** 2


def by_scale(statistics: ScatteringCovariance, name: str) -> Float[np.ndarray, " scales"]:
    """Return one value of a group for every scale: what curves against the scale show.

    S1 and S2 are means over orientations; S3 and S4 are root mean square moduli over all
    coefficients of a scale j3, NaN where they are not measured. With several masks, those of the
    first.

    Args:
        statistics: coefficients of a map.
        name: "S1" to "S4".
    """
    masks = statistics.s0.ndim - 1
    group = np.asarray(statistics.groups()[name])
    group = group[0] if masks else group
    if name in ("S1", "S2"):
        return group.astype(np.float64).mean(axis=-1)
    entries = statistics.pairs if name == "S3" else statistics.triples
    coarsest = np.array([entry[-1] for entry in entries])
    square = np.square(np.abs(group), dtype=np.float64).reshape(len(group), -1).mean(axis=1)
    of_scales = [square[coarsest == j] for j in range(statistics.scales)]
    return np.array([np.sqrt(of.mean()) if of.size else np.nan for of in of_scales])


def _rms(values: np.ndarray) -> np.floating:
    # In float64: squares of small coefficients underflow in float32.
    return np.sqrt(np.mean(np.square(np.abs(values), dtype=np.float64)))
