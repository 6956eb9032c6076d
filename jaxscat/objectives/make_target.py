"""The target of a synthesis from the coefficients of a map, or of several, and their errors."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.io.pixel_order import warn_of_ring
from jaxscat.objectives.target import (
    GroupWeights,
    Normalization,
    PowerLike,
    Target,
    covariance_scales,
    finest_covariances,
    floored,
    positive,
)
from jaxscat.objectives.target_checks import (
    check_choices,
    check_varying,
    given_normalization,
    left_scales,
    refuse_statistics,
)
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.checks import prepare_mask
from jaxscat.statistics.ensembles import mean_and_scatter, root_mean_square
from jaxscat.statistics.errors import measure_errors
from jaxscat.statistics.hidden import Hidden, check_hidden
from jaxscat.statistics.measurement import Mask, MaskLike, Measurement, build_measurement
from jaxscat.statistics.moments import ErrorFormula
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.power import measure_power
from jaxscat.statistics.reduction import Reduction
from jaxscat.statistics.scattering import measure_coefficients

SigmaSource = Literal["pixels", "foscat", "ensemble"]


def make_target(
    map: Float[ArrayLike, "*maps p"],
    pyramid: Pyramid,
    *,
    second: Float[ArrayLike, " p"] | None = None,
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    both_triangles: bool = False,
    sigma: SigmaSource = "pixels",
    sigma_floor: float = 0.01,
    coarsest_nside: int | None = None,
    weights: GroupWeights = "balanced",
    normalization: Literal["own", "target"] | PowerLike | tuple[PowerLike, PowerLike] | None = None,
    reduction: Reduction | None = None,
    alignment: Alignment | None = None,
) -> Target:
    """Make the target of a synthesis from one map or several, or from two measured together.

    Args:
        map: real NESTED map, not constant; or several, `[n p]`, whose mean coefficients count.
            Each of them is normalized and reduced for itself.
        pyramid: operators for its nside.
        second: the map together with which `map`, and every map compared with the target, is
            measured.
        mask: weights of the pixels in all means, also of every map compared with the target.
        mask_threshold: as for `measure`.
        hidden: as for `measure`, also of every map compared with the target: pixels of weight zero
            do not enter the loss, and its derivatives by them are exactly zero.
        both_triangles: as for `measure`.
        sigma: "pixels", standard errors with pixels taken as independent; "foscat", the formula
            of the FOSCAT package; both of one map, of several the root of their mean square;
            "ensemble", the standard deviation from map to map.
        sigma_floor: least sigma of a coefficient, in units of the root mean square of sigma over
            the orientations of the same group and scales.
        coarsest_nside: S3 and S4 count only at scales whose grid has at least this nside; None
            for 8 (or the finest grid, where that is coarser), 1 for all; hidden="interior" may
            leave fewer. On coarser grids they are so many beside the pixels that new maps become
            copies of the original.
        weights: "balanced" gives every group a fixed share of the loss; "plain" counts every
            coefficient alike, so that S4 has nine tenths of it. FOSCAT's loss is "plain", with
            `sigma="foscat"`, `sigma_floor=0` and `coarsest_nside=1`.
        normalization: what coefficients (and sigma) are divided by: "own", every map's own power,
            which leaves S2 of one map without information; "target", the (mean) power of `map`; or
            S2 of a reference (a pair of such for two maps); None divides by nothing.
        reduction: combination of orientations, such as `IsotropicMean()`.
        alignment: as for `measure`.

    Returns:
        target in the type of the pyramid.

    Raises:
        ValueError: bad maps or masks (as `measure`), a constant map, an unknown sigma, weighting
            or normalization, a floor that is not from 0 up to 1, sigma "ensemble" of fewer than
            two maps, a coefficient whose sigma is zero, no scale as fine as `coarsest_nside`, or
            one at which hidden pixels leave too little.

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(16)
        >>> map = np.random.default_rng(0).gamma(2.0, size=3072)  # any NESTED map
        >>> target = jaxscat.make_target(map, pyramid)
        >>> target.mean.s4.shape, target.covariance_scales  # S4 at nside 16 and 8 only
        ((4, 4, 4, 4), 2)
        >>> every_scale = jaxscat.make_target(map, pyramid, coarsest_nside=1, weights="plain")
        >>> every_scale.covariance_scales
        5

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Objective".
    """
    refuse_statistics(map)
    check_choices(sigma, sigma_floor, weights, reduction)
    spec = check_pyramid(pyramid)
    scales = covariance_scales(spec, coarsest_nside)
    seen = prepare_mask(mask, spec)
    check_hidden(hidden, seen)
    if hidden == "include":
        seen = None  # every pixel is read
    several = np.ndim(map) == 2 or sigma == "ensemble"
    maps = (
        _check_maps(map, spec, sigma, seen) if several else [check_varying(map, spec, "map", seen)]
    )
    if spec.cells is None:
        warn_of_ring(maps[0], "map")
    other = None if second is None else check_varying(second, spec, "second", seen)
    measurement = build_measurement(
        pyramid,
        second=other,
        mask=mask,
        mask_threshold=mask_threshold,
        hidden=hidden,
        both_triangles=both_triangles,
        alignment=alignment,
    )
    scales = left_scales(scales, measurement, coarsest_nside)
    divisor = None
    if normalization is not None:
        divisor = _build_normalization(normalization, maps, measurement)
    # The scatter from map to map has a floor of its own.
    formula, floor = ("pixels", 0.0) if sigma == "ensemble" else (sigma, sigma_floor)
    each = [
        _measure_with_error(map, measurement, divisor, formula, floor, scales, reduction)
        for map in maps
    ]
    mean, spread = each[0]
    if several:
        own_power = divisor is not None and divisor.power is None and second is None
        mean, spread = _combine(each, sigma, sigma_floor, own_power)
    return Target(
        mean=mean,
        sigma=spread,
        mask=measurement.mask,
        second=measurement.second,
        mask_threshold=measurement.mask_threshold,
        hidden=hidden,
        normalization=divisor,
        reduction=reduction,
        alignment=measurement.alignment,
        weights=weights,
        second_offset=measurement.second_offset,
    )


def _check_maps(
    maps: ArrayLike, spec: PyramidSpec, sigma: SigmaSource, mask: Mask | None
) -> list[Float[np.ndarray, " p"]]:
    several: Any = maps
    count = len(several) if np.ndim(several) == 2 else 1
    if count < (2 if sigma == "ensemble" else 1):
        raise ValueError(
            f"map: got {count} map{'s' * (count != 1)}, expected two or more, of shape "
            f"(n, {spec.npix}), for sigma = {sigma!r}"
        )
    return [check_varying(map, spec, f"map[{n}]", mask) for n, map in enumerate(several)]


def _build_normalization(
    choice: str | PowerLike | tuple[PowerLike, PowerLike],
    maps: Sequence[Float[np.ndarray, " p"]],
    measurement: Measurement,
) -> Normalization:
    """Return the power by which coefficients are divided: own, mean, or given."""
    given = given_normalization(choice)
    if given is not None:
        return given
    second = measurement.second  # a large mean is off already, and does not count
    second_power = None if second is None else measure_power(second, measurement)
    if choice == "own":
        return Normalization(None, second_power)
    powers = jnp.stack([measure_power(map, measurement) for map in maps])
    return Normalization(jnp.mean(powers, axis=0), second_power)


def _measure_with_error(
    map: Float[np.ndarray, " p"],
    measurement: Measurement,
    normalization: Normalization | None,
    formula: ErrorFormula,
    floor: float,
    scales: int,
    reduction: Reduction | None,
) -> tuple[Any, Any]:
    """Return the coefficients of a map and their errors: measured, normalized, floored, reduced."""
    # As the loss does, to the last bit; without a mask it is the program of `measure`.
    constant = replace(measurement, constant_mask=measurement.mask is not None)
    mean = finest_covariances(measure_coefficients(map, constant), scales)
    spread = positive(finest_covariances(measure_errors(map, measurement, formula), scales))
    if normalization is not None:
        power = normalization.power
        power = measure_power(map, measurement) if power is None else power
        mean, spread = (
            normalize(groups, power, normalization.second_power) for groups in (mean, spread)
        )
    spread = floored(spread, floor)
    if reduction is None:
        return mean, spread
    return reduction.mean(mean), positive(reduction.sigma(spread))


def _combine(
    each: Sequence[tuple[Any, Any]], sigma: SigmaSource, floor: float, own_power: bool
) -> tuple[Any, Any]:
    """Return the mean coefficients of several maps and their uncertainty."""
    means, sigmas = zip(*each, strict=True)
    mean, scatter = mean_and_scatter(means)
    errors = root_mean_square(sigmas)
    if sigma != "ensemble":
        return mean, positive(errors)
    if own_power:
        # S2 is one for every map, without scatter; any tolerance will do.
        scatter = eqx.tree_at(lambda groups: groups.s2, scatter, errors.s2)
    return mean, floored(positive(scatter), floor)
