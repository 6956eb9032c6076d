"""Random maps of several fields together to start a synthesis from."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool, Complex, Float

from jaxscat.fields.pairs import Pair, check_pairs, check_parity, common_spectra
from jaxscat.fields.seeds import check_seed
from jaxscat.fields.starts import noise
from jaxscat.harmonics.cross_spectra import spectrum_matrices
from jaxscat.harmonics.spectra import power_beyond
from jaxscat.maps import check_map, check_mask, cover_hidden, describe, npix_to_nside, to_real


def gaussian_fields(
    originals: Mapping[str, Float[np.ndarray, " p"]],
    seed: int,
    *,
    footprint: Float[np.ndarray, " p"] | None = None,
    pairs: Sequence[str | Pair] | None = None,
    parity: str = "all",
) -> dict[str, Float[np.ndarray, " p"]]:
    """Sample Gaussian random maps with all power and cross spectra of several fields of one sky.

    White noise is filtered, multipole by multipole, by the symmetric root of the matrix of the
    spectra up to 3 nside - 1; the rest of the variance of a field goes to higher multipoles, as in
    `gaussian_noise`.

    Args:
        originals: NESTED maps of the whole sphere by field, such as `{"T": t, "E": e, "B": b}`.
        seed: integer from 0 to 2^32 - 1.
        footprint: weights of the pixels in spectra and means, such as a mask; what the maps hold
            where they are zero does not matter.
        pairs: of which cross spectra are those of the originals, such as `["TT", "TE"]`, zero of
            all others; None for all.
        parity: "even" for cross spectra of zero where a mirror changes them (TB, EB), as of a
            target with that parity, whose loss does not see them.

    Returns:
        float32 maps by field, in the units and with the means of the originals.

    Raises:
        ValueError: no dictionary of maps of one nside (see `check_map`), a bad seed or footprint,
            bad pairs or a bad parity.

    Examples:
        >>> import jaxscat, numpy as np
        >>> t, e = np.random.default_rng(0).normal(size=(2, 192))  # any NESTED maps
        >>> start = jaxscat.gaussian_fields({"T": t, "E": e + t}, seed=1)
        >>> start["E"].shape, bool(np.corrcoef(start["T"], start["E"])[0, 1] > 0.4)
        ((192,), True)

    Source: `docs/polarization.md`, "Synthesis".
    """
    checked, weights = _check(originals, footprint)
    check_seed(seed)
    maps = np.stack(list(checked.values()))
    names = list(checked)
    check_parity(parity, names)
    named = None if pairs is None else check_pairs(pairs, names)
    roots, beyond = _roots(maps, weights, common_spectra(names, named, parity))
    drawn = noise(seed, maps.size).reshape(maps.shape).astype(np.float64)
    made = _filtered(drawn, roots, beyond)
    offset = np.average(maps - made, weights=weights, axis=1)
    return _as_given(originals, names, made + offset[:, None])


def white_fields(
    originals: Mapping[str, Float[np.ndarray, " p"]],
    seed: int,
    *,
    footprint: Float[np.ndarray, " p"] | None = None,
) -> dict[str, Float[np.ndarray, " p"]]:
    """Sample independent white noise with the mean and standard deviation of every field.

    Args:
        originals, seed, footprint: as for `gaussian_fields`.

    Returns:
        float32 maps by field.

    Raises:
        ValueError: as `gaussian_fields`.

    Source: `docs/conventions.md`, "Starts".
    """
    checked, weights = _check(originals, footprint)
    check_seed(seed)
    maps = np.stack(list(checked.values()))
    average = partial(np.average, weights=weights, axis=1)
    mean = average(maps)[:, None]
    spread = np.sqrt(average((maps - mean) ** 2))[:, None]
    made = mean + spread * noise(seed, maps.size).reshape(maps.shape)
    return _as_given(originals, list(checked), made)


def _as_given(
    originals: Mapping[str, Float[np.ndarray, " p"]],
    fields: list[str],
    made: Float[np.ndarray, "f p"],
) -> dict[str, Float[np.ndarray, " p"]]:
    """Return maps of fields in the order in which the originals are given."""
    return {field: made[fields.index(field)].astype(np.float32) for field in originals}


def _check(
    originals: Mapping[str, Float[np.ndarray, " p"]], footprint: Float[np.ndarray, " p"] | None
) -> tuple[dict[str, Float[np.ndarray, " p"]], Float[np.ndarray, " p"] | None]:
    """Return the checked maps in float64 and in the order of their names, and the footprint."""
    if not isinstance(originals, Mapping) or not originals:
        raise ValueError(
            f"originals: got {describe(originals)}, expected maps by field such as "
            "{'T': t, 'E': e, 'B': b}"
        )
    for field in originals:
        if not isinstance(field, str):
            raise ValueError(f"originals: got the field {field!r}, expected a name such as 'T'")
    weights = nside = None
    checked = {}
    # In the order of the names: a seed gives the same maps in whatever order they are given.
    for field in sorted(originals):
        name = f"originals[{field!r}]"
        map = to_real(originals[field], name=name)
        nside = npix_to_nside(map.size, name=name) if nside is None else nside
        if footprint is not None:
            weights = check_mask(footprint, 12 * nside**2, name="footprint")
            if weights.ndim != 1:
                raise ValueError(f"footprint: got shape {weights.shape}, expected (npix,)")
            map = cover_hidden(map, weights, name=name)
        map = check_map(map, name=name, nside=nside, allow_constant=True)
        checked[field] = map.astype(np.float64)
    return checked, weights


def _roots(
    maps: Float[np.ndarray, "f p"],
    weights: Float[np.ndarray, " p"] | None,
    common: Bool[np.ndarray, "f f"],
) -> tuple[Float[np.ndarray, "l f f"], Float[np.ndarray, " f"]]:
    """Return the roots of the spectra of every multipole, and those of the levels beyond.

    Both are for white noise of unit variance per pixel.
    """
    spectra = spectrum_matrices(maps, weights) * common
    mean = np.average(maps, weights=weights, axis=1)[:, None]
    variance = np.average((maps - mean) ** 2, weights=weights, axis=1)
    levels = [power_beyond(spectra[:, i, i], variance[i]) for i in range(len(maps))]
    per_pixel = maps.shape[1] / (4.0 * np.pi)
    values, vectors = np.linalg.eigh(spectra * per_pixel)
    roots = np.einsum("lik,lk,ljk->lij", vectors, np.sqrt(np.maximum(values, 0.0)), vectors)
    return roots, np.sqrt(np.array(levels) * per_pixel)


def _filtered(
    drawn: Float[np.ndarray, "f p"],
    roots: Float[np.ndarray, "l f f"],
    beyond: Float[np.ndarray, " f"],
) -> Float[np.ndarray, "f p"]:
    """Filter NESTED white noise by matrices of multipoles; the monopole is zero."""
    import healpy  # loads matplotlib, so not at import

    nside, last = npix_to_nside(drawn.shape[1]), len(roots) - 1
    gains = roots - np.diag(beyond)
    gains[0] = -np.diag(beyond)
    ringed = [healpy.reorder(map, n2r=True) for map in drawn]
    multipole = healpy.Alm.getlm(last)[0]
    white: list[Complex[np.ndarray, " lm"]] = [healpy.map2alm(map, iter=3) for map in ringed]
    made = []
    for i, map in enumerate(ringed):
        harmonics = sum(gains[multipole, i, j] * one for j, one in enumerate(white))
        whole = healpy.alm2map(harmonics, nside, lmax=last) + beyond[i] * map
        made.append(healpy.reorder(whole, r2n=True))
    return np.stack(made)
