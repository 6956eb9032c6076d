"""Fills of gaps in maps without noise: Gaussian ones, by a spectrum, and a smooth one."""

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float

from jaxscat.fields.seeds import check_seed
from jaxscat.maps import npix_to_nside, to_numpy, to_real
from jaxscat.reconstruction.conjugate_gradients import solve_wiener
from jaxscat.reconstruction.isotropic import draw_field
from jaxscat.reconstruction.spectra import check_data, check_levels, observed_spectrum

_LEAST_POWER = 0.01  # of a given spectrum, over that of the observed part


def gaussian_mean_fill(
    data: ArrayLike, gaps: ArrayLike, signal: ArrayLike | None = None
) -> Float[np.ndarray, " p"]:
    """Fill gaps by the mean of all Gaussian fields that agree with the observed pixels.

    It is smooth, and has less and less power with the distance from the border.

    Args:
        data: real NESTED map `[p]`; what it holds in the gaps does not matter.
        gaps: which pixels are filled, `[p]`: boolean, or zeros and ones.
        signal: levels: C_l for l = 0 to 3 nside - 1, and perhaps the level beyond (the last C_l
            where it is not given); those of the observed part, over its share of the sky, by
            default and at least a hundredth of them everywhere.

    Returns:
        NESTED map in float64, in which the observed pixels are those of the data.

    Raises:
        ValueError: bad data, gaps or spectrum.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    data, hidden = check_gaps(data, gaps)
    levels = _spectrum(data, hidden, signal)
    return np.where(hidden, _conditional_mean(data, hidden, levels, "the Gaussian mean fill"), data)


def gaussian_realization_fill(
    data: ArrayLike, gaps: ArrayLike, signal: ArrayLike | None, seed: int
) -> Float[np.ndarray, " p"]:
    """Fill gaps by a draw from all Gaussian fields that agree with the observed pixels.

    Args:
        data: real NESTED map `[p]`; what it holds in the gaps does not matter.
        gaps: which pixels are filled, `[p]`: boolean, or zeros and ones.
        signal: levels, as for `gaussian_mean_fill`; None for those of the observed part.
        seed: integer from 0 to 2^32 - 1.

    Returns:
        NESTED map in float64, in which the observed pixels are those of the data.

    Raises:
        ValueError: bad data, gaps, spectrum or seed.

    Source: `docs/reconstruction.md`, "Baselines"; Hoffman and Ribak 1991.
    """
    import healpy  # loads matplotlib, so not at import

    data, hidden = check_gaps(data, gaps)
    check_seed(seed)
    levels = _spectrum(data, hidden, signal)
    drawn = healpy.reorder(draw_field(levels, np.random.default_rng(seed)), r2n=True)
    name = f"the Gaussian realization fill of seed {seed}"
    rest = _conditional_mean(data - drawn, hidden, levels, name)
    return np.where(hidden, drawn + rest, data)


def diffusive_fill(data: ArrayLike, gaps: ArrayLike) -> Float[np.ndarray, " p"]:
    """Fill gaps so that every hidden pixel is the mean of its seven or eight neighbours.

    Args:
        data: real NESTED map `[p]`; what it holds in the gaps does not matter.
        gaps: which pixels are filled, `[p]`: boolean, or zeros and ones.

    Returns:
        NESTED map in float64, in which the observed pixels are those of the data.

    Raises:
        ValueError: bad data or gaps.

    Source: `docs/reconstruction.md`, "Baselines".
    """
    import healpy
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import spsolve

    data, hidden = check_gaps(data, gaps)
    pixels = np.flatnonzero(hidden)
    neighbours = healpy.get_all_neighbours(npix_to_nside(data.size), pixels, nest=True).T
    row, which = np.nonzero(neighbours >= 0)  # corners of faces lack a neighbour
    pixel = neighbours[row, which]
    inside = hidden[pixel]
    number = np.cumsum(hidden) - 1
    shape = (pixels.size, pixels.size)
    between = coo_array(
        (np.ones(int(inside.sum())), (row[inside], number[pixel[inside]])), shape=shape
    )
    count = np.bincount(row, minlength=pixels.size).astype(np.float64)
    known = np.bincount(row[~inside], data[pixel[~inside]], minlength=pixels.size)
    filled = data.copy()
    filled[pixels] = spsolve((diags_array(count) - between).tocsc(), known)
    return filled


def check_gaps(
    data: ArrayLike, gaps: ArrayLike
) -> tuple[Float[np.ndarray, " p"], Bool[np.ndarray, " p"]]:
    """Validate a map with gaps; return it in float64, the gaps at the mean, and where they are.

    Raises:
        ValueError: a bad map outside the gaps; gaps that are neither boolean nor zeros and ones,
            of another shape than the map, everywhere or nowhere.
    """
    values = to_real(data, name="data")
    where = to_numpy(gaps, name="gaps")
    if values.ndim != 1:
        return check_data(values, None)[0], where
    npix_to_nside(values.size, name="data")
    if where.shape != values.shape:
        raise ValueError(f"gaps: got shape {where.shape}, expected {values.shape} as the data")
    if where.dtype.kind not in "biuf" or not np.isin(where, (0, 1)).all():
        raise ValueError(
            f"gaps: got values of {where.dtype} other than 0 and 1, expected True in the pixels to "
            "fill and False in all others (of a mask of weights, mask < 0.5)"
        )
    hidden = where.astype(bool)
    if not hidden.any() or hidden.all():
        what = "every pixel" if hidden.all() else "no pixel"
        raise ValueError(f"gaps: got {what}, expected some to fill and others that are observed")
    return check_data(values, ~hidden)[0], hidden


def _spectrum(
    data: Float[np.ndarray, " p"], hidden: Bool[np.ndarray, " p"], signal: ArrayLike | None
) -> Float[np.ndarray, " l"]:
    given = None
    if signal is not None:
        given = check_levels(signal, npix_to_nside(data.size), "signal")
        if np.size(signal) < given.size:
            given[-1] = given[-2]
        if not given[1:].any():
            raise ValueError("signal: got zero from l = 1 on, expected some power")
    observed = observed_spectrum(data, (~hidden).astype(np.float64))
    # A spectrum without power that the data do have would make anything of the gaps.
    return observed if given is None else np.maximum(given, _LEAST_POWER * observed)


def _conditional_mean(
    data: Float[np.ndarray, " p"],
    hidden: Bool[np.ndarray, " p"],
    levels: Float[np.ndarray, " l"],
    name: str,
) -> Float[np.ndarray, " p"]:
    amplitude = np.where(hidden, np.inf, 1.0)
    return solve_wiener(data, levels, np.zeros_like(levels), amplitude, name=name)
