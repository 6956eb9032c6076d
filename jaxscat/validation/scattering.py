"""Differences between the scattering covariances of a map and the original."""

from dataclasses import replace

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.measurement import Measurement
from jaxscat.statistics.scattering import measure_coefficients

# Spreads up to here, and down to its inverse, have squares and their products in float32.
_LARGE = 1e8
GROUPS = ("S1", "S2", "S3", "S4")


def measure_on_host(map: Float[np.ndarray, " p"], measurement: Measurement) -> ScatteringCovariance:
    """Measure a map of the whole sphere, returned as NumPy arrays; of a patch, its pixels count.

    Numbers whose squares float32 cannot hold, such as column densities in cm-2, are measured in
    another unit and returned in float64, in that of the map.
    """
    spec = measurement.pyramid.spec
    if spec.cell_count is not None:
        map = map[measurement.pyramid.pixels(spec.own_scale)]
    unit = _unit_of(map, measurement)
    # Given in float64: a large mean is taken off before the map is rounded.
    statistics = jax.tree.map(np.asarray, measure_coefficients(map / unit, measurement))
    if unit == 1.0:
        return statistics
    scaled = {
        name.lower(): group.astype(np.result_type(group, np.float64))
        * (unit if name in ("S0", "S1") else unit**2)
        for name, group in statistics.groups().items()
    }
    return replace(statistics, **scaled)


def _unit_of(map: Float[np.ndarray, " p"], measurement: Measurement) -> float:
    """Return 1, or a power of two near the spread of a map if that is very large or small."""
    weights = measurement.mask
    shown = map if weights is None else map[np.atleast_2d(weights).any(axis=0)]
    spread = float(np.std(shown)) if shown.size else 0.0
    if not 0.0 < spread < np.inf or 1 / _LARGE < spread < _LARGE:
        return 1.0
    return float(2.0 ** np.round(np.log2(spread)))


def relative_errors(
    statistics: ScatteringCovariance,
    target: ScatteringCovariance,
    *,
    of: ScatteringCovariance | None = None,
) -> dict[str, float]:
    """Return the rms difference over the rms of the target, for each of S1, S2, S3, S4.

    With `of` given, the differences are over the rms of that instead.

    Source: `docs/conventions.md`, "Validation".
    """
    base = (target if of is None else of).groups()
    first, second = statistics.groups(), target.groups()
    return {
        name: float(
            _rms(np.asarray(first[name]) - np.asarray(second[name])) / _rms(np.asarray(base[name]))
        )
        for name in GROUPS
    }


def errors_by_scale(
    statistics: ScatteringCovariance,
    target: ScatteringCovariance,
    *,
    of: ScatteringCovariance | None = None,
) -> dict[str, Float[np.ndarray, " scales"]]:
    """Return the errors of `relative_errors` for every scale, of S3 and S4 the coarsest, j3.

    NaN where nothing is measured. With several masks, of the first.

    Source: `docs/conventions.md`, "Validation".
    """
    base = target if of is None else of
    found = {}
    for name in GROUPS:
        one, two, whole = (_of_first_mask(s, name) for s in (statistics, target, base))
        coarsest = _coarsest(target, name)
        of_scales = []
        for j in range(target.scales):
            at = coarsest == j
            error = _rms(one[at] - two[at]) / _rms(whole[at]) if at.any() else np.nan
            of_scales.append(float(error))
        found[name] = np.array(of_scales)
    return found


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
    group = _of_first_mask(statistics, name)
    if name in ("S1", "S2"):
        return group.astype(np.float64).mean(axis=-1)
    coarsest = _coarsest(statistics, name)
    square = np.square(np.abs(group), dtype=np.float64).reshape(len(group), -1).mean(axis=1)
    of_scales = [square[coarsest == j] for j in range(statistics.scales)]
    return np.array([np.sqrt(of.mean()) if of.size else np.nan for of in of_scales])


def _of_first_mask(statistics: ScatteringCovariance, name: str) -> np.ndarray:
    group = np.asarray(statistics.groups()[name])
    return group[0] if statistics.s0.ndim > 1 else group


def _coarsest(statistics: ScatteringCovariance, name: str) -> Int[np.ndarray, " entries"]:
    """Return the coarsest scale of every entry of a group."""
    if name in ("S1", "S2"):
        return np.arange(statistics.scales)
    entries = statistics.pairs if name == "S3" else statistics.triples
    return np.array([entry[-1] for entry in entries], dtype=np.int64)


def _rms(values: np.ndarray) -> np.floating:
    # In float64: squares of small coefficients underflow in float32.
    return np.sqrt(np.mean(np.square(np.abs(values), dtype=np.float64)))
