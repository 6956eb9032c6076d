"""How near estimates of a map are to the truth, and what was won over simpler estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from jaxscat.harmonics.spectra import harmonic_coefficients, multipole_bins
from jaxscat.maps import check_mask, cover_hidden
from jaxscat.operators.pyramid import Pyramid, check_pyramid
from jaxscat.statistics.checks import check_map_of
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import Measurement, build_measurement
from jaxscat.validation.distribution import pixel_moments, wasserstein_distance
from jaxscat.validation.recovery_words import describe_recovery as describe_recovery
from jaxscat.validation.rows import finite_or_none
from jaxscat.validation.scattering import measure_on_host, relative_errors
from jaxscat.validation.spectra import binned_correlation, binned_ratio, chance_correlation

Map = Float[np.ndarray, " p"]
ERRORS = ("S1", "S2", "S3", "S4")


@dataclass(frozen=True)
class Recovery:
    """How near estimates are to a truth, or what can be said of them without one.

    Attributes:
        bins: inclusive multipole bins.
        names: of the estimates in the order of tables: the data first, then baselines, then
            "reconstruction", and last "mean" (of several solutions).
        rows: of every estimate "S1" to "S4" (relative errors), "power_ratio" and "correlation"
            (in every bin), "residual" (rms of the difference from the truth, over the truth's
            std), "skewness", "wasserstein" (in std of the truth) and "std" (unit of the maps);
            None where it needs a truth and there is none. The row of several solutions holds means
            over them, and "scatter": the standard deviation of each number.
        truth: its "skewness", "std" and "spectrum", or None.
        chance: standard deviation in every bin of the correlation of independent maps; None
            without a truth.
        spectra: C_l of every estimate and of the "truth", of several solutions the mean.
        coefficients: the same of scattering covariances.
    """

    bins: list[tuple[int, int]]
    names: list[str]
    rows: dict[str, dict[str, Any]]
    truth: dict[str, Any] | None
    chance: list[float] | None = None
    spectra: Mapping[str, Float[np.ndarray, " l"]] = field(default_factory=dict, repr=False)
    coefficients: Mapping[str, ScatteringCovariance] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers for a JSON file; undefined ones are None."""
        truth = None
        if self.truth is not None:
            truth = {**self.truth, "spectrum": np.asarray(self.truth["spectrum"]).tolist()}
        return finite_or_none(
            {
                "bins": [{"l_min": low, "l_max": high} for low, high in self.bins],
                "names": self.names,
                "rows": self.rows,
                "truth": truth,
                "chance": self.chance,
            }
        )


@dataclass(frozen=True)
class _Reference:
    """What estimates are compared with, measured once."""

    measurement: Measurement
    inside: Bool[np.ndarray, " p"] | None
    bins: list[tuple[int, int]]
    truth: _Measured | None
    spectrum: Float[np.ndarray, " l"] | None

    def measure(self, map: Map) -> _Measured:
        footprint = None if self.inside is None else self.inside.astype(np.float64)
        harmonics = harmonic_coefficients(map, footprint)
        values = map if self.inside is None else map[self.inside]
        return _Measured(values, harmonics, measure_on_host(map, self.measurement), footprint)


@dataclass(frozen=True)
class _Measured:
    """An estimate: its pixels that count, its harmonics and its coefficients."""

    values: Map
    harmonics: np.ndarray
    coefficients: ScatteringCovariance
    footprint: Map | None

    @property
    def spectrum(self) -> Float[np.ndarray, " l"]:
        import healpy

        spectrum = healpy.alm2cl(self.harmonics)
        return spectrum if self.footprint is None else spectrum / np.mean(self.footprint**2)


