"""How near estimates of several fields are to the truth: of each alone, and of pairs of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.fields.pairs import Pair, all_pairs, order_fields, pair_name
from jaxscat.harmonics.cross_spectra import correlation
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.field_covariances import FieldCovariances
from jaxscat.statistics.fields import measure_fields
from jaxscat.validation.pairs import chance_of_pair, spectra_of_pairs
from jaxscat.validation.recovery import Recovery, assess, average_rows
from jaxscat.validation.rows import finite_or_none
from jaxscat.validation.scattering import relative_errors
from jaxscat.validation.spectra import binned_ratio

Map = Float[np.ndarray, " p"]
Maps = Mapping[str, Map]
Bins = list[tuple[int, int]]


@dataclass(frozen=True)
class PairRecovery:
    """How near estimates of two fields together (or of one) are to a truth.

    Attributes:
        rows: of every estimate "S1" to "S4" (relative errors; None without a truth) and
            "correlation" of the two fields in every bin (None for one field); of several solutions
            means, and "scatter".
        truth: the correlation of the truth's fields in every bin, or None.
        chance: its standard deviation in every bin for independent fields of the truth's spectra
            (or the data's), or None for one field.
    """

    rows: dict[str, dict[str, Any]]
    truth: list[float] | None
    chance: list[float] | None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers for a JSON file; undefined ones are None."""
        return finite_or_none({"rows": self.rows, "truth": self.truth, "chance": self.chance})


@dataclass(frozen=True)
class FieldRecovery:
    """How near estimates of several fields are to a truth, or what can be said without one.

    Attributes:
        fields: of every field that is estimated, as of a map alone.
        pairs: by name of every pair with such a field, such as "EE" and "TE".
        noise_share: of every field, the part of the data's power that is noise in every bin.
        spectra: of every estimate and the "truth", C_l of every pair by its name; of several
            solutions the mean. Of "noise", the power of every field.
        lmax: last multipole that is compared.
    """

    fields: dict[str, Recovery]
    pairs: dict[str, PairRecovery]
    noise_share: dict[str, list[float]]
    lmax: int
    spectra: Mapping[str, Mapping[str, Float[np.ndarray, " l"]]] = field(
        default_factory=dict, repr=False
    )

    @property
    def _first(self) -> Recovery:
        return next(iter(self.fields.values()))

    @property
    def bins(self) -> Bins:
        """Inclusive bins of multipoles."""
        return self._first.bins

    @property
    def names(self) -> list[str]:
        """Names of the estimates, as of a `Recovery`."""
        return self._first.names

    @property
    def has_truth(self) -> bool:
        """Whether there is a truth."""
        return self._first.truth is not None

    def to_json(self) -> dict[str, Any]:
        """Return the numbers for a JSON file; undefined ones are None."""
        return finite_or_none(
            {
                "bins": [{"l_min": low, "l_max": high} for low, high in self.bins],
                "names": self.names,
                "lmax": self.lmax,
                "fields": {name: one.to_json() for name, one in self.fields.items()},
                "pairs": {name: one.to_json() for name, one in self.pairs.items()},
                "noise_share": self.noise_share,
            }
        )

    def as_table(self) -> list[list[Any]]:
        """Return all numbers, one a line: of a field or pair, of an estimate, in a bin or not."""
        lines: list[list[Any]] = [
            ["of", "estimate", "quantity", "l_min", "l_max", "value", "scatter"]
        ]
        both = [(name, one.rows) for name, one in self.fields.items()]
        both += [(name, one.rows) for name, one in self.pairs.items()]
        for of, rows in both:
            for estimate, row in rows.items():
                scatter = row.get("scatter") or {}
                for quantity, value in row.items():
                    if quantity != "scatter" and value is not None:
                        lines += [
                            [of, estimate, quantity, *line]
                            for line in self._entries(value, scatter.get(quantity))
                        ]
        return lines

    def _entries(self, value: Any, scatter: Any) -> list[list[Any]]:
        if not isinstance(value, list):
            return [["", "", value, "" if scatter is None else scatter]]
        spread = [""] * len(value) if scatter is None else scatter
        each = zip(self.bins, value, spread, strict=True)
        return [[low, high, number, of] for (low, high), number, of in each]


def assess_fields(
    estimates: Mapping[str, Maps],
    pyramid: Pyramid,
    *,
    truth: Maps | None = None,
    known: Maps | None = None,
    seeds: Mapping[str, Float[np.ndarray, "B p"]] | None = None,
    noise: Mapping[str, Float[np.ndarray, " l"]] | None = None,
    expected: Mapping[str, Float[np.ndarray, " l"]] | None = None,
    lmax: int | None = None,
) -> FieldRecovery:
    """Compare estimates of several fields with the truth, and with one another.

    Args:
        estimates: NESTED maps of the whole sphere by field, by the names of estimates: "data",
            baselines, and "reconstruction" where there is a single one.
        pyramid: operators for their nside.
        truth: what is to be recovered, by field.
        known: fields without noise, the same beside every estimate and beside the truth.
        seeds: maps of all solutions by field, for the row "reconstruction" and (of two or more)
            "mean".
        noise: C_l of the noise of the data, by field.
        expected: without a truth, C_l with which power is compared, by field.
        lmax: last multipole that is compared; None for 3 nside - 1.

    Returns:
        numbers of every field and every pair.

    Raises:
        ValueError: as `assess`.

    Source: `docs/polarization.md`, "Denoising".
    """
    several = next(iter(estimates.values())) if seeds is None else seeds
    fields = order_fields(several)
    alone = {
        name: assess(
            {estimate: maps[name] for estimate, maps in estimates.items()},
            pyramid,
            truth=None if truth is None else truth[name],
            seeds=None if seeds is None else seeds[name],
            spectrum=None if truth is not None or expected is None else expected[name],
            lmax=lmax,
        )
        for name in fields
    }
    first = alone[fields[0]]
    skies = _skies(estimates, seeds, first.names)
    beside = {} if known is None else dict(known)
    pairs = tuple(
        pair for pair in all_pairs(order_fields([*fields, *beside])) if {*pair} & {*fields}
    )
    of_truth = None if truth is None else _measure(truth, beside, pyramid, pairs)
    measured = {
        name: [_measure(sky, beside, pyramid, pairs) for sky in of_name]
        for name, of_name in skies.items()
    }
    level = of_truth or measured["data"][0]
    share = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, levels in (noise or {}).items():
            data = alone[name].spectra["data"]
            share[name] = binned_ratio(levels[: data.size], data, first.bins)
    spectra = {
        name: {key: np.mean([one.spectra[key] for one in of], axis=0) for key in level.spectra}
        for name, of in measured.items()
    }
    if of_truth is not None:
        spectra["truth"] = of_truth.spectra
    if noise is not None:
        spectra["noise"] = {pair_name((name, name)): of for name, of in noise.items()}
    return FieldRecovery(
        fields=alone,
        pairs={
            pair_name(pair): _pair(pair, measured, of_truth, level, first.bins) for pair in pairs
        },
        noise_share=share,
        lmax=first.bins[-1][1],
        spectra=spectra,
    )


@dataclass(frozen=True)
class _Measured:
    """The coefficients of a sky, and its spectra by the names of pairs."""

    coefficients: FieldCovariances
    spectra: dict[str, Float[np.ndarray, " l"]]


def _measure(maps: Maps, known: Maps, pyramid: Pyramid, pairs: tuple[Pair, ...]) -> _Measured:
    every: Any = {**known, **maps}
    every = {name: np.asarray(every[name], np.float64) for name in order_fields(every)}
    spectra = {pair_name(pair): of for pair, of in spectra_of_pairs(every).items()}
    return _Measured(measure_fields(every, pyramid, pairs=pairs), spectra)


def _skies(
    estimates: Mapping[str, Maps], seeds: Mapping[str, Any] | None, names: list[str]
) -> dict[str, list[Maps]]:
    """Return the skies of every estimate in the order of its names."""
    found: dict[str, list[Maps]] = {name: [maps] for name, maps in estimates.items()}
    if seeds is not None:
        count = len(next(iter(seeds.values())))
        found["reconstruction"] = [
            {name: maps[at] for name, maps in seeds.items()} for at in range(count)
        ]
        found["mean"] = [{name: np.mean(maps, axis=0) for name, maps in seeds.items()}]
    return {name: found[name] for name in names}


def _pair(
    pair: Pair,
    measured: Mapping[str, list[_Measured]],
    truth: _Measured | None,
    level: _Measured,
    bins: Bins,
) -> PairRecovery:
    name = pair_name(pair)
    different = pair[0] != pair[1]

    def row(one: _Measured) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(("S1", "S2", "S3", "S4", "correlation"))
        if truth is not None:
            wanted: Any = truth.coefficients[name]
            got: Any = one.coefficients[name]
            found |= relative_errors(got, wanted)
        if different:
            found["correlation"] = correlation(one.spectra, name, bins).tolist()
        return found

    rows = {key: average_rows([row(one) for one in of]) for key, of in measured.items()}
    if not different:
        return PairRecovery(rows, None, None)
    first, second = (level.spectra[pair_name((one, one))] for one in pair)
    return PairRecovery(
        rows,
        None if truth is None else correlation(truth.spectra, name, bins).tolist(),
        [chance_of_pair(first, second, low, high) for low, high in bins],
    )
