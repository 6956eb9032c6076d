"""The target of a synthesis from coefficients and their errors, without a map."""

from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

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
)
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.alignment import Alignment
from jaxscat.statistics.arithmetic import check_alike
from jaxscat.statistics.checks import prepare_mask
from jaxscat.statistics.coefficients import ScatteringCovariance, check_statistics
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.indices import covariance_scales as scales_of_pairs
from jaxscat.statistics.measurement import MaskLike, build_measurement
from jaxscat.statistics.normalization import normalize
from jaxscat.statistics.stored_groups import check_shapes


def target_from_statistics(
    statistics: ScatteringCovariance,
    errors: ScatteringCovariance,
    pyramid: Pyramid,
    *,
    second: Float[ArrayLike, " p"] | None = None,
    mask: MaskLike | None = None,
    mask_threshold: float | Float[ArrayLike, " J"] | None = None,
    hidden: Hidden = "exclude",
    alignment: Alignment | None = None,
    sigma_floor: float = 0.01,
    coarsest_nside: int | None = None,
    weights: GroupWeights = "balanced",
    normalization: Literal["own", "target"] | PowerLike | tuple[PowerLike, PowerLike] | None = None,
) -> Target:
    """Make the target of a synthesis from coefficients, such as those of a file or a mean of many.

    Of the coefficients and the `standard_error` of one map, it is the target that `make_target`
    makes of that map. Orientations are combined afterwards, by the method `reduced` of the target.

    Args:
        statistics: coefficients of all orientations, not normalized.
        errors: real tolerance of every coefficient in the same shapes, all positive: from
            `standard_error`, or the standard deviation over simulations.
        pyramid: operators like those with which they were measured.
        second: the map together with which every map compared with the target is measured; for
            coefficients of two maps.
        mask, mask_threshold, hidden, alignment: with which they were measured, as for `measure`.
        sigma_floor, weights: as for `make_target`.
        coarsest_nside: as for `make_target`; None also keeps no more scales of S3 and S4 than
            there are.
        normalization: as for `make_target`; "own" and "target" for coefficients of one map only.

    Returns:
        target in the type of the pyramid.

    Raises:
        ValueError: coefficients and errors that do not match each other, the pyramid, the masks or
            the second map, that are reduced or not finite, errors that are complex or not positive,
            and as `make_target`.

    Examples:
        >>> import jax, jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(8)
        >>> maps = np.random.default_rng(0).gamma(2.0, size=(20, 768))  # any NESTED maps
        >>> each = [jaxscat.measure(map, pyramid) for map in maps]
        >>> mean = sum(each) / len(each)
        >>> scatter = jax.tree.map(lambda *groups: np.std(groups, axis=0, ddof=1), *each)
        >>> target = jaxscat.target_from_statistics(mean, scatter, pyramid)
        >>> result = jaxscat.synthesize(target, pyramid, maps[0][::-1], max_steps=3)
        >>> result.map.shape
        (768,)

    Source: `docs/conventions.md`, "Objective".
    """
    spec = check_pyramid(pyramid)
    check_statistics(statistics, "statistics")
    check_statistics(errors, "errors", "errors from standard_error that are not reduced")
    check_choices("pixels", sigma_floor, weights, None)
    if (statistics.kind == "cross") != (second is not None):
        got, expected = ("None", "the second map") if second is None else ("a map", "None")
        raise ValueError(
            f"second: got {got} for {statistics.kind} coefficients, expected {expected}"
        )
    if second is not None:
        seen = None if hidden == "include" else prepare_mask(mask, spec)
        second = check_varying(second, spec, "second", seen)
    measurement = build_measurement(
        pyramid,
        second=second,
        mask=mask,
        mask_threshold=mask_threshold,
        hidden=hidden,
        both_triangles=statistics.both_triangles,
        alignment=alignment,
    )
    check_shapes("statistics", statistics, measurement.pyramid.spec)
    check_alike(statistics, errors)
    _check_masks(statistics, measurement.mask)
    _check_values(statistics, errors)
    scales = left_scales(covariance_scales(spec, coarsest_nside), measurement, coarsest_nside)
    there = scales_of_pairs(len(statistics.pairs))
    if there < scales and coarsest_nside is not None:
        raise ValueError(
            f"coarsest_nside: got {coarsest_nside}, but the statistics have S3 and S4 down to "
            f"nside {spec.finest_nside >> (there - 1)} only, expected that or more"
        )
    mean, sigma = (
        finest_covariances(_in_type(one, spec.dtype), min(scales, there))
        for one in (statistics, errors)
    )
    divisor = _normalization(normalization, mean)
    if divisor is not None:
        power = mean.s2 if divisor.power is None else divisor.power
        mean, sigma = (normalize(one, power, divisor.second_power) for one in (mean, sigma))
    for name, group in mean.groups().items():
        if not np.isfinite(np.asarray(group)).all():
            raise ValueError(
                f"statistics: got {name} beyond the range of {spec.dtype}, the type of the pyramid"
            )
    return Target(
        mean=mean,
        sigma=floored(positive(sigma, "errors"), sigma_floor),
        mask=measurement.mask,
        second=measurement.second,
        mask_threshold=measurement.mask_threshold,
        hidden=hidden,
        normalization=divisor,
        alignment=measurement.alignment,
        weights=weights,
        second_offset=measurement.second_offset,
    )


