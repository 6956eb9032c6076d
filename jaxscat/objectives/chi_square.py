"""The weighted distance between coefficients and a target."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat.objectives.map_groups import scalar_function
from jaxscat.objectives.target import Power, Target
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.angular import ReducedCovariance
from jaxscat.statistics.checks import prepare_map
from jaxscat.statistics.coefficients import AbstractCoefficients, ScatteringCovariance
from jaxscat.statistics.power import wavelet_power
from jaxscat.statistics.scattering import measure_scales, prepare, squeeze_masks

# What each group has of a balanced distance; of two maps, S3 and S3P share the part of S3.
SHARES = {"S0": 0.02, "S1": 0.2, "S2": 0.2, "S3": 0.28, "S4": 0.3}


def chi_square(statistics: ScatteringCovariance, target: Target) -> Float[Array, ""]:
    """Return the mean over all coefficients of the squared distance in units of sigma.

    A complex coefficient counts once, with its squared modulus. S3 (S3P) and S4 of scales that
    the target leaves out do not count. With `weights` "balanced" it is the mean over each group
    that counts, with a fixed share. The target's normalization and reduction are applied here.

    Args:
        statistics: coefficients of a map as `measure` returns them, with the target's masks,
            threshold, second map and alignment; that they were others cannot be seen here.
        target: what they are compared with.

    Returns:
        real scalar.

    Raises:
        ValueError: coefficients that are reduced already; other numbers of scales, orientations
            or masks; coefficients of one map for a target of two or the other way round; a target
            of two maps that are normalized by their own power, which coefficients of both do not
            tell (`map_loss` measures it).

    Source: FOSCAT's loss; `docs/conventions.md`, "Objective".
    """
    return _distance(_compared(statistics, target, None), target)


def _compared(
    statistics: ScatteringCovariance, target: Target, power: Power | None
) -> ScatteringCovariance | ReducedCovariance:
    """Check measured coefficients and bring them to the form of the target's."""
    if not isinstance(statistics, ScatteringCovariance):
        raise ValueError(
            f"statistics: got {type(statistics).__name__}, expected a ScatteringCovariance as "
            "measure returns it (the target reduces it)"
        )
    expected = (target.mean.kind, target.mean.both_triangles)
    if (statistics.kind, statistics.both_triangles) != expected:
        raise ValueError(
            f"statistics: got {_described(statistics)}, expected {_described(target.mean)} as in "
            "the target"
        )
    compared = target.comparable(statistics, power)
    means = target.mean.groups()
    for name, group in compared.groups().items():
        if group.shape != means[name].shape:
            raise ValueError(
                f"statistics: got {name} of shape {group.shape}, expected {means[name].shape} as "
                "in the target"
            )
    return compared


def _distance(
    compared: ScatteringCovariance | ReducedCovariance, target: Target
) -> Float[Array, ""]:
    total, count = jnp.zeros((), target.mean.s1.dtype), 0
    means, sigmas = target.mean.groups(), target.sigma.groups()
    shares = _shares(compared)
    for name, group in compared.groups().items():
        # Divided first: squares of weak coefficients leave the range of float32.
        scaled = (group - means[name]) / sigmas[name]
        square = jnp.sum(jnp.real(scaled) ** 2 + jnp.imag(scaled) ** 2)
        if target.weights == "balanced":
            total = total + shares[name] / group.size * square
        else:
            total, count = total + square, count + group.size
    return total if target.weights == "balanced" else total / count


def _shares(compared: AbstractCoefficients) -> dict[str, float]:
    if compared.kind == "auto":
        return SHARES
    half = SHARES["S3"] / 2
    return {**SHARES, "S3": half, "S3P": half}


def _described(statistics: AbstractCoefficients) -> str:
    both = " with both triangles of S4" if statistics.both_triangles else ""
    return f"{statistics.kind} coefficients{both}"


def map_loss(map: Float[Array, " p"], pyramid: Pyramid, target: Target) -> Float[Array, ""]:
    """Return the chi-square of a map, without computing what the target does not use.

    `jax.vmap` of it, and of its derivatives, takes maps in the groups that the device does best.

    Args:
        map: real NESTED map; measured together with the target's second map, if it has one.
        pyramid: operators for its nside.
        target: what its coefficients are compared with.

    Returns:
        real scalar.

    Raises:
        ValueError: as `measure`.

    Source: `docs/conventions.md`, "Objective".
    """
    # Checked here: inside, nothing is known of the values.
    return _map_loss(prepare_map(map, pyramid.spec), pyramid, target)


@scalar_function
def _map_loss(map: Array, pyramid: Pyramid, target: Target) -> Array:
    return _distance(_measured(map, pyramid, target), target)


def mean_loss(maps: Float[Array, "n p"], pyramid: Pyramid, target: Target) -> Float[Array, ""]:
    """Return the chi-square of the mean coefficients of several maps.

    It constrains what the maps are like on average only: each of them may differ from the target,
    as long as the others make up for it, and how much they scatter about their mean is free.

    Args:
        maps: real NESTED maps; each is measured as for `map_loss`, and normalized and reduced for
            itself before the mean is taken.
        pyramid, target: as for `map_loss`.

    Returns:
        real scalar.

    Raises:
        ValueError: as `measure`.

    Source: FOSCAT's loss of a batch; Campeti et al. 2025; `docs/conventions.md`, "Ensembles".
    """
    each = jax.vmap(lambda map: _measured(map, pyramid, target))(maps)
    return _distance(jax.tree.map(lambda group: jnp.mean(group, axis=0), each), target)


def _measured(
    map: Float[Array, " p"], pyramid: Pyramid, target: Target
) -> ScatteringCovariance | ReducedCovariance:
    """Measure a map in the form of the target's coefficients."""
    maps, mask, threshold = prepare(
        map,
        pyramid,
        target.second,
        target.mask,
        target.mask_threshold,
        target.mean.both_triangles,
        target.alignment,
    )
    measured = measure_scales(
        maps,
        pyramid,
        mask,
        target.covariance_scales,
        threshold,
        target.mean.both_triangles,
        target.alignment,
    )
    power = None
    if target.normalization is not None and target.normalization.power is None:
        power = wavelet_power(
            map, pyramid, mask=mask, mask_threshold=threshold, alignment=target.alignment
        )
    return _compared(squeeze_masks(measured, mask), target, power)
