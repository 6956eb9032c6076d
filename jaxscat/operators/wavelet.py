"""The oriented wavelet: a K x K complex kernel and its angle on the sphere.

Conventions are stated in `docs/conventions.md`, sections "Wavelet" and "Gauge".
"""

import numpy as np
from jaxtyping import Complex, Float

from jaxscat.maps import describe, is_integer

# Radial frequency of the oscillation and inverse width of the envelope, for every kernel size
# (Delouis et al. 2022, A&A 668, A122; constants of the FOSCAT package, version 2026.6.1).
_KERNEL_CONSTANTS = {3: (1.0 / np.sqrt(2.0), 1.0), 5: (0.75, 0.5), 7: (0.5, 0.25)}

KERNEL_SIZES = tuple(_KERNEL_CONSTANTS)


def wavelet_kernel(kernel_size: int = 3) -> Complex[np.ndarray, " points"]:
    """Return the complex kernel of the wavelet, sampled on a square grid of one-pixel spacing.

    The kernel is a Gaussian envelope times a complex wave along the first axis, with zero mean and
    unit sum of moduli. Point `s = (b + h) * K + (a + h)` with `h = K // 2`
    lies at `a` pixels along the wave and `b` pixels across it.

    Returns:
        complex128 array of `kernel_size ** 2` points.

    Raises:
        ValueError: there is no kernel of that size.

    Source: Delouis et al. 2022, A&A 668, A122, section 2; `docs/conventions.md`, "Wavelet".
    """
    if not is_integer(kernel_size) or kernel_size not in _KERNEL_CONSTANTS:
        raise ValueError(
            f"kernel_size: got {describe(kernel_size)}, expected one of {list(KERNEL_SIZES)}"
        )
    frequency, sharpness = _KERNEL_CONSTANTS[kernel_size]
    along, across = stencil_offsets(kernel_size)
    envelope = np.exp(-sharpness * (along**2 + across**2))
    even = envelope * np.cos(np.pi * frequency * along)
    odd = envelope * np.sin(np.pi * frequency * along)
    kernel = (even - even.mean()) + 1j * (odd - odd.mean())
    return kernel / np.abs(kernel).sum()


def stencil_offsets(
    kernel_size: int,
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Return the offsets of the kernel points along and across the wave, in pixels.

    Returns:
        two float64 arrays of `kernel_size ** 2` values, in the order of `wavelet_kernel`.

    Source: `docs/conventions.md`, "Wavelet".
    """
    half = kernel_size // 2
    across, along = np.mgrid[-half : half + 1, -half : half + 1]
    return along.ravel().astype(float), across.ravel().astype(float)


def gauge_angle(
    theta: Float[np.ndarray, " p"],
    phi: Float[np.ndarray, " p"],
    orientation: int,
    orientations: int,
) -> Float[np.ndarray, " p"]:
    """Return the angle of a wavelet's oscillation in each pixel, from south towards east.

    The angle turns with longitude so that orientations are regular at both poles: it is
    `orientation * pi / orientations - phi` in the north (equator included) and the opposite in
    the south.

    Args:
        theta: colatitude of the pixel centres, radians.
        phi: longitude of the pixel centres, radians.
        orientation: index of the orientation, 0 to `orientations - 1`.
        orientations: number of orientations in half a turn.

    Returns:
        float64 angles in radians.

    Source: FOSCAT's "cosmo" gauge; `docs/conventions.md`, "Gauge".
    """
    hemisphere = np.where(theta <= np.pi / 2, 1.0, -1.0)
    return hemisphere * (orientation * np.pi / orientations - phi)
