"""The target that a map gives, or several: their coefficients, measured, and a tolerance."""

from dataclasses import replace
from typing import Any, Literal, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxscat.objectives.target import (
    GroupWeights,
    Normalization,
    Power,
    Target,
    covariance_scales,
    finest_covariances,
    floored,
    positive,
    whole,
)
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.angular import Reduction
from jaxscat.statistics.checks import check_map_of, prepare_mask, prepare_threshold
from jaxscat.statistics.ensembles import mean_and_scatter, root_mean_square
from jaxscat.statistics.errors import standard_error
from jaxscat.statistics.moments import ERROR_FORMULAS
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.power import wavelet_power
from jaxscat.statistics.scattering import Mask, measure

SigmaSource = Literal["pixels", "foscat", "ensemble"]


def make_target(
    map: Float[Array, "*maps p"],
    pyramid: Pyramid,
    *,
    second: Float[Array, " p"] | None = None,
    mask: Mask | None = None,
    mask_threshold: float | Float[Array, " J"] | None = None,
    both_triangles: bool = False,
    sigma: SigmaSource = "pixels",
    sigma_floor: float = 0.01,
    coarsest_nside: int | None = None,
    weights: GroupWeights = "balanced",
    normalization: Literal["own", "target"] | Power | tuple[Power, Power] | None = None,
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
        both_triangles: as for `measure`.
        sigma: "pixels", standard errors with pixels taken as independent; "foscat", the formula
            of the FOSCAT package; both of one map, of several the root of their mean square;
            "ensemble", the standard deviation from map to map.
        sigma_floor: least sigma of a coefficient, in units of the root mean square of sigma over
            the orientations of the same group and scales.
        coarsest_nside: S3 and S4 count only at scales whose grid has at least this nside; None
            for 8 (or the finest grid, where that is coarser), 1 for all. On coarser grids they
            are so many that new maps become copies of the original.
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
            two maps, a coefficient whose sigma is zero, or no scale as fine as `coarsest_nside`.

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Objective".
    """
    known = [*ERROR_FORMULAS, "ensemble"]
    if sigma not in known:
        raise ValueError(f"sigma: got {sigma!r}, expected one of {known}")
    if not isinstance(reduction, Reduction | None):
        raise ValueError(
            f"reduction: got {reduction!r}, expected a Reduction such as IsotropicMean(), or None"
        )
    if weights not in get_args(GroupWeights):
        raise ValueError(
            f"weights: got {weights!r}, expected one of {list(get_args(GroupWeights))}"
        )
    real = int | float | np.integer | np.floating
    number = isinstance(sigma_floor, real) and not isinstance(sigma_floor, bool)
    if not number or not 0 <= sigma_floor < 1:
        raise ValueError(f"sigma_floor: got {sigma_floor!r}, expected a number from 0 up to 1")
    spec = pyramid.spec
    scales = covariance_scales(spec, coarsest_nside)
    if np.ndim(map) == 2 or sigma == "ensemble":
        return _ensemble_target(
            map,
            pyramid,
            sigma,
            normalization,
            sigma_floor,
            weights=weights,
            second=second,
            mask=mask,
            mask_threshold=mask_threshold,
            both_triangles=both_triangles,
            coarsest_nside=coarsest_nside,
            reduction=reduction,
            alignment=alignment,
        )
    checked = jnp.asarray(check_map_of(map, spec, allow_constant=False))
    if second is not None:
        second = jnp.asarray(
            check_map_of(second, spec, name="second", allow_constant=False), spec.dtype
        )
    how = {
        "second": second,
        "mask": mask,
        "mask_threshold": mask_threshold,
        "both_triangles": both_triangles,
        "alignment": alignment,
    }
    mean = finest_covariances(measure(checked, pyramid, **how), scales)
    spread = finest_covariances(standard_error(checked, pyramid, **how, formula=sigma), scales)
    pixels = prepare_mask(mask, spec)
    target = Target(
        mean=mean,
        sigma=positive(spread),
        mask=pixels,
        second=second,
        mask_threshold=prepare_threshold(mask_threshold, pixels, spec),
        alignment=alignment,
        weights=weights,
    )
    if normalization is not None:
        target = _normalized(target, checked, pyramid, normalization)
    target = replace(target, sigma=floored(whole(target.sigma), sigma_floor))
    return target if reduction is None else target.reduced(reduction)


def _ensemble_target(
    maps: Float[Array, "n p"],
    pyramid: Pyramid,
    sigma: SigmaSource,
    normalization: str | Power | tuple[Power, Power] | None,
    sigma_floor: float,
    **options: Any,
) -> Target:
    """Return the target whose coefficients are the mean of those of several maps."""
    count = len(maps) if np.ndim(maps) == 2 else 1
    if count < (2 if sigma == "ensemble" else 1):
        raise ValueError(
            f"map: got {count} map{'s' * (count != 1)}, expected two or more, of shape "
            f"(n, {pyramid.spec.npix}), for sigma = {sigma!r}"
        )
    checked = [
        jnp.asarray(check_map_of(map, pyramid.spec, name=f"map[{n}]", allow_constant=False))
        for n, map in enumerate(maps)
    ]
    divisor: Any = normalization
    if isinstance(normalization, str) and normalization == "target":
        how = {name: options[name] for name in ("mask", "mask_threshold", "alignment")}
        divisor = jnp.mean(
            jnp.stack([wavelet_power(map, pyramid, **how) for map in checked]), axis=0
        )
        if options["second"] is not None:
            divisor = divisor, wavelet_power(jnp.asarray(options["second"]), pyramid, **how)
    formula, floor = ("pixels", 0.0) if sigma == "ensemble" else (sigma, sigma_floor)
    each = [
        make_target(
            map, pyramid, sigma=formula, sigma_floor=floor, normalization=divisor, **options
        )
        for map in checked
    ]
    means: Any = [target.mean for target in each]
    mean, spread = mean_and_scatter(means)
    sigmas: Any = [target.sigma for target in each]
    errors = root_mean_square(sigmas)
    if sigma != "ensemble":
        spread = errors
    elif isinstance(divisor, str) and options["second"] is None:
        # S2 is one for every map, without scatter; any tolerance will do.
        spread = eqx.tree_at(lambda groups: groups.s2, spread, errors.s2)
    spread = positive(spread)
    if sigma == "ensemble":
        spread = floored(spread, sigma_floor)
    return replace(each[0], mean=mean, sigma=spread)


def _normalized(
    target: Target,
    map: Float[Array, " p"],
    pyramid: Pyramid,
    normalization: str | Power | tuple[Power, Power],
) -> Target:
    """Return a target whose coefficients and errors are divided by a power."""
    how = {
        "mask": target.mask,
        "mask_threshold": target.mask_threshold,
        "alignment": target.alignment,
    }
    second = None
    if isinstance(normalization, str):
        if normalization not in ("own", "target"):
            raise ValueError(
                f"normalization: got {normalization!r}, expected 'own', 'target' or an array"
            )
        power = wavelet_power(map, pyramid, **how)
        if target.second is not None:
            second = wavelet_power(target.second, pyramid, **how)
        kept = Normalization(None if normalization == "own" else power, second)
    else:
        first, other = normalization if isinstance(normalization, tuple) else (normalization, None)
        power = jnp.asarray(first)
        second = None if other is None else jnp.asarray(other)
        kept = Normalization(power, second)
    return replace(
        target,
        mean=normalize(whole(target.mean), power, second),
        sigma=normalize(whole(target.sigma), power, second),
        normalization=kept,
    )