def assess(
    estimates: Mapping[str, Map],
    pyramid: Pyramid,
    *,
    truth: Map | None = None,
    inside: Bool[np.ndarray, " p"] | None = None,
    seeds: Float[np.ndarray, "B p"] | None = None,
    spectrum: Float[np.ndarray, " l"] | None = None,
    hidden: Hidden = "include",
    lmax: int | None = None,
) -> Recovery:
    """Compare estimates of a map with the truth, and with one another.

    Args:
        estimates: NESTED maps of the whole sphere by their names: "data", baselines, and
            "reconstruction" where there is a single one.
        pyramid: operators for their nside.
        truth: what is to be recovered.
        inside: pixels in which statistics, histogram and residual count, such as gaps; power and
            correlation are of maps without their mean there, times one inside and zero outside.
        seeds: maps of all solutions, for the row "reconstruction" and (of two or more) "mean".
        spectrum: without a truth, C_l with which power is compared, up to l = 3 nside - 1: that
            of the data less that of the noise.
        hidden: with `inside`, what becomes of other pixels in scattering covariances (see
            `jaxscat.measure`): "include" for gaps, "exclude" where maps have no data.
        lmax: last multipole that is compared, the band limit of the maps; None for 3 nside - 1.

    Returns:
        numbers of every estimate.

    Raises:
        ValueError: no estimates, maps of another size or with bad values, a mask without pixels,
            or the pyramid of a patch.

    Source: `docs/reconstruction.md`, "Comparison".
    """
    spec = check_pyramid(pyramid)
    if spec.cell_count is not None:
        raise ValueError("pyramid: got one of a patch, expected one of the whole sphere")

    mask = None
    if inside is not None:
        mask = check_mask(inside, spec.npix, name="inside") > 0

    def checked(map: Any, name: str) -> Map:
        if mask is not None and hidden != "include":
            map = cover_hidden(map, mask, name=name)
        return check_map_of(map, spec, name=name).astype(np.float64)

    maps = {name: checked(map, name) for name, map in estimates.items()}
    solutions: list[Map] = []
    if seeds is not None:
        solutions = [checked(map, f"seeds[{at}]") for at, map in enumerate(seeds)]
    elif "reconstruction" in maps:
        solutions = [maps["reconstruction"]]
    if not maps and not solutions:
        raise ValueError("estimates: got none, expected maps by their names")
    measurement = build_measurement(
        pyramid, mask=mask, hidden="exclude" if mask is None else hidden
    )
    bins = bins_within(spec.nside, lmax)
    of = _Reference(measurement, mask, bins, None, spectrum)
    # Quantities divided by the spread or the power of a constant map are NaN.
    with np.errstate(divide="ignore", invalid="ignore"):
        if truth is not None:
            best = of.measure(checked(truth, "truth"))
            of = _Reference(measurement, mask, of.bins, best, best.spectrum)
        others = [name for name in maps if name not in ("data", "reconstruction", "mean")]
        singles = [name for name in ("data", *others) if name in maps]
        measured = {name: [of.measure(maps[name])] for name in singles}
        if solutions:
            measured["reconstruction"] = [of.measure(map) for map in solutions]
        if len(solutions) > 1:
            measured["mean"] = [of.measure(np.mean(solutions, axis=0))]
        rows = {
            name: average_rows([_row(one, of) for one in several])
            for name, several in measured.items()
        }
        known = None if of.truth is None else _describe_truth(of.truth)
    found = measured | ({} if of.truth is None else {"truth": [of.truth]})
    return Recovery(
        bins=of.bins,
        names=list(measured),
        rows=rows,
        truth=known,
        chance=None if of.truth is None else _chance(of, of.truth),
        spectra={
            name: np.mean([one.spectrum for one in several], axis=0)
            for name, several in found.items()
        },
        coefficients={
            name: jax.tree.map(
                lambda *groups: np.mean(groups, axis=0), *[one.coefficients for one in several]
            )
            for name, several in found.items()
        },
    )


def bins_within(nside: int, lmax: int | None = None) -> list[tuple[int, int]]:
    """Return octaves of multipoles up to a band limit; None is 3 nside - 1."""
    last = 3 * nside - 1 if lmax is None else lmax
    bins = multipole_bins(nside, per_octave=1)
    return [(low, min(high, last)) for low, high in bins if low <= last]


def _row(made: _Measured, of: _Reference) -> dict[str, Any]:
    moments = pixel_moments(made.values)
    found: dict[str, Any] = dict.fromkeys(
        (*ERRORS, "power_ratio", "correlation", "residual", "wasserstein")
    )
    if of.spectrum is not None:
        found["power_ratio"] = binned_ratio(made.spectrum, of.spectrum, of.bins)
    if of.truth is not None:
        away = np.sqrt(np.mean((made.values - of.truth.values) ** 2))
        found |= relative_errors(made.coefficients, of.truth.coefficients)
        found["correlation"] = binned_correlation(made.harmonics, of.truth.harmonics, of.bins)
        found["residual"] = float(away / np.std(of.truth.values))
        found["wasserstein"] = wasserstein_distance(made.values, of.truth.values)
    return found | {name: moments[name] for name in ("skewness", "std")}


def average_rows(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of every number over solutions, and their scatter if there are several."""
    if len(rows) == 1:
        return rows[0]
    numbers = {name: [row[name] for row in rows] for name in rows[0]}
    known = {name: np.array(all_) for name, all_ in numbers.items() if all_[0] is not None}
    means = {name: all_.mean(axis=0).tolist() for name, all_ in known.items()}
    scatter = {name: all_.std(axis=0, ddof=1).tolist() for name, all_ in known.items()}
    unknown = dict.fromkeys(numbers)
    return {**unknown, **means, "scatter": {**unknown, **scatter}}


def _describe_truth(truth: _Measured) -> dict[str, Any]:
    moments = pixel_moments(truth.values)
    return {
        "skewness": moments["skewness"],
        "std": moments["std"],
        "spectrum": truth.spectrum,
    }


def _chance(of: _Reference, truth: _Measured) -> list[float]:
    spectrum = truth.spectrum
    return [chance_correlation(spectrum, low, high, truth.footprint) for low, high in of.bins]
