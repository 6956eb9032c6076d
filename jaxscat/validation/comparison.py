"""Comparison of new maps with an original and its Gaussian controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.hidden import Hidden
from jaxscat.validation.description import ENOUGH, Description, describe, distances
from jaxscat.validation.gaussian import CONTROLS, gaussian_control
from jaxscat.validation.reference import Reference, build_reference
from jaxscat.validation.rows import finite_or_none
from jaxscat.validation.scattering import (
    GROUPS,
    errors_by_scale,
    relative_errors,
    scattering_error,
)
from jaxscat.validation.spectra import chance_correlation
from jaxscat.validation.tolerance import Tolerance, build_tolerance

# Default number of controls of each kind.
CONTROLS_OF_A_KIND = 8


@dataclass(frozen=True)
class Comparison:
    """An original and its Gaussian controls, measured once for all comparisons.

    Attributes:
        reference: the original, with the bins and thresholds of the comparison.
        original: quantities of the original.
        controls: quantities of the Gaussian controls of each kind (see `gaussian_control`).
        tolerance: how far a second sky of the original's kind would be from it.
    """

    reference: Reference
    original: Description
    controls: Mapping[str, Sequence[Description]]
    tolerance: Tolerance

    def describe(self, map: Float[np.ndarray, " p"]) -> Description:
        """Measure the quantities of a new NESTED map [p], float64 and already checked.

        What it holds outside the footprint does not matter, unless hidden pixels are included.
        """
        # Quantities divided by the spread or the power of a constant map are NaN.
        with np.errstate(divide="ignore", invalid="ignore"):
            return describe(map, self.reference)

    def report(self, made: Description, start: Description | None = None) -> dict[str, Any]:
        """Return the report of `validate` on one map, including its start if given."""
        columns: dict[str, Sequence[Description]] = {} if start is None else {"start": [start]}
        columns |= {kind: of_kind for kind, of_kind in self.controls.items() if of_kind}
        columns |= {"synthesized": [made]}

        def row(value: Callable[[Description], float]) -> dict[str, float]:
            return _row(columns, value)

        def of_original(value: Callable[[Description], float]) -> dict[str, float]:
            return {"original": value(self.original), **row(value)}

        reference, original, tolerance = self.reference, self.original, self.tolerance
        with np.errstate(divide="ignore", invalid="ignore"):
            away = {
                id(one): distances(one, original, reference)
                for of_column in columns.values()
                for one in of_column
            }
            measured = [one for of_column in columns.values() for one in of_column]
            errors = {
                id(one): relative_errors(one.statistics, original.statistics) for one in measured
            }
            by_scale = {
                id(one): errors_by_scale(one.statistics, original.statistics) for one in measured
            }
            report: dict[str, Any] = {
                "distribution": {
                    name: of_original(lambda one, name=name: one.moments[name])
                    for name in original.moments
                },
                "extremes": self._extremes(row, of_original),
                "pixel_correlation": row(lambda one: one.pixel_correlation),
                "correlation_ranges": [
                    {
                        "l_min": low,
                        "l_max": high,
                        "chance": chance_correlation(
                            original.spectrum, low, high, reference.footprint
                        ),
                        "correlation": row(lambda one, at=at: one.correlations[at]),
                    }
                    for at, (low, high) in enumerate(reference.ranges)
                ],
                "power_spectrum_ratio": row(lambda one: one.mean_ratio),
                "power_spectrum_bins": [
                    {
                        "l_min": low,
                        "l_max": high,
                        "ratio": row(lambda one, at=at: one.ratios[at])
                        | {"tolerance": float(tolerance.curves["power_ratio"][at])},
                    }
                    for at, (low, high) in enumerate(reference.bins)
                ],
                "distances": {
                    name: row(lambda one, name=name: away[id(one)][name])
                    | {"tolerance": tolerance.distances[name]}
                    | self._counts(name, made)
                    for name in away[id(made)]
                },
                "scattering": {
                    name: row(lambda one, name=name: errors[id(one)][name])
                    | {"tolerance": tolerance.errors.get(name)}
                    for name in GROUPS
                },
                "scattering_scales": [
                    {
                        "nside": nside,
                        "coefficients": count,
                        **{
                            name: row(lambda one, name=name, j=j: by_scale[id(one)][name][j])
                            | {"tolerance": tolerance.error_at(name, j)}
                            for name in GROUPS
                        },
                    }
                    for j, (nside, count) in enumerate(_scales(original.statistics, reference))
                ],
                "scattering_error": row(
                    lambda one: scattering_error(one.statistics, original.statistics)
                ),
            }
            if start is not None:
                squared = report["scattering_error"]
                gain = 1.0 - np.divide(squared["synthesized"], squared["start"])
                report["scattering_improvement_pct"] = float(100.0 * gain)
        return finite_or_none(report)

    def _counts(self, name: str, made: Description) -> dict[str, float]:
        """Return how far peaks or minima are off at the worst threshold, in its tolerance.

        The largest relative difference is one of few counts, whose tolerance is wide.
        """
        if name not in ("peaks", "minima"):
            return {}
        counts, wanted = (np.asarray(getattr(of, name), float) for of in (made, self.original))
        apart = (counts - wanted) / self.tolerance.curves[name]
        apart = np.where((wanted >= ENOUGH) & np.isfinite(apart), apart, 0.0)
        worst = int(np.argmax(np.abs(apart)))
        if not apart[worst]:
            return {"worst_threshold": np.nan, "worst_difference": np.nan}
        return {
            "worst_threshold": float(abs(apart[worst])),
            "worst_difference": float(counts[worst] / wanted[worst] - 1.0),
        }

    def _extremes(self, row: Callable[..., Any], of_original: Callable[..., Any]) -> dict[str, Any]:
        """Return the rows on the tails of the histogram, in map units and fractions."""
        spread = self.original.moments["std"]
        low, high = (spread * reach for reach in self.tolerance.tails)
        return {
            "faintest": of_original(lambda one: one.tails[0]) | {"tolerance": low},
            "brightest": of_original(lambda one: one.tails[1]) | {"tolerance": high},
            "below": row(lambda one: one.beyond[0]),
            "above": row(lambda one: one.beyond[1]),
        }


def compare_with(
    original: Float[np.ndarray, " p"],
    pyramid: Pyramid,
    *,
    mask: Any = None,
    hidden: Hidden = "exclude",
    controls: int = CONTROLS_OF_A_KIND,
    seed: int = 0,
) -> Comparison:
    """Measure an original and its Gaussian controls.

    There are `controls` controls of each kind, with the seeds `seed`, `seed + 1`, ... The original
    [p] and the mask ([p] or [M p]) are float64, of the whole sphere, and already checked. `hidden`
    is what becomes of hidden pixels in scattering covariances (see `measure`).
    """
    # Quantities divided by the spread or the power of a constant map are NaN.
    with np.errstate(divide="ignore", invalid="ignore"):
        reference = build_reference(original, pyramid, mask, hidden)
        described = describe(original, reference)
        drawn = {
            kind: [
                describe(
                    gaussian_control(
                        original, seed=seed + number, footprint=reference.footprint, kind=kind
                    ),
                    reference,
                )
                for number in range(controls)
            ]
            for kind in CONTROLS
        }
        tolerance = build_tolerance(reference, described, drawn)
    return Comparison(reference, described, drawn, tolerance)


def _scales(statistics: ScatteringCovariance, reference: Reference) -> Iterator[tuple[int, int]]:
    """Yield the nside of every scale, and the number of its S3 and S4."""
    finest, turns = reference.measurement.pyramid.spec.finest_nside, statistics.orientations
    for j in range(statistics.scales):
        pairs = sum(pair[-1] == j for pair in statistics.pairs)
        triples = sum(triple[-1] == j for triple in statistics.triples)
        yield finest >> j, pairs * turns**2 + triples * turns**3


def _row(
    columns: Mapping[str, Sequence[Description]], value: Callable[[Description], float]
) -> dict[str, float]:
    """Return one value per column; for controls the mean, and the scatter of a single one."""
    found = {}
    for name, descriptions in columns.items():
        values = np.array([value(one) for one in descriptions])
        found[name] = float(values.mean())
        if name in CONTROLS:
            found[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return found
