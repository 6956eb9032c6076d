"""Two fields of one sky: how they are correlated in bins of multipoles, and their coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.fields.pairs import Pair, changes_sign, order_fields, pair_name
from jaxscat.harmonics.cross_spectra import correlation
from jaxscat.harmonics.spectra import harmonic_coefficients
from jaxscat.maps import cover_hidden
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.validation.coherence import GROUPS, Bounds, coherence_errors
from jaxscat.validation.forms import Form
from jaxscat.validation.rows import finite_or_none

Map = Float[np.ndarray, " p"]
Spectra = Mapping[Pair, Float[np.ndarray, " l"]]


@dataclass(frozen=True)
class PairCorrelation:
    """The correlation of two fields, of the original and of groups of skies.

    Attributes:
        bins: inclusive ranges of multipoles.
        chance: its standard deviation in every bin for independent Gaussian fields.
        original: correlation of the fields of the original in every bin.
        groups: correlations of each sky of a group: "synthesized", and if there are such, "start"
            and "gaussian".
    """

    bins: Sequence[tuple[int, int]]
    chance: Float[np.ndarray, " bins"]
    original: Float[np.ndarray, " bins"]
    groups: Mapping[str, Float[np.ndarray, "skies bins"]]

    def as_json(self, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """Return an entry for every bin, with the correlation of the sky of every seed."""
        entries = []
        for at, (low, high) in enumerate(self.bins):
            columns = {name: rows[:, at] for name, rows in self.groups.items()}
            made = columns["synthesized"]
            entries.append(
                {
                    "l_min": low,
                    "l_max": high,
                    "chance": float(self.chance[at]),
                    "original": float(self.original[at]),
                    **summary_of(columns),
                    "maps": {str(s): float(r) for s, r in zip(seeds, made, strict=True)},
                }
            )
        return finite_or_none(entries)


@dataclass(frozen=True)
class CoherenceErrors:
    """How far the coefficients of a pair are from the original's, for groups of skies.

    Attributes:
        pair: names of the fields; twice the same for a field alone.
        groups: for every sky of a group, the `coherence_errors`: "synthesized", and if there are
            such, "start" and "gaussian".
        among_controls: the same of every control from each of the others, on average.
        odd: names of the groups of coefficients whose sign a mirror changes.
        imposed: whether the pair was in the target.
        compared: what is compared, in words, such as "coefficients".
    """

    pair: Pair
    groups: Mapping[str, Sequence[Mapping[str, float]]]
    among_controls: Sequence[Mapping[str, float]]
    odd: frozenset[str]
    imposed: bool
    compared: str

    def as_json(self) -> list[dict[str, Any]]:
        """Return an entry for S1 to S4, with means and scatter over the skies of a group.

        `separation` is by how many standard deviations of the controls these are farther from the
        original than the new maps are, and `texture` by how many of them the original is farther
        from the controls than these are from one another: a Gaussian sky has none.
        """
        entries = []
        for name in [name for name in GROUPS if name in self.groups["synthesized"][0]]:
            columns = {
                group: np.array([one[name] for one in errors])
                for group, errors in self.groups.items()
            }
            entry = {
                "name": name,
                "parity": "odd" if name in self.odd else "even",
                "compared": self.compared,
                "imposed": self.imposed,
                **summary_of(columns),
            }
            among = np.array([one[name] for one in self.among_controls])
            apart = texture = np.nan
            if "gaussian" in columns:
                apart = _over(entry["gaussian"] - entry["mean"], entry["gaussian_std"])
                texture = _over(entry["gaussian"] - _mean(among), _scatter(among))
            entries.append({**entry, "separation": apart, "texture": texture})
        return finite_or_none(entries)


def summary_of(columns: Mapping[str, Float[np.ndarray, " skies"]]) -> dict[str, float]:
    """Return mean and scatter of a number over the skies of every group.

    Returns:
        `start`, `gaussian` and `gaussian_std` if there are such, and `mean` and `std` of new maps;
        the scatter of a single sky is NaN.
    """
    found = {}
    for group in ("start", "gaussian"):
        if group in columns:
            found[group] = _mean(columns[group])
    if "gaussian" in columns:
        found["gaussian_std"] = _scatter(columns["gaussian"])
    return found | {"mean": _mean(columns["synthesized"]), "std": _scatter(columns["synthesized"])}


def spectra_of_pairs(maps: Mapping[str, Map], footprint: Map | None = None) -> Spectra:
    """Return the C_l of every field alone and of every two, up to 3 nside - 1.

    Under a footprint those of the cut sky, over the mean of its square.

    Args:
        maps: NESTED maps of the whole sphere, by field.
        footprint: weights of the pixels; what maps hold where it is zero does not matter.
    """
    import healpy  # loads matplotlib, so not at import

    harmonics = {}
    for field, map in maps.items():
        seen = map if footprint is None else cover_hidden(map, footprint)
        harmonics[field] = harmonic_coefficients(seen, footprint)
    share = 1.0 if footprint is None else float(np.mean(np.square(footprint)))
    fields = order_fields(maps)
    return {
        (one, other): healpy.alm2cl(harmonics[one], harmonics[other]) / share
        for at, one in enumerate(fields)
        for other in fields[at:]
    }


def correlate_pair(
    pair: Pair,
    skies: Mapping[str, Sequence[Spectra]],
    bins: Sequence[tuple[int, int]],
    footprint: Map | None = None,
) -> PairCorrelation:
    """Return the correlation of two different fields in bins.

    Args:
        pair: names of the fields.
        skies: spectra of every sky of a group (see `spectra_of_pairs`); of "original" just one.
        bins: inclusive ranges of multipoles.
        footprint: weights of the pixels, for the level of chance.
    """
    one, other = pair

    def of_sky(spectra: Spectra) -> Float[np.ndarray, " bins"]:
        named = {"AA": spectra[one, one], "BB": spectra[other, other], "AB": spectra[pair]}
        return correlation(named, "AB", bins)

    (original,) = skies["original"]
    groups = {
        name: np.stack([of_sky(spectra) for spectra in of_group])
        for name, of_group in skies.items()
        if name != "original" and of_group
    }
    chance = [
        chance_of_pair(original[one, one], original[other, other], low, high, footprint)
        for low, high in bins
    ]
    return PairCorrelation(bins, np.array(chance), of_sky(original), groups)


def share_beyond(
    field: str, skies: Mapping[str, Sequence[Spectra]], lmax: int
) -> dict[str, float] | None:
    """Return how much of the variance of a field is beyond a multipole.

    Args:
        field: its name.
        skies: as for `correlate_pair`.
        lmax: the multipole, such as a band limit.

    Returns:
        that of the `original`, and the `summary_of` other skies; None if there is nothing beyond.
    """

    def share(spectra: Spectra) -> float:
        spectrum = spectra[field, field][1:]
        power = (2.0 * np.arange(1, spectrum.size + 1) + 1.0) * spectrum
        return _over(float(power[lmax:].sum()), float(power.sum()))

    columns = {name: np.array([share(one) for one in of]) for name, of in skies.items() if of}
    (spectra,) = skies["original"]
    if lmax >= spectra[field, field].size - 1:
        return None
    return finite_or_none({"original": share(spectra), **summary_of(columns)})


def chance_of_pair(
    first: Float[np.ndarray, " l"],
    second: Float[np.ndarray, " l"],
    low: int,
    high: int,
    footprint: Map | None = None,
) -> float:
    """Return the standard deviation of the correlation of two independent Gaussian fields.

    As `chance_correlation`, for fields of different spectra; NaN where one has no power.

    Source: `docs/conventions.md`, "Validation".
    """
    modes = 2.0 * np.arange(low, high + 1) + 1.0
    one, other = first[low : high + 1], second[low : high + 1]
    power = (modes @ one) * (modes @ other)
    if not power > 0:
        return float("nan")
    sky = 1.0
    if footprint is not None:
        sky = np.mean(footprint**2) ** 2 / np.mean(footprint**4)
    return float(np.minimum(np.sqrt(modes @ (one * other) / power / sky), 1.0))


def compare_pair(
    pair: Pair, skies: Mapping[str, Sequence[FieldCovariances]], bounds: Bounds, form: Form
) -> CoherenceErrors:
    """Return how far the coefficients of a pair are from the original's, for every other sky.

    Args:
        pair: names of the fields.
        skies: coefficients of every sky of a group; of "original" just one.
        bounds: of the original's coefficients of the pair.
        form: in which coefficients are compared.
    """
    name = pair_name(pair)
    (original,) = [form.bring(pair, sky[name]) for sky in skies["original"]]
    formed = form.bound(bounds, skies["original"][0][name])
    of_pair = {
        group: [form.bring(pair, one[name]) for one in of_group]
        for group, of_group in skies.items()
        if group != "original" and of_group
    }

    def errors(one: Any, other: Any) -> dict[str, float]:
        found = coherence_errors(one, other, formed)
        return found | {group: np.nan for group in found if form.is_empty(pair, group)}

    groups = {
        group: [errors(one, original) for one in of_group] for group, of_group in of_pair.items()
    }
    controls = of_pair.get("gaussian", [])
    among = []
    for at, one in enumerate(controls):
        others = [errors(one, other) for n, other in enumerate(controls) if n != at]
        if others:
            among.append({key: _mean(np.array([e[key] for e in others])) for key in others[0]})
    odd = frozenset(group for group in GROUPS if changes_sign(pair, group))
    return CoherenceErrors(pair, groups, among, odd, form.has(pair), form.compared)


def _mean(values: Float[np.ndarray, " n"]) -> float:
    return float(values.mean()) if values.size else np.nan


def _scatter(values: Float[np.ndarray, " n"]) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else np.nan


def _over(difference: float, scatter: float) -> float:
    return difference / scatter if scatter > 0 else np.nan
