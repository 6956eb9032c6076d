"""Maps of E and B from maps of Q and U, and back, on the host."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from jaxscat.maps import (
    check_finite,
    is_integer,
    npix_to_nside,
    to_real,
    unseen_pixels,
)

# With these, maps of the default band limit return to 2e-12 from nside 8 up.
ITERATIONS = 12


class _EBMaps(NamedTuple):
    e: Float[np.ndarray, "*n p"]
    b: Float[np.ndarray, "*n p"]


class _QUMaps(NamedTuple):
    q: Float[np.ndarray, "*n p"]
    u: Float[np.ndarray, "*n p"]


class EBMaps(_EBMaps):
    """A pair of NESTED maps E and B, or of stacks of them; `e, b = pair` unpacks it.

    Attributes:
        e: maps `[p]` or `[n, p]`, in the unit of Q and U.
        b: the same of B.
        lmax: last multipole of both; None where a transformation of pytrees made the pair.

    Source: `docs/polarization.md`, "E and B".
    """

    lmax: int | None = None


class QUMaps(_QUMaps):
    """A pair of NESTED maps Q and U, or of stacks of them; `q, u = pair` unpacks it.

    Attributes:
        q: maps `[p]` or `[n, p]`, in the unit of E and B.
        u: the same of U, in the COSMO convention.
        lmax: last multipole of both; None where a transformation of pytrees made the pair.

    Source: `docs/polarization.md`, "E and B".
    """

    lmax: int | None = None


def eb_from_qu(
    q: ArrayLike, u: ArrayLike, *, lmax: int | None = None, iterations: int = ITERATIONS
) -> EBMaps:
    """Return the scalar maps E and B of the Stokes parameters Q and U of the whole sky.

    Maps that have no multipoles beyond 2 nside return from `qu_from_eb` to 2e-12 of their largest
    value at nside 8 and more closely above (1e-11 at nside 4), and E alone gives a B below 1e-12 of
    E. With 3 iterations, the default of healpy, it is 3e-5 to 3e-4, and 3e-7 to 7e-5 of E.

    Args:
        q: NESTED map `[p]`, or maps `[n, p]`, on the whole sky.
        u: the same of U, in the COSMO convention of HEALPix. Where a file says POLCCONV = IAU, give
            -U.
        lmax: last multipole, from 2 to 3 nside - 1; 2 nside by default. Beyond, pixels tell
            multipoles apart badly, and E leaks into B however many iterations there are.
        iterations: number of Jacobi iterations of the analysis.

    Returns:
        the pair E, B, in the precision of Q and U. Multipoles below 2 are zero, so both have the
        mean zero.

    Raises:
        ValueError: maps that are not alike, not of the whole sky or no HEALPix maps, or a band
            limit or a number of iterations that is not possible.

    Source: `docs/polarization.md`, "E and B"; Zaldarriaga and Seljak 1997.

    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((2, 768))
    >>> e, b = eb_from_qu(*qu_from_eb(noise[0], 0 * noise[0]))
    >>> bool(np.std(b) < 1e-11 * np.std(e))
    True
    """
    maps, nside = check_pair(q, u, ("q", "u"))
    lmax, iterations = check_band_limit(lmax, nside), check_iterations(iterations)

    def transform(ringed: Float[np.ndarray, "2 p"]) -> list[np.ndarray]:
        import healpy  # loads matplotlib, so not at import

        of_temperature = np.zeros_like(ringed[0])
        harmonics = healpy.map2alm([of_temperature, *ringed], lmax=lmax, iter=iterations)
        return [healpy.alm2map(one, nside, lmax=lmax) for one in harmonics[1:]]

    pair = EBMaps(*_transformed(maps, transform))
    pair.lmax = lmax
    return pair


def qu_from_eb(
    e: ArrayLike, b: ArrayLike, *, lmax: int | None = None, iterations: int = ITERATIONS
) -> QUMaps:
    """Return the Stokes parameters Q and U of scalar maps E and B of the whole sky.

    Args:
        e: NESTED map `[p]`, or maps `[n, p]`. Its multipoles below 2 have no effect.
        b: the same of B.
        lmax: last multipole, from 2 to 3 nside - 1; 2 nside by default. What E and B have beyond is
            lost.
        iterations: number of Jacobi iterations of the analysis.

    Returns:
        the pair Q, U, in the COSMO convention and in the precision of E and B.

    Raises:
        ValueError: as `eb_from_qu`.

    Source: `docs/polarization.md`, "E and B"; Zaldarriaga and Seljak 1997.
    """
    maps, nside = check_pair(e, b, ("e", "b"))
    lmax, iterations = check_band_limit(lmax, nside), check_iterations(iterations)

    def transform(ringed: Float[np.ndarray, "2 p"]) -> list[np.ndarray]:
        import healpy

        # A large mean would leak to other multipoles, and has no effect itself.
        ringed = ringed - ringed.mean(axis=-1, keepdims=True)
        harmonics = [healpy.map2alm(one, lmax=lmax, iter=iterations) for one in ringed]
        return healpy.alm2map_spin(harmonics, nside, 2, lmax)

    pair = QUMaps(*_transformed(maps, transform))
    pair.lmax = lmax
    return pair


def check_pair(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[Float[np.ndarray, "2 *n p"], int]:
    """Return two maps or stacks of maps of the whole sky, and their nside.

    Raises:
        ValueError: they are no such maps, or of different shapes.
    """
    checked: list[np.ndarray] = []
    for given, name in zip((first, second), names, strict=True):
        holes = int(np.ma.count_masked(given)) if isinstance(given, np.ma.MaskedArray) else 0
        values = to_real(np.ma.getdata(given) if holes else given, name=name)
        if values.ndim not in (1, 2) or 0 in values.shape:
            raise ValueError(
                f"{name}: got an array of shape {values.shape}, expected one map (npix,) or a "
                "stack (maps, npix)"
            )
        if checked and values.shape != checked[0].shape:
            raise ValueError(
                f"{name}: got an array of shape {values.shape}, expected {checked[0].shape} as "
                f"{names[0]} has"
            )
        npix_to_nside(values.shape[-1], name=name)
        holes = holes or int((np.isnan(values) | unseen_pixels(values)).sum())
        if holes:
            raise ValueError(
                f"{name}: got {holes} of {values.size} pixels without data (NaN, UNSEEN or "
                "masked), expected the whole sky, because E and B of a cut sky mix: fill the gaps "
                "of Q and U first, or treat Q and U as two scalar maps"
            )
        check_finite(values, name=name)
        checked.append(values)
    return np.stack(checked), npix_to_nside(checked[0].shape[-1])


def check_band_limit(lmax: Any, nside: int) -> int:
    """Return the band limit, 2 nside if it is None.

    Raises:
        ValueError: it is no integer from 2 to 3 nside - 1.
    """
    if lmax is None:
        return 2 * nside
    last = 3 * nside - 1
    if not is_integer(lmax) or not 2 <= lmax <= last:
        above = is_integer(lmax) and lmax > last
        raise ValueError(
            f"lmax: got {lmax!r}{', above what the tables hold' if above else ''}, expected an "
            f"integer from 2 to {last} (3 nside - 1)"
        )
    return int(lmax)


def check_iterations(iterations: Any) -> int:
    """Return the number of Jacobi iterations, an integer from 0 up, or raise ValueError."""
    if not is_integer(iterations) or iterations < 0:
        raise ValueError(f"iterations: got {iterations!r}, expected an integer from 0 up")
    return int(iterations)


def _transformed(
    maps: Float[np.ndarray, "2 *n p"],
    transform: Callable[[Float[np.ndarray, "2 p"]], list[np.ndarray]],
) -> Float[np.ndarray, "2 *n p"]:
    """Apply a transform of two RING maps in float64 to every two NESTED maps of a stack."""
    import healpy

    shape, precision = maps.shape, maps.dtype
    pairs = maps.reshape(2, -1, shape[-1]).astype(np.float64)
    found = np.empty_like(pairs)
    for n in range(pairs.shape[1]):
        ringed = np.stack([healpy.reorder(map, n2r=True) for map in pairs[:, n]])
        found[:, n] = [healpy.reorder(map, r2n=True) for map in transform(ringed)]
    return found.reshape(shape).astype(precision)
