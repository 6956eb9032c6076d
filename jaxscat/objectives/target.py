"""What a map is asked to satisfy: coefficients, their tolerance, and the mask of their means."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxscat import maps
from jaxscat.operators.pyramid import Pyramid, PyramidSpec
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.indices import scale_pairs, scale_triples
from jaxscat.statistics.moments import ERROR_FORMULAS
from jaxscat.statistics.scattering import measure, standard_error

SigmaSource = Literal["pixels", "foscat"]


class Target(eqx.Module):
    """Coefficients that a map should have.

    Attributes:
        mean: the coefficients; S3 and S4 of the scales that count only.
        sigma: tolerance of every coefficient, real, all positive, of the same shapes.
        mask: weights of the pixels under which a map is measured; None for the full sky.
    """

    mean: ScatteringCovariance
    sigma: ScatteringCovariance
    mask: Float[Array, " p"] | Float[Array, "M p"] | None

    @property
    def covariance_scales(self) -> int:
        """Number of scales at which S3 and S4 count."""
        pairs = self.mean.s3.shape[-3]
        return next(j for j in range(self.mean.scales + 1) if j * (j + 1) // 2 == pairs)


def make_target(
    map: Float[Array, " p"],
    pyramid: Pyramid,
    *,
    mask: Float[Array, " p"] | Float[Array, "M p"] | None = None,
    sigma: SigmaSource = "pixels",
    coarsest_nside: int = 1,
) -> Target:
    """Make the target of a synthesis from one map.

    Args:
        map: real NESTED map; not constant.
        pyramid: operators for its nside.
        mask: weights of the pixels in all means, also of every map compared with the target.
        sigma: "pixels", standard errors with pixels taken as independent; "foscat", the formula
            of the FOSCAT package.
        coarsest_nside: S3 and S4 count only at scales whose grid has at least this nside.

    Returns:
        target in the type of the pyramid.

    Raises:
        ValueError: bad map or mask (as `measure`), a constant map, an unknown sigma, a
            coefficient whose sigma is zero, or no scale as fine as `coarsest_nside`.

    Source: Delouis et al. 2022, A&A 668, A122, section 4; `docs/conventions.md`, "Objective".
    """
    if sigma not in ERROR_FORMULAS:
        raise ValueError(f"sigma: got {sigma!r}, expected one of {list(ERROR_FORMULAS)}")
    scales = covariance_scales(pyramid.spec, coarsest_nside)
    checked = jnp.asarray(maps.check_map(map, name="map", nside=pyramid.spec.nside))
    mean = measure(checked, pyramid, mask=mask)
    spread = standard_error(checked, pyramid, mask=mask, formula=sigma)
    mean, spread = finest_covariances(mean, scales), finest_covariances(spread, scales)
    _check_positive(spread)
    if mask is not None:
        mask = jnp.asarray(
            maps.check_mask(mask, pyramid.spec.npix, name="mask"), pyramid.spec.dtype
        )
    return Target(mean=mean, sigma=spread, mask=mask)


def covariance_scales(spec: PyramidSpec, coarsest_nside: int) -> int:
    """Return how many scales of a pyramid have a grid of at least `coarsest_nside`.

    Raises:
        ValueError: it is no power of two, or finer than the pyramid.

    Source: `docs/conventions.md`, "Objective".
    """
    coarsest_nside = maps.check_nside(coarsest_nside, name="coarsest_nside")
    if coarsest_nside > spec.nside:
        raise ValueError(
            f"coarsest_nside: got {coarsest_nside}, expected at most the pyramid's {spec.nside}"
        )
    return sum(spec.nside >> j >= coarsest_nside for j in range(spec.scales))


def finest_covariances(statistics: ScatteringCovariance, scales: int) -> ScatteringCovariance:
    """Drop S3 and S4 of all but the finest `scales` scales."""
    return eqx.tree_at(
        lambda groups: (groups.s3, groups.s4),
        statistics,
        (
            statistics.s3[..., : len(scale_pairs(scales)), :, :],
            statistics.s4[..., : len(scale_triples(scales)), :, :, :],
        ),
    )


def _check_positive(sigma: ScatteringCovariance) -> None:
    for name, group in sigma.groups().items():
        bad = int(jnp.sum(~jnp.isfinite(group)))
        if bad:
            raise ValueError(
                f"map: got {bad} of {group.size} coefficients of {name} that {group.dtype} cannot "
                "hold, expected a map in a smaller unit"
            )
        bad = int(jnp.sum(~(group > 0)))
        if bad:
            raise ValueError(
                f"map: got {bad} of {group.size} coefficients of {name} whose standard error is "
                "zero, expected a map (and a mask) that varies at every scale"
            )