def _check_masks(statistics: ScatteringCovariance, mask: Array | None) -> None:
    expected = None if mask is None or mask.ndim == 1 else mask.shape[0]
    if statistics.masks != expected:
        got, masks = (
            f"an axis of {n} masks" if n else "no axis of masks"
            for n in (statistics.masks, expected)
        )
        raise ValueError(f"statistics: got {got}, expected {masks} as in `mask`")


def _check_values(statistics: ScatteringCovariance, errors: ScatteringCovariance) -> None:
    """Refuse coefficients that are not finite, and errors that nothing can be divided by."""
    for name, group in statistics.groups().items():
        bad = int(np.sum(~np.isfinite(np.asarray(group))))
        if bad:
            raise ValueError(
                f"statistics: got {bad} of {group.size} coefficients of {name} that are not "
                "finite, expected finite ones"
            )
    if not (np.asarray(statistics.s0)[..., 1] > 0).all():
        raise ValueError(
            "statistics: got S0 with an error of the mean that is not positive, expected that of "
            "a map that varies, which tells the spread of the map"
        )
    for name, group in errors.groups().items():
        values = np.asarray(group)
        if values.dtype.kind != "f":
            raise ValueError(f"errors: got {name} of type {values.dtype}, expected real numbers")
        bad = int(np.sum(~(np.isfinite(values) & (values > 0))))
        if bad:
            raise ValueError(
                f"errors: got {bad} of {values.size} of {name} that are not positive and finite, "
                "expected a tolerance for every coefficient"
            )


def _in_type(statistics: ScatteringCovariance, dtype: str) -> Any:
    """Return coefficients in the type of the pyramid."""

    def converted(group: Array) -> Array:
        is_complex = np.iscomplexobj(group)
        return jnp.asarray(group, np.result_type(dtype, np.complex64) if is_complex else dtype)

    return ScatteringCovariance(
        **{name.lower(): converted(group) for name, group in statistics.groups().items()},
        both_triangles=statistics.both_triangles,
    )


def _normalization(
    choice: str | ArrayLike | tuple[PowerLike, PowerLike] | None, mean: ScatteringCovariance
) -> Normalization | None:
    if choice is None:
        return None
    given = given_normalization(choice)
    if given is not None:
        return given
    if mean.kind == "cross":
        raise ValueError(
            f"normalization: got {choice!r} for coefficients of two maps, which do not tell the "
            "power of either, expected a pair of arrays of S2"
        )
    return Normalization(None if choice == "own" else mean.s2)
