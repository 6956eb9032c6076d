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
    noise: Float[np.ndarray, " p"], spectrum: Float[np.ndarray, " l"], variance: float
) -> Float[np.ndarray, " p"]:
    """White noise of variance one, NESTED, filtered to an angular power spectrum and a variance.

    `spectrum` has l = 0 to 3 nside - 1. What these multipoles cannot describe, a quarter of what
    the pixels hold, gets the rest of the variance: such a map is as rough as a sampled field, and
    not as smooth as a sum of harmonics. The monopole is left out.

    Source: `docs/conventions.md`, "Starts".
    """
    import healpy

    noise = healpy.reorder(np.asarray(noise, dtype=np.float64), n2r=True)
    amplitude = np.sqrt(spectrum * noise.size / (4.0 * np.pi))
    beyond = np.sqrt(power_beyond(spectrum, variance) * noise.size / (4.0 * np.pi))
    gain = amplitude - beyond
    gain[0] = -beyond
    harmonics = healpy.almxfl(healpy.map2alm(noise, iter=3), gain)
    map = healpy.alm2map(harmonics, healpy.npix2nside(noise.size), lmax=spectrum.size - 1)
    return healpy.reorder(map + beyond * noise, r2n=True)


def power_beyond(spectrum: Float[np.ndarray, " l"], variance: float) -> float:
    """The level of C_l beyond the last multipole, 3 nside - 1, that accounts for a variance.

    In the unit of `spectrum`; the 9 nside^2 harmonics up to there leave 3 nside^2 of the pixels'
    degrees of freedom, which share what variance is left; zero if there is none.

    Source: `docs/conventions.md`, "Starts".
    """
    multipole = np.arange(1, spectrum.size)
    within = np.sum((2 * multipole + 1) * spectrum[1:]) / (4.0 * np.pi)
    nside = spectrum.size // 3
    return max(0.0, float(variance) - float(within)) * 4.0 * np.pi / (3 * nside**2)
