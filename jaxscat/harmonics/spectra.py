"""Spherical harmonic coefficients and angular power spectra of NESTED maps."""

from itertools import pairwise

import numpy as np
from jaxtyping import Complex, Float, Int


def harmonic_coefficients(
    map: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Complex[np.ndarray, " lm"]:
    """Return the harmonic coefficients of a NESTED map up to l = 3 nside - 1, in healpy's order.

    With a `footprint` (weights between 0 and 1), the weighted mean is subtracted and the map is
    multiplied by the footprint first: the result is the coefficients of the cut sky.
    """
    import healpy  # loads matplotlib, so not at import

    map = np.asarray(map, dtype=np.float64)
    if footprint is not None:
        map = (map - np.average(map, weights=footprint)) * footprint
    # The monopole is exact without a transform; errors of a large mean would leak to all l.
    mean = map.mean()
    harmonics = healpy.map2alm(healpy.reorder(map - mean, n2r=True), iter=3)
    harmonics[0] += mean * np.sqrt(4.0 * np.pi)
    return harmonics


def angular_power_spectrum(
    map: Float[np.ndarray, " p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Float[np.ndarray, " l"]:
    """Return the C_l of a NESTED map for l = 0 to 3 nside - 1, in map units squared (sr).

    With a `footprint`, it is the pseudo-C_l divided by the mean square of the footprint, which is
    comparable with the full-sky spectrum; the coupling of multipoles is not corrected. The pixel
    window is not removed: it cancels in ratios between maps of one nside.
    """
    import healpy

    spectrum = healpy.alm2cl(harmonic_coefficients(map, footprint))
    return spectrum if footprint is None else spectrum / np.mean(np.square(footprint))


def filtered_noise(
    noise: Float[np.ndarray, " p"], spectrum: Float[np.ndarray, " l"], variance: float
) -> Float[np.ndarray, " p"]:
    """Filter NESTED white noise of unit variance to an angular power spectrum and a variance.

    `spectrum` covers l = 0 to 3 nside - 1. The rest of the variance goes to the quarter of the
    pixels' degrees of freedom that these multipoles do not describe: the map is as rough as a
    sampled field, not as smooth as a sum of harmonics. The monopole is zero.

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
    """Return the level of C_l beyond the last multipole, 3 nside - 1, for a given variance.

    It has the unit of `spectrum`. The 9 nside^2 harmonics up to that multipole leave 3 nside^2 of
    the pixels' degrees of freedom, which share the remaining variance; zero if none remains.

    Source: `docs/conventions.md`, "Starts".
    """
    multipole = np.arange(1, spectrum.size)
    within = np.sum((2 * multipole + 1) * spectrum[1:]) / (4.0 * np.pi)
    nside = spectrum.size // 3
    return max(0.0, float(variance) - float(within)) * 4.0 * np.pi / (3 * nside**2)


def smooth_spectrum(
    spectrum: Float[np.ndarray, " l"], *, octaves: float = 0.25, least_modes: int = 1
) -> Float[np.ndarray, " l"]:
    """Return the running mean of a C_l over a part of an octave around every multipole.

    Args:
        spectrum: C_l for l = 0 to 3 nside - 1, and last perhaps the level beyond, which stays.
        octaves: width of the part, in octaves of l.
        least_modes: number of modes in a part, which is made wider for them at low multipoles.

    Source: `docs/reconstruction.md`, "Spectra".
    """
    count = spectrum.size - spectrum.size % 3
    low, high = running_windows(count, octaves=octaves, least_modes=least_modes)
    modes = 2.0 * np.arange(count) + 1
    sums = np.append(0, np.cumsum(modes * spectrum[:count]))
    totals = np.append(0, np.cumsum(modes))
    smooth = (sums[high] - sums[low]) / (totals[high] - totals[low])
    return np.append(smooth, spectrum[count:])


def running_windows(
    count: int, *, octaves: float = 0.25, least_modes: int = 1
) -> tuple[Int[np.ndarray, " l"], Int[np.ndarray, " l"]]:
    """Return where the part of an octave around every multipole begins, and where it has ended.

    It is made wide enough for `least_modes` modes; the monopole stands for itself.

    Source: `docs/reconstruction.md`, "Spectra".
    """
    multipole = np.arange(count)
    reach = 2.0 ** (octaves / 2)
    low = np.minimum(np.ceil(multipole / reach).astype(int), multipole)
    high = np.maximum(np.floor(multipole * reach).astype(int), multipole)
    for _ in range(least_modes):
        few = (high + 1) ** 2 - low**2 < least_modes
        low, high = np.where(few, low - 1, low), np.where(few, high + 1, high)
        low = np.maximum(low, 1)
    low[0], high[0] = 0, 0
    return low, np.minimum(high + 1, count)


def multipole_bins(nside: int, *, per_octave: int = 2) -> list[tuple[int, int]]:
    """Return inclusive logarithmic multipole bins [l_min, l_max] from 2 to 3 nside - 1.

    Beyond l = 2 nside, harmonics are poorly sampled by the pixels.

    Source: `docs/conventions.md`, "Validation".
    """
    top = max(3 * nside - 1, 2)
    count = max(1, round(per_octave * np.log2((top + 1) / 2)))
    edges = np.unique(np.round(np.geomspace(2, top + 1, count + 1)).astype(int))
    return [(int(low), int(high) - 1) for low, high in pairwise(edges)]
