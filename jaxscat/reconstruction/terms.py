"""The terms of a reconstruction by their names, before they have a target."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxscat.fields.gaussian import GaussianNoise
from jaxscat.fields.noise import Noise, NoiseMaps
from jaxscat.harmonics.spectra import multipole_bins
from jaxscat.maps import seen_pixels
from jaxscat.objectives.band_power import BandPower
from jaxscat.objectives.calibrated import Fidelity, Residual
from jaxscat.objectives.scattering import Scattering
from jaxscat.objectives.target import Target, check_target, covariance_scales
from jaxscat.operators.pyramid import Pyramid
from jaxscat.reconstruction.observed import Observed, check_template
from jaxscat.reconstruction.options import TermOptions
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import build_measurement
from jaxscat.statistics.scattering import measure_coefficients

# Bins of the term "power" in an octave of multipoles; wavelets tell octaves apart.
_BINS_OF_AN_OCTAVE = 4


def build_terms(
    chosen: Mapping[str, TermOptions],
    observed: Observed,
    pyramid: Pyramid,
    noise: Noise | None,
    target: Target | None = None,
) -> dict[str, Any]:
    """Build terms whose targets have the right shapes, but no meaning yet.

    Args:
        chosen: names and options, from `check_terms`.
        observed: the data.
        pyramid: operators of the whole sphere.
        noise: of the data, for the variance of pixels.
        target: how maps are measured; None for the defaults.

    Raises:
        ValueError: a target of another pyramid, of two maps, normalized by the power of each map,
            or that sees pixels without data; a bad template; noise whose variance is not known.
    """
    scattering = _scattering(observed, pyramid, target)
    terms: dict[str, Any] = {}
    for name, options in chosen.items():
        if name == "scattering":
            terms[name] = scattering
        elif name == "cross":
            template = check_template(options.template, observed, "template")
            terms[name] = _cross(observed, pyramid, template)
        elif name == "power":
            terms[name] = _power(observed, pyramid)
        elif name == "fidelity":
            precision = pixel_precision(noise, observed)
            terms[name] = Fidelity(jnp.asarray(observed.values), jnp.asarray(precision))
        elif name == "residual":
            terms[name] = Residual(scattering, jnp.asarray(observed.values))
    return terms


def _scattering(observed: Observed, pyramid: Pyramid, target: Target | None) -> Scattering:
    if target is None:
        target = blank_target(observed, pyramid)
    else:
        check_target(target, pyramid)
        if target.second is not None:
            raise ValueError(
                "target: got one of two maps, expected one of a map alone (and the term 'cross' "
                "for a template)"
            )
        if target.normalization is not None and target.normalization.power is None:
            raise ValueError(
                "target: got one normalized by the power of each map, under which S2 is the same "
                "for all maps; expected another normalization, or None"
            )
        _check_sight(target, observed)
    return Scattering.of(target, pyramid)


def _check_sight(target: Target, observed: Observed) -> None:
    """Refuse a target that sees pixels without data."""
    if observed.weights is None:
        return
    empty = observed.weights == 0
    seen = np.ones_like(empty) if target.mask is None else seen_pixels(target.mask)
    if (seen & empty).any():
        raise ValueError(
            f"target: got one that sees {int(np.sum(seen & empty))} pixels without weight in the "
            "mask, expected make_target(..., mask=mask)"
        )


def _cross(observed: Observed, pyramid: Pyramid, template: Float[np.ndarray, " p"]) -> Scattering:
    return Scattering.of(blank_target(observed, pyramid, template), pyramid)


def blank_target(
    observed: Observed,
    pyramid: Pyramid,
    second: Float[np.ndarray, " p"] | None = None,
    inside: Bool[np.ndarray, " p"] | None = None,
) -> Target:
    """Return a target of zeros with errors of one: only its shapes matter, nothing is compiled.

    Args:
        observed: the data.
        pyramid: operators of the whole sphere.
        second: map together with which maps are measured.
        inside: pixels that count, of a map that has values everywhere; None for those with weight.
    """
    mask = _mask(observed) if inside is None else inside
    hidden: Hidden = "exclude" if inside is None else "include"
    measurement = build_measurement(pyramid, second=second, mask=mask, hidden=hidden)
    scales = covariance_scales(pyramid.spec, None)

    def measured(map: Array) -> Any:
        return measure_coefficients(map, measurement, scales)

    shapes = jax.eval_shape(measured, jnp.asarray(observed.values))
    return Target(
        mean=jax.tree.map(lambda of: np.zeros(of.shape, of.dtype), shapes),
        sigma=jax.tree.map(lambda of: np.ones(of.shape, observed.values.dtype), shapes),
        mask=measurement.mask,
        second=measurement.second,
        second_offset=measurement.second_offset,
        hidden=hidden,
        weights="balanced",
    )


def _power(observed: Observed, pyramid: Pyramid) -> BandPower:
    spec = pyramid.spec
    bins = multipole_bins(spec.nside, per_octave=_BINS_OF_AN_OCTAVE)
    return BandPower.of(spec.nside, bins, dtype=spec.dtype, weight=observed.weights)


def _mask(observed: Observed) -> Any:
    return None if observed.weights is None else observed.weights.astype(observed.values.dtype)


def pixel_precision(noise: Noise | None, observed: Observed) -> Float[np.ndarray, " p"]:
    """Return one over the variance of the noise in every pixel, zero where there are no data.

    Raises:
        ValueError: noise whose variance is not known, or zero somewhere.
    """
    if isinstance(noise, NoiseMaps):
        variance = np.mean(np.asarray(noise.maps, np.float64) ** 2, axis=0)
    elif isinstance(noise, GaussianNoise):
        levels = noise.levels()
        count = levels.size - 1
        total = np.sum((2 * np.arange(count) + 1) * levels[:-1]) / (4 * np.pi)
        total += levels[-1] * 3 * (count // 3) ** 2 / (4 * np.pi)
        square = np.asarray(noise.amplitude, np.float64) ** 2
        variance = total * square / np.mean(square)
    else:
        raise ValueError(f"noise: got {type(noise).__name__}, whose variance is not known")
    variance = np.broadcast_to(variance, observed.values.shape)
    seen = np.full(variance.shape, True) if observed.weights is None else observed.weights > 0
    silent = int(np.sum(seen & (variance <= 0)))
    if silent:
        raise ValueError(
            f"noise: got realizations of zero in {silent} pixels, expected some noise in all that "
            "have data (and a mask for the others)"
        )
    precision = np.divide(1, variance, out=np.zeros(variance.shape), where=seen)
    return precision.astype(observed.values.dtype)
