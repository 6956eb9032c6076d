"""The data of a reconstruction, checked once."""

from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.maps import check_kind
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.reconstruction.spectra import check_data


class Observed(NamedTuple):
    """A map as a reconstruction works on it: without its mean, which is known.

    Attributes:
        values: deviation from the mean `[p]`, in the type of the pyramid; zero in hidden pixels.
            Of several fields `[f p]`.
        mean: of the pixels with weight; of several fields `[f 1]`.
        weights: of the pixels, or None for the whole sky.
    """

    values: Float[np.ndarray, "*f p"]
    mean: float | Float[np.ndarray, "f 1"]
    weights: Float[np.ndarray, " p"] | None

    def restore(self, maps: Float[np.ndarray, "*B p"]) -> Float[np.ndarray, "*B p"]:
        """Return maps with the mean, in float64 where float32 would lose digits to it."""
        spread = np.std(self.values, axis=-1, keepdims=True)
        large = (np.abs(self.mean) > 16 * spread).any()
        return self.mean + maps.astype(np.float64 if large else maps.dtype)


def observe(
    data: ArrayLike, pyramid: Pyramid, mask: ArrayLike | None = None, *, name: str = "data"
) -> Observed:
    """Check a map of data, and take its mean off.

    Args:
        data: real NESTED map `[p]`.
        pyramid: operators of the whole sphere.
        mask: weights of the pixels, or None.
        name: of the data, for messages.

    Raises:
        ValueError: a pyramid of a patch, a bad map or one of another nside, or a bad mask.
    """
    spec = check_whole_sphere(pyramid)
    shape = np.shape(data)
    if shape != (spec.npix,):
        raise ValueError(
            f"{name}: got shape {shape}, expected one map ({spec.npix},) of the pyramid's nside "
            f"{spec.nside}"
        )
    values, weights = check_data(data, mask, of=name)
    mean = float(np.average(values, weights=weights))
    return Observed((values - mean).astype(spec.dtype), mean, weights)


def check_whole_sphere(pyramid: Any) -> PyramidSpec:
    """Return the specification of a pyramid of the whole sphere.

    Raises:
        ValueError: no pyramid, or one of a patch.
    """
    check_kind(pyramid, Pyramid, "pyramid", "a Pyramid from jaxscat.build_pyramid")
    spec = check_pyramid(pyramid)
    if spec.cell_count is not None:
        raise ValueError(
            f"pyramid: got one of {spec.cell_count} pixels, expected one of the whole sphere"
        )
    return spec


def check_template(template: Any, observed: Observed, name: str) -> Float[np.ndarray, " p"]:
    """Return a map to measure others with, where it varies and is of the nside of the data.

    Raises:
        ValueError: it is constant, or of another nside.
    """
    values, _ = check_data(template, observed.weights, of=name, npix=observed.values.size)
    return values.astype(observed.values.dtype)
