"""The figure of polarized skies: segments, E and B or Q and U, their spectra and correlations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from jaxscat.harmonics.cross_spectra import check_footprint, polarized_spectra
from jaxscat.maps import (
    check_kind,
    check_map,
    cover_hidden,
    describe,
    is_integer,
    npix_to_nside,
    to_real,
)
from jaxscat.plotting.polarization_sky import draw_polarized_skies, scalars_of, skies_height
from jaxscat.plotting.polarization_spectra import (
    PolarizedCurves,
    draw_pair_correlation,
    draw_power,
    legend_of,
    polarized_curves,
)
from jaxscat.plotting.saving import as_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Map = Float[np.ndarray, " p"]
Fields = Mapping[str, Map]

# Width in inches, and that of two columns of maps.
_WIDTH, _NARROW = 16.0, 13.0
_NAMES = ("T", "E", "B", "Q", "U")


def plot_polarization(
    original: Fields,
    made: Mapping[int, Fields],
    *,
    control: Fields | None = None,
    lmax: int | None = None,
    footprint: Map | None = None,
    title: str = "",
    unit: str = "map units",
) -> Figure:
    """Plot polarized skies and their spectra: an original, new maps, and a Gaussian control.

    Rows of maps are the original, the first of the new maps, and the control: intensity T (without
    it the polarized intensity P) with headless segments along the polarization, a zoom to where P
    is strongest in each of them, E and B, all on the colours and lengths of the original. Below
    are the spectra TT, EE and BB, and the correlations of different maps, with the median and the
    16th to 84th percentile of several seeds. Panels of fields that one of the skies lacks are left
    out.

    Skies without E and B, such as those that lack data in places, have the scalar maps Q and U in
    their place, with the spectra TT, QQ and UU and the correlations TQ, TU and QU.

    Args:
        original: NESTED maps [p] in one unit, by name: "E" and "B", or "Q" and "U", or all of them,
            and perhaps "T". U has the sign of COSMO.
        made: the same for new maps, by seed.
        control: the same for a Gaussian control.
        lmax: band limit of E and B, beyond which they have no power: it is shaded, and nothing is
            compared there. None for maps with all multipoles to 3 nside - 1. Q and U
            alone have no such limit: it is ignored.
        footprint: weights of the pixels [p], such as a mask: where it is zero there are no data,
            whatever maps hold, and these pixels are grey and without segments. Spectra are those
            of the cut sky, over the mean square of the weights, and couple multipoles.
        title: title of the figure.
        unit: unit of all maps.

    Returns:
        figure without a window.

    Raises:
        ValueError: E and B as well as Q and U are missing, or one of two; not all skies have the
            one or the other two; a map is no finite real map of the whole sphere, or its nside is
            not that of the original; there is no new map; `lmax` is no integer from 2 to
            3 nside - 1; or `footprint` is no mask of the maps.

    Source: `docs/map-files.md`, "Frame and polarization convention"; Kamionkowski, Kosowsky &
    Stebbins 1997, Phys. Rev. D 55, 7368.
    """
    from jaxscat.plotting.layout import new_figure

    skies, weights, nside = _checked(original, made, control, footprint)
    if lmax is not None and (not is_integer(lmax) or not 2 <= lmax < 3 * nside):
        raise ValueError(
            f"lmax: got {describe(lmax)}, expected an integer from 2 to {3 * nside - 1}"
        )
    check_kind(title, str, "title", "text")
    check_kind(unit, str, "unit", "text")
    unit = as_label(unit)
    curves = _curves(skies, nside, lmax, weights)
    rows = _rows(skies, weights)
    powers = [pair for pair in curves.pairs if pair[0] == pair[1]]
    others = [pair for pair in curves.pairs if pair[0] != pair[1]]
    together = len(others) == 1
    names = frozenset(next(iter(rows.values())))
    width = _WIDTH if len(names) > 2 else _NARROW
    heights = [skies_height(width, names, len(rows)), 4.6 if together else 7.6]
    figure: Any = new_figure(width, sum(heights) + 0.6)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.1)
    if title:
        figure.suptitle(as_label(title), fontsize=18)
    parts = figure.subfigures(2, 1, height_ratios=heights)
    draw_polarized_skies(parts[0], rows, unit)
    if together:
        axes = parts[1].subplots(1, 3)
    else:
        axes = parts[1].subplots(2, 3, height_ratios=[1.25, 1.0]).ravel()
    for axis, pair in zip(axes, powers + others, strict=True):
        if pair in powers:
            draw_power(axis, curves, pair, unit)
        else:
            draw_pair_correlation(axis, curves, pair)
    _draw_legend(parts[1], curves)
    return figure


def _draw_legend(figure: Any, curves: PolarizedCurves) -> None:
    from matplotlib.legend_handler import HandlerTuple

    handles, labels = legend_of(curves)
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=len(labels),
        frameon=False,
        fontsize=13,
        handler_map={tuple: HandlerTuple(ndivide=1, pad=0.0)},
        handlelength=2.6,
    )


def _checked(
    original: Fields,
    made: Mapping[int, Fields],
    control: Fields | None,
    footprint: Map | None,
) -> tuple[dict[str, dict[Any, dict[str, Map]]], Map | None, int]:
    """Return the fields that all skies have, by group and seed, the weights, and their nside."""
    check_kind(made, Mapping, "made", "fields by seed")
    if not made:
        raise ValueError("made: got no seed, expected fields of at least one")
    known = _known_fields(original, "original")
    weights = None
    if footprint is not None:
        npix = to_real(original[known[0]], name=f'original["{known[0]}"]').size
        weights = check_footprint(footprint, npix)
    first = _checked_fields(original, "original", weights, None)
    nside = npix_to_nside(first[known[0]].size)
    skies: dict[str, dict[Any, dict[str, Map]]] = {"original": {None: first}}
    skies["synthesized"] = {
        seed: _checked_fields(fields, f"made[{seed!r}]", weights, nside)
        for seed, fields in made.items()
    }
    if control is not None:
        skies["Gaussian control"] = {None: _checked_fields(control, "control", weights, nside)}
    common = set(first)
    for group, of_group in skies.items():
        for seed, fields in of_group.items():
            common &= set(fields)
            if not common & {"E", "Q"}:
                name = {"synthesized": f"made[{seed!r}]", "Gaussian control": "control"}[group]
                raise ValueError(
                    f"{name}: got the fields {', '.join(fields)}, expected E and B, or Q and U, "
                    "whichever the other skies have"
                )
    kept = {
        group: {
            seed: {name: map for name, map in fields.items() if name in common}
            for seed, fields in of_group.items()
        }
        for group, of_group in skies.items()
    }
    return kept, weights, nside


def _known_fields(fields: Fields, name: str) -> list[str]:
    """Return the names of the fields of one sky in the order of `_NAMES`, if they can be drawn."""
    check_kind(fields, Mapping, name, "maps by the names T, E, B, Q and U")
    known = [field for field in _NAMES if field in fields]
    if (
        len(known) != len(fields)
        or not {"E", "Q"} & set(known)
        or ("E" in known) != ("B" in known)
        or ("Q" in known) != ("U" in known)
    ):
        raise ValueError(
            f"{name}: got the fields {', '.join(map(str, fields)) or 'of no name'}, expected E and "
            "B, or Q and U, or all of them, and perhaps T"
        )
    return known


def _checked_fields(
    fields: Fields, name: str, weights: Map | None, nside: int | None
) -> dict[str, Map]:
    """Return the fields of one sky in float64, with the mean of the others in hidden pixels."""
    found: dict[str, Map] = {}
    for field in _known_fields(fields, name):
        label = f'{name}["{field}"]'
        values: Any = fields[field]
        if weights is not None:
            values = cover_hidden(values, weights, name=label)
        values = check_map(values, name=label, nside=nside, allow_constant=True)
        nside = npix_to_nside(values.size)
        found[field] = values.astype(np.float64)
    return found


def _curves(
    skies: Mapping[str, Mapping[Any, Fields]],
    nside: int,
    lmax: int | None,
    weights: Map | None,
) -> PolarizedCurves:
    scalars = scalars_of(skies["original"][None])
    names = ("T", *scalars)
    spectra = {
        name: [polarized_spectra(fields, weights, names=names) for fields in skies[name].values()]
        for name in ("Gaussian control", "original", "synthesized")
        if name in skies
    }
    band = lmax if "E" in scalars else None
    return polarized_curves(spectra, nside=nside, lmax=band, footprint=weights)


def _rows(
    skies: Mapping[str, Mapping[Any, Fields]], weights: Map | None
) -> dict[str, dict[str, Map]]:
    """Return the skies to draw, by title, with NaN in pixels without weight."""
    seed, made = next(iter(skies["synthesized"].items()))
    rows = {"original": skies["original"][None], f"new map (seed {seed})": made}
    if "Gaussian control" in skies:
        rows["Gaussian control"] = skies["Gaussian control"][None]
    seen = True if weights is None else weights > 0
    return {
        title: {name: np.where(seen, map, np.nan) for name, map in fields.items()}
        for title, fields in rows.items()
    }
