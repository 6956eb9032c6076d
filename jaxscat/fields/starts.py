"""Random maps to start a synthesis from; a seed gives the same map everywhere."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxscat.fields.seeds import check_seed
from jaxscat.harmonics.spectra import angular_power_spectrum, filtered_noise
from jaxscat.maps import check_map, check_mask, cover_hidden, npix_to_nside, to_real


def noise(seed: int, size: int) -> Float[np.ndarray, " size"]:
    """Draw standard normal numbers, in float32 and the same on every device.

    They do not depend on JAX's settings of a generator or of a seed.

    Args:
        seed: integer from 0 to 2^32 - 1, folded into a JAX key.
        size: number of values.

    Raises:
        ValueError: the seed is out of range.

    Source: `docs/conventions.md`, "Starts".
    """
    check_seed(seed)
    # Settings of JAX turn jax.random.key(0) into another key, or into that of another generator.
    zero = jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32), impl="threefry2x32")
    with jax.threefry_partitionable(True):
        key = jax.random.fold_in(zero, np.uint32(seed))
        return np.asarray(jax.random.normal(key, (size,), np.float32))


def white_noise(
    original: Float[np.ndarray, " p"],
    seed: int,
    *,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Float[np.ndarray, " p"]:
    """Sample white noise with the mean and the standard deviation of a map.

    Args:
        original: map, or the pixels of a patch, in any unit.
        seed: integer from 0 to 2^32 - 1.
        footprint: weights of the pixels in mean and standard deviation, such as a mask; what
            `original` holds where they are zero does not matter.

    Returns:
        float32 map in the unit of the original.

    Raises:
        ValueError: `original` is not a valid map (see `check_map`), the seed is out of range, or
            the footprint is not a valid mask of the map (see `check_mask`).

    Source: `docs/conventions.md`, "Starts".
    """
    original = _checked(original, footprint)
    return _with_moments(noise(seed, original.size), original, footprint)


def reference_noise(
    original: Float[np.ndarray, " p"],
    seed: int,
    *,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Float[np.ndarray, " p"]:
    """Sample the white noise from which FOSCAT starts, from NumPy's legacy generator.

    The values are those drawn after `np.random.seed(seed)`; the global generator is not touched.

    Args:
        original, seed, footprint: as for `white_noise`.

    Returns:
        float32 map.

    Raises:
        ValueError: as `white_noise`.

    Source: `docs/conventions.md`, "Starts".
    """
    original = _checked(original, footprint)
    check_seed(seed)
    drawn = np.random.RandomState(seed).randn(1, original.size).astype(np.float32)[0]
    return _with_moments(drawn, original, footprint)


def gaussian_noise(
    original: Float[np.ndarray, " p"],
    seed: int,
    *,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> Float[np.ndarray, " p"]:
    """Sample a Gaussian random map with the power spectrum and the mean of a map.

    White noise is filtered to the C_l of the original for multipoles up to 3 nside - 1, with the
    rest of the original's variance at higher multipoles.

    Args:
        original: NESTED map of the whole sphere, in any unit.
        seed: integer from 0 to 2^32 - 1.
        footprint: weights of the pixels in the power spectrum and the mean, such as a mask; what
            `original` holds where they are zero does not matter.

    Returns:
        float32 map in the unit of the original.

    Raises:
        ValueError: as `white_noise`.

    Examples:
        >>> import jaxscat, numpy as np
        >>> original = np.exp(np.random.default_rng(0).normal(size=192))  # any NESTED map
        >>> start = jaxscat.gaussian_noise(original, seed=1)
        >>> start.shape, start.dtype.name
        ((192,), 'float32')
        >>> bool(np.isclose(start.mean(), original.mean()))
        True

    Source: `docs/conventions.md`, "Starts".
    """
    original = to_real(original, name="original")
    nside = npix_to_nside(original.size, name="original")
    weights = None
    if footprint is not None:
        weights = check_mask(footprint, original.size, name="footprint")
        original = cover_hidden(original, weights, name="original")
    original = check_map(original, name="original", nside=nside, allow_constant=True)
    original = original.astype(np.float64)
    spectrum = angular_power_spectrum(original, weights)
    variance = np.average((original - np.average(original, weights=weights)) ** 2, weights=weights)
    map = filtered_noise(noise(seed, original.size), spectrum, variance)
    return (map + np.average(original - map, weights=weights)).astype(np.float32)


def _checked(
    original: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None
) -> Float[np.ndarray, " p"]:
    original = to_real(original, name="original")
    if footprint is not None and original.ndim == 1:
        check_mask(footprint, original.size, name="footprint", patch=True)
        original = cover_hidden(original, footprint, name="original")
    # Any number of pixels is accepted: the map may be that of a patch.
    original = check_map(original, name="original", cells=original.size, allow_constant=True)
    return original.astype(np.float32)


def _with_moments(
    drawn: Float[np.ndarray, " p"],
    original: Float[np.ndarray, " p"],
    footprint: Float[np.ndarray, " p"] | None,
) -> Float[np.ndarray, " p"]:
    """Scale standard normal numbers to the mean and standard deviation of a map, in float32."""
    if footprint is None:
        return drawn * original.std() + original.mean()
    weights = check_mask(footprint, original.size, name="footprint", patch=True)
    mean = np.average(original, weights=weights)
    spread = np.sqrt(np.average((original - mean) ** 2, weights=weights))
    return (drawn * spread + mean).astype(np.float32)
