"""Ratios of power spectra, and correlations of two maps, in bins of multipoles."""

import numpy as np
from jaxtyping import Complex, Float

# Of the power of noisy data in a bin, the least that a signal must have to be told.
_LEAST_LEFT = 0.1


def octave_ranges(nside: int) -> list[tuple[int, int]]:
    """Return inclusive multipole ranges of one octave: 1 to 3, 4 to 7, ..., up to 3 nside - 1.

    The first combines l = 1 to 3, and the last extends from the octave that ends at 2 nside to
    3 nside - 1.

    Source: `docs/conventions.md`, "Validation".
    """
    starts = [1, *(2**k for k in range(2, 40) if 2**k < 2 * nside)]
    return list(zip(starts, [*(start - 1 for start in starts[1:]), 3 * nside - 1], strict=True))


def chance_correlation(
    spectrum: Float[np.ndarray, " l"],
    low: int,
    high: int,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> float:
    """Return the standard deviation of the correlation of two independent Gaussian maps.

    The correlation is over the multipoles `low` to `high`, and both maps have the given C_l. On
    the full sky and for constant C_l, it is one over the root of the number of modes; with a
    `footprint` f, the number of modes is reduced by about <f^2>^2 / <f^4>. The result is at most
    one, as for a single mode.

    Source: `docs/conventions.md`, "Validation"; for the footprint, Hivon et al. 2002, ApJ 567, 2.
    """
    multipole = np.arange(low, high + 1)
    power = spectrum[low : high + 1]
    modes = 2 * multipole + 1
    whole = np.sqrt(np.sum(modes * power**2)) / np.sum(modes * power)
    sky = 1.0
    if footprint is not None:
        sky = np.mean(footprint**2) ** 2 / np.mean(footprint**4)
    return float(np.minimum(whole / np.sqrt(sky), 1.0))


def binned_ratio(
    spectrum: Float[np.ndarray, " l"],
    reference: Float[np.ndarray, " l"],
    bins: list[tuple[int, int]],
) -> list[float]:
    """Return the ratio of power to that of a reference in every bin, weighted by 2 l + 1.

    Source: `docs/conventions.md`, "Validation".
    """
    weight = 2 * np.arange(len(spectrum)) + 1
    return [
        float(
            np.sum((weight * spectrum)[low : high + 1])
            / np.sum((weight * reference)[low : high + 1])
        )
        for low, high in bins
    ]


def less_noise(
    data: Float[np.ndarray, " l"],
    noise: Float[np.ndarray, " l"],
    bins: list[tuple[int, int]],
) -> Float[np.ndarray, " l"]:
    """Return C_l of data less those of noise; NaN in bins where noise leaves hardly anything.

    A bin in which less than a tenth of the power is left says nothing of a signal.

    Source: `docs/reconstruction.md`, "Comparison".
    """
    left = data - noise[: data.size]
    weight = 2 * np.arange(len(data)) + 1
    for low, high in bins:
        part = slice(low, high + 1)
        if np.sum((weight * left)[part]) < _LEAST_LEFT * np.sum((weight * data)[part]):
            left[part] = np.nan
    return left


def mean_ratio(spectrum: Float[np.ndarray, " l"], reference: Float[np.ndarray, " l"]) -> float:
    """Return the unweighted mean over all l >= 2 of C_l over C_l of the reference.

    Source: `docs/conventions.md`, "Validation".
    """
    return float(np.mean(spectrum[2:] / reference[2:]))


def binned_correlation(
    first: Complex[np.ndarray, " lm"],
    second: Complex[np.ndarray, " lm"],
    bins: list[tuple[int, int]],
) -> list[float]:
    """Return the correlation coefficient of two maps per bin, from their harmonic coefficients.

    It is one if the maps have the same structure at these scales (a copy), and zero if they are
    independent, whatever their power.

    Source: `docs/conventions.md`, "Validation".
    """
    import healpy

    cross, one, two = (
        healpy.alm2cl(a, b) for a, b in ((first, second), (first, first), (second, second))
    )
    weight = 2 * np.arange(len(cross)) + 1
    parts = []
    for low, high in bins:
        window = slice(low, high + 1)
        total = [np.sum((weight * spectrum)[window]) for spectrum in (cross, one, two)]
        parts.append(float(total[0] / np.sqrt(total[1] * total[2])))
    return parts
