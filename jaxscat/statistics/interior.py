"""The coefficients that hidden pixels do not disturb, and how much of every scale they are."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from jaxscat.operators.product import Table, spread
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.operators.resolution import downsample
from jaxscat.statistics.checks import prepare_mask
from jaxscat.statistics.hidden import Hidden, footprint
from jaxscat.statistics.scales import Field, enter, walk_masks
from jaxscat.statistics.weights import ScaleWeights, Weights

# Largest share of hidden pixels in the weight of a stencil that counts as undisturbed.
_UNDISTURBED = 0.01

# Number of undisturbed pixels below which a scale has too little left.
LEAST_LEFT = 20


class Coverage(NamedTuple):
    """How much of every scale hidden pixels leave undisturbed; float64 on the host.

    Attributes:
        sky: fraction of the pixels with weight; with several masks, one number for each.
        nsides: nside of every scale.
        pixels: number of pixels of every scale.
        coefficients: fraction of the pixels of every scale where the wavelet coefficients (S1, S2)
            have weight and are undisturbed, `[J]` or `[M J]`.
        pairs: the same of the convolved moduli (S3, S4).
    """

    sky: Float[np.ndarray, "*M"]
    nsides: tuple[int, ...]
    pixels: Int[np.ndarray, " J"]
    coefficients: Float[np.ndarray, "*M J"]
    pairs: Float[np.ndarray, "*M J"]

    def kept(self) -> tuple[int, int]:
        """Return at how many scales, from the finest, enough is left for S1, S2 and for S3, S4.

        Enough are 20 pixels, in each of several masks.
        """
        counts = []
        for left in (self.coefficients, self.pairs):
            enough = (left * self.pixels >= LEAST_LEFT).reshape(-1, len(self.nsides)).all(axis=0)
            counts.append(int(np.argmin(np.append(enough, False))))
        return counts[0], counts[1]


def coverage(mask: ArrayLike, pyramid: Pyramid) -> Coverage:
    """Compute how much of every scale the hidden pixels of a mask leave undisturbed.

    A coefficient is undisturbed if at most a hundredth of the weight of its stencils falls on
    hidden pixels, through downsampling and the moduli of all finer scales.

    Args:
        mask: weights of one mask `[p]` or of several `[M p]`; hidden is what has weight zero in
            all of them.
        pyramid: operators for its nside.

    Raises:
        ValueError: a bad mask (as `measure`).

    Examples:
        >>> import jaxscat, numpy as np
        >>> pyramid = jaxscat.build_pyramid(16)
        >>> mask = np.arange(3072) < 2048  # the southern base faces are hidden
        >>> left = jaxscat.coverage(mask, pyramid)
        >>> left.nsides, bool((left.pairs < left.coefficients).any())
        ((16, 8, 4, 2, 1), True)

    Source: `docs/conventions.md`, "Hidden pixels".
    """
    weights = prepare_mask(mask, check_pyramid(pyramid))
    if weights is None:
        raise ValueError("mask: got None, expected weights of the pixels")
    sky = np.asarray((np.asarray(weights) > 0).mean(axis=-1))
    nsides = tuple(level.nside for level in pyramid.levels)
    pixels = np.array([level.npix for level in pyramid.levels])
    found = [np.asarray(part) / pixels for part in _count_left(weights, pyramid)]
    if weights.ndim == 1:
        found = [part[0] for part in found]
    return Coverage(sky, nsides, pixels, *found)


@jax.jit
def _count_left(
    mask: Float[Array, "*M p"], pyramid: Pyramid
) -> tuple[Int[Array, "M J"], Int[Array, "M J"]]:
    """Count the pixels of every scale with weight, for S1 and S2 and for S3 and S4."""
    counts = [
        [(part.rows > 0).sum((1, 2)) for part in weights if part.rows is not None]
        for weights in walk_weights(mask, pyramid, None, "interior")
    ]
    coefficients, pairs = zip(*counts, strict=True)
    return jnp.stack(coefficients, axis=1), jnp.stack(pairs, axis=1)


def walk_weights(
    mask: Array | None, pyramid: Pyramid, threshold: Array | None, hidden: Hidden
) -> Iterator[ScaleWeights]:
    """Yield the masks of every scale; for "interior" they are zero at disturbed coefficients."""
    masks = walk_masks(mask, pyramid, threshold)
    if mask is None or hidden != "interior":
        for weights in masks:
            yield ScaleWeights(weights, weights)
        return
    for weights, shares in zip(masks, _disturbance(mask, pyramid), strict=True):
        yield ScaleWeights(*(_restrict(weights, share <= _UNDISTURBED) for share in shares))


def _restrict(weights: Weights, kept: Bool[Array, "1 sectors rows"]) -> Weights:
    assert weights.rows is not None
    rows = jnp.where(kept, weights.rows, 0)
    return Weights(rows, rows.sum((1, 2)))


def _disturbance(mask: Float[Array, "*M p"], pyramid: Pyramid) -> Iterator[tuple[Field, Field]]:
    """Yield, scale by scale, the share of hidden pixels in the weight of the stencils.

    The first field is that of the wavelet coefficients, the second that of the convolved moduli:
    the largest of this scale and all finer ones.
    """
    hidden = (footprint(mask) == 0).astype(pyramid.spec.dtype)
    field = enter(hidden[None], pyramid)
    moduli = jnp.zeros_like(field)
    for scale, level in enumerate(pyramid.levels):
        stencil = level.stencil.absolute()
        coefficients = _share(field, stencil)
        moduli = jnp.maximum(moduli, coefficients)
        yield coefficients, jnp.maximum(_share(moduli, stencil), coefficients)
        if scale + 1 < len(pyramid.levels):
            assert level.downsampling is not None
            field = downsample(field, level.downsampling)
            moduli = downsample(moduli, level.downsampling)


def _share(field: Field, stencil: Table) -> Field:
    """Return the share of a field in the weight of stencils, the largest of all orientations."""
    whole = spread(stencil, jnp.ones_like(field)).sum(1)
    return (spread(stencil, field).sum(1) / whole).max(0)
