"""Spherical harmonic coefficients and angular power spectra of NESTED maps."""

import numpy as np
from jaxtyping import Complex, Float


def harmonic_coefficients(
    map: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Complex[np.ndarray, " lm"]:
    """Spherical harmonic coefficients of a NESTED map up to l = 3 nside - 1, in healpy's order.

    With a `footprint` (weights between 0 and 1) the weighted mean is taken off and the rest is
    multiplied by the footprint first, which gives the coefficients of the cut sky.
    """
    import healpy  # loads matplotlib, so not at import

    map = np.asarray(map, dtype=np.float64)
    if footprint is not None:
        map = (map - np.average(map, weights=footprint)) * footprint
    # The mean alone is known exactly; of one far above the spread, errors would fill all l.
    mean = map.mean()
    harmonics = healpy.map2alm(healpy.reorder(map - mean, n2r=True), iter=3)
    harmonics[0] += mean * np.sqrt(4.0 * np.pi)
    return harmonics


def angular_power_spectrum(
    map: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Float[np.ndarray, " l"]:
    """The C_l of a NESTED map for l = 0 ... 3 nside - 1, in the map's units squared (sr).

    With a `footprint` it is the pseudo-C_l divided by the mean of the footprint squared, so that
    it stays comparable with the full-sky spectrum; couplings between multipoles are not undone.
    The pixel window is not taken out: ratios between maps of one nside do not need it.
    """
    import healpy

    spectrum = healpy.alm2cl(harmonic_coefficients(map, footprint))
    return spectrum if footprint is None else spectrum / np.mean(np.square(footprint))


def filtered_noise(
    noise: Float[np.ndarray, " p"], spectrum: Float[np.ndarray, " l"]
) -> Float[np.ndarray, " p"]:
    """White noise of variance one, NESTED, filtered to an angular power spectrum up to 3 nside - 1.

    What the multipoles of `spectrum` cannot describe, a quarter of all the pixels can hold, keeps
    the level of the last one: such a map has the roughness of a sampled field and not of a sum of
    harmonics. The monopole is left out.

    Source: `docs/conventions.md`, "Starts".
    """
    import healpy

    noise = healpy.reorder(np.asarray(noise, dtype=np.float64), n2r=True)
    last = spectrum.size - 1
    amplitude = np.sqrt(spectrum * noise.size / (4.0 * np.pi))
    gain = amplitude - amplitude[last]
    gain[0] = -amplitude[last]
    harmonics = healpy.almxfl(healpy.map2alm(noise, iter=3), gain)
    map = healpy.alm2map(harmonics, healpy.npix2nside(noise.size), lmax=last)
    return healpy.reorder(map + amplitude[last] * noise, r2n=True)
