"""Cross spectra of two maps, and all spectra of intensity and polarization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from jaxscat.harmonics.spectra import harmonic_coefficients
from jaxscat.maps import check_kind, check_map, check_mask, cover_hidden, npix_to_nside, to_real

Map = Float[np.ndarray, " p"]
Spectra = Mapping[str, Float[np.ndarray, " l"]]

_FIELDS = ("T", "E", "B")


def cross_spectrum(first: Map, second: Map) -> Float[np.ndarray, " l"]:
    """Return the C_l of two NESTED maps for l = 0 to 3 nside - 1, in the product of their units.

    It is symmetric in the maps, and the angular power spectrum where both are the same. Neither
    the pixel window nor a beam is removed.

    Raises:
        ValueError: a map is no finite real map of the whole sphere, or they differ in nside.

    Source: Kamionkowski, Kosowsky & Stebbins 1997, Phys. Rev. D 55, 7368.
    """
    import healpy  # loads matplotlib, so not at import

    first = check_map(first, name="first", allow_constant=True)
    nside = npix_to_nside(first.size)
    second = check_map(second, name="second", nside=nside, allow_constant=True)
    return healpy.alm2cl(harmonic_coefficients(first), harmonic_coefficients(second))


def polarized_spectra(
    fields: Mapping[str, Map],
    footprint: Map | None = None,
    *,
    names: Sequence[str] = _FIELDS,
) -> dict[str, Float[np.ndarray, " l"]]:
    """Return the spectra of intensity T and of the scalar maps E and B of polarization.

    Args:
        fields: NESTED maps of the whole sphere by name, "T", "E" and "B"; some may be missing, and
            other names, such as "Q" and "U", are ignored.
        footprint: weights of the pixels [p], as for `angular_power_spectrum`; what maps hold where
            it is zero does not matter. The spectra are then those of the cut sky, over the mean of
            its square.
        names: names of the maps, a letter each, if others are meant: with ("T", "Q", "U"), Q and U
            are taken as scalar maps.

    Returns:
        C_l for l = 0 to 3 nside - 1, in map units squared (sr), by the names of the two maps: "TT",
        "EE", "BB", "TE", "TB" and "EB", as far as their maps are given; powers come first.

    Raises:
        ValueError: `fields` has none of the maps; one is no finite real map of the whole sphere;
            they differ in nside; `footprint` is no mask of them; or a name is no letter.

    Source: Kamionkowski, Kosowsky & Stebbins 1997, Phys. Rev. D 55, 7368.
    """
    import healpy

    if not names or any(not isinstance(name, str) or len(name) != 1 for name in names):
        raise ValueError(f"names: got {names!r}, expected a letter for every map, as in 'TQU'")
    expected = " and ".join([", ".join(names[:-1]), names[-1]])
    check_kind(fields, Mapping, "fields", f"maps by the names {expected}")
    known = [name for name in names if name in fields]
    if not known:
        raise ValueError(
            f"fields: got the names {list(fields)}, expected at least one of {expected}"
        )
    weights = nside = None
    harmonics = {}
    for name in known:
        label = f'fields["{name}"]'
        map = to_real(fields[name], name=label)
        if footprint is not None:
            weights = check_footprint(footprint, map.size) if weights is None else weights
            map = cover_hidden(map, weights, name=label)
        map = check_map(map, name=label, nside=nside, allow_constant=True)
        nside = npix_to_nside(map.size)
        harmonics[name] = harmonic_coefficients(map, weights)
    share = 1.0 if weights is None else np.mean(np.square(weights))
    pairs = [2 * name for name in known] + [one + other for one, other in combinations(known, 2)]
    return {pair: healpy.alm2cl(*(harmonics[name] for name in pair)) / share for pair in pairs}


def check_footprint(footprint: Map, npix: int) -> Map:
    """Return the weights of the pixels of a map as float64.

    Raises:
        ValueError: as `check_mask`, or there are several masks.
    """
    weights = check_mask(footprint, npix, name="footprint")
    if weights.ndim != 1:
        raise ValueError(f"footprint: got shape {weights.shape}, expected (npix,)")
    return weights.astype(np.float64)


def correlation(
    spectra: Spectra, pair: str, bins: Sequence[tuple[int, int]]
) -> Float[np.ndarray, " bins"]:
    """Return the correlation of two maps in bins of multipoles, from their spectra.

    It is r = C_XY / sqrt(C_XX C_YY), with every C the sum over the modes of the bin, so that it is
    between -1 and 1; NaN where a map has no power.

    Args:
        spectra: C_l by the names of both maps, as from `polarized_spectra`.
        pair: names of two maps, such as "TE"; "ET" is the same.
        bins: inclusive ranges of multipoles, as from `multipole_bins`.

    Raises:
        ValueError: a spectrum that the pair needs is missing, or a bin reaches beyond the spectra.

    Source: Kamionkowski, Kosowsky & Stebbins 1997, Phys. Rev. D 55, 7368.

    >>> spectra = {"TT": np.ones(4), "EE": np.full(4, 4.0), "TE": np.full(4, -1.0)}
    >>> correlation(spectra, "TE", [(2, 3)]).tolist()
    [-0.5]
    """
    names = [pair] if pair in spectra else [pair[::-1]]
    names += [2 * name for name in pair]
    if len(pair) != 2 or not set(names) <= set(spectra):
        raise ValueError(
            f"pair: got {pair!r}, expected the names of two maps with spectra of their own and of "
            f"both among {', '.join(spectra)}"
        )
    cross, first, second = (np.asarray(spectra[name], np.float64) for name in names)
    found = []
    for low, high in bins:
        if not 0 <= low <= high < cross.size:
            raise ValueError(
                f"bins: got ({low}, {high}), expected ranges within 0 to {cross.size - 1}"
            )
        window = slice(low, high + 1)
        modes = 2.0 * np.arange(low, high + 1) + 1.0
        power = (modes @ first[window]) * (modes @ second[window])
        found.append(modes @ cross[window] / np.sqrt(power) if power > 0 else np.nan)
    return np.array(found, np.float64)


def spectrum_matrices(
    maps: Float[np.ndarray, "f p"], footprint: Float[np.ndarray, " p"] | None = None
) -> Float[np.ndarray, "l f f"]:
    """Return the matrix of power and cross spectra of several NESTED maps in every multipole.

    Args:
        maps: of the whole sphere.
        footprint: weights of the pixels, as for `angular_power_spectrum`.

    Returns:
        C_l for l = 0 to 3 nside - 1, in the products of the maps' units (sr).
    """
    import healpy  # loads matplotlib, so not at import

    coefficients = [harmonic_coefficients(map, footprint) for map in maps]
    fields = range(len(maps))
    rows = [[healpy.alm2cl(coefficients[i], coefficients[j]) for j in fields] for i in fields]
    spectra = np.moveaxis(np.array(rows), -1, 0)
    return spectra if footprint is None else spectra / np.mean(np.square(footprint))
