"""Targets inside of gaps: the statistics of the observed part, most of all of what is near."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxscat.maps import npix_to_nside
from jaxscat.objectives.chi_square import Comparable
from jaxscat.objectives.scattering import Scattering
from jaxscat.objectives.target import finest_covariances, floored, positive
from jaxscat.operators.pyramid import Pyramid
from jaxscat.reconstruction.calibration import Calibration
from jaxscat.reconstruction.observed import Observed, check_template
from jaxscat.reconstruction.options import TermOptions
from jaxscat.reconstruction.terms import blank_target
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.errors import measure_errors

# Least sigma of a coefficient, over the root mean square of its group and scales.
_FLOOR = 0.01
# Weight of pixels that are far from all gaps, over that of a pixel inside of a wide one.
_FAR = 0.02


def surroundings(hidden: Bool[np.ndarray, " p"], reach: float | None) -> Float[np.ndarray, " p"]:
    """Return the weights with which observed pixels count in the target of gaps.

    Args:
        hidden: pixels of the gaps.
        reach: full width at half maximum in degrees of the beam that smooths the gaps; None for
            equal weights.

    Raises:
        ValueError: a reach that is no positive number.

    Source: `docs/reconstruction.md`, "Gaps".
    """
    if reach is None:
        return (~hidden).astype(np.float64)
    import healpy  # loads matplotlib, so not at import

    real = isinstance(reach, int | float | np.number) and not isinstance(reach, bool)
    if not real or not 0 < reach <= 180:
        raise ValueError(f"reach: got {reach!r}, expected degrees above 0 and up to 180, or None")
    ringed = healpy.reorder(hidden.astype(np.float64), n2r=True)
    smooth = healpy.reorder(healpy.smoothing(ringed, fwhm=np.radians(reach)), r2n=True)
    weights = np.where(hidden, 0.0, np.maximum(smooth, 0.0) + _FAR)
    return weights / weights.max()


def build_gap_terms(
    chosen: Mapping[str, TermOptions],
    observed: Observed,
    pyramid: Pyramid,
    hidden: Bool[np.ndarray, " p"],
) -> dict[str, Scattering]:
    """Build terms that measure the gaps, with targets that have no meaning yet.

    Raises:
        ValueError: a bad template.
    """
    whole = observed._replace(weights=None)
    terms = {}
    for name, options in chosen.items():
        second = None
        if name == "cross":
            second = check_template(options.template, whole, "template")
        target = blank_target(whole, pyramid, second, inside=hidden)
        terms[name] = Scattering.of(target, pyramid)
    return terms


def gap_targets(
    terms: Mapping[str, Scattering],
    hidden: Bool[np.ndarray, " p"],
    near: Float[np.ndarray, " p"],
) -> Callable[[int, Float[np.ndarray, " p"]], Calibration]:
    """Return the function from a seed and its filled map to the targets of the gaps.

    Sigmas are errors of pixels, for as many pixels as the gaps have.

    Args:
        terms: from `build_gap_terms`.
        hidden: pixels of the gaps.
        near: weights of the observed pixels, from `surroundings`.
    """
    # As many pixels with equal weights as have the same variance of a mean.
    effective = near.sum() ** 2 / np.sum(near**2)
    larger = float(np.sqrt(effective / hidden.sum()))
    outside = {name: _measured_in(term, near) for name, term in terms.items()}

    def targets(seed: int, map: Float[np.ndarray, " p"]) -> Calibration:
        mean, sigma, found = {}, {}, {}
        for name, term in terms.items():
            mean[name] = jax.tree.map(np.asarray, _quantities(outside[name], map))
            found[name] = jax.tree.map(np.asarray, _quantities(term, map))
            errors = _errors(outside[name], map)
            sigma[name] = _sigma(mean[name], errors, larger, hidden)
        return Calibration(mean, sigma, found, mean)

    return targets


def _measured_in(term: Scattering, weights: Float[np.ndarray, " p"]) -> Scattering:
    """Return a term that measures under other weights."""
    mask = jnp.asarray(weights, term.pyramid.spec.dtype)
    return eqx.tree_at(lambda term: term.target.mask, term, mask)


@jax.jit
def _quantities(term: Scattering, map: Float[Array, " p"]) -> Comparable:
    return term.measure(map)


def _errors(term: Scattering, map: Float[np.ndarray, " p"]) -> ScatteringCovariance:
    measurement = term.target.measurement(term.pyramid)
    found = measure_errors(jnp.asarray(map), measurement, "pixels")
    return jax.tree.map(np.asarray, finest_covariances(found, term.target.covariance_scales))


def _sigma(
    mean: ScatteringCovariance,
    errors: ScatteringCovariance,
    larger: float,
    hidden: Bool[np.ndarray, " p"],
) -> Any:
    """Return errors for the pixels of the gaps, of coarse scales with few of them at least so much.

    Few pixels have an error that is zero by chance, and would then rule all else.
    """
    nside = npix_to_nside(hidden.size)
    scales = mean.scales
    areas = [hidden.reshape(12 * (nside >> j) ** 2, -1).mean(axis=1).sum() for j in range(scales)]
    fewest = np.sqrt(1 / np.maximum(areas, 1.0))[:, None]

    def least(of: Any, share: float) -> np.ndarray:
        return share * np.mean(np.abs(of), axis=-1, keepdims=True) * fewest

    scaled = jax.tree.map(lambda error: error * np.asarray(larger, error.dtype), errors)
    # Of a Gaussian field the relative error is one over the root of the number for the modulus
    # (times 0.5), and the root of two over that for its square.
    raised = replace(
        scaled,
        s1=np.maximum(scaled.s1, least(mean.s1, 0.5)).astype(scaled.s1.dtype),
        s2=np.maximum(scaled.s2, least(mean.s2, np.sqrt(2))).astype(scaled.s2.dtype),
    )
    return jax.tree.map(np.asarray, positive(floored(raised, _FLOOR)))
