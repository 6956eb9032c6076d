"""Comparison of new maps with an original and its Gaussian controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.hidden import Hidden
from jaxscat.validation.description import Description, describe, distances
from jaxscat.validation.gaussian import CONTROLS, gaussian_control
from jaxscat.validation.reference import Reference, build_reference
from jaxscat.validation.rows import finite_or_none
from jaxscat.validation.scattering import relative_errors, scattering_error
from jaxscat.validation.spectra import chance_correlation

# Default number of controls of each kind.
CONTROLS_OF_A_KIND = 8


@dataclass(frozen=True)
class Comparison:
    """An original and its Gaussian controls, measured once for all comparisons.

    Attributes:
        reference: the original, with the bins and thresholds of the comparison.
        original: quantities of the original.
        controls: quantities of the Gaussian controls of each kind (see `gaussian_control`).
    """

    reference: Reference
    original: Description
    controls: Mapping[str, Sequence[Description]]

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

        reference, original = self.reference, self.original
        with np.errstate(divide="ignore", invalid="ignore"):
            away = {
                id(one): distances(one, original, reference)
                for of_column in columns.values()
                for one in of_column
            }
            report: dict[str, Any] = {
                "distribution": {
                    name: of_original(lambda one, name=name: one.moments[name])
                    for name in original.moments
                },
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
                    {"l_min": low, "l_max": high, "ratio": row(lambda one, at=at: one.ratios[at])}
                    for at, (low, high) in enumerate(reference.bins)
                ],
                "distances": {
                    name: row(lambda one, name=name: away[id(one)][name]) for name in away[id(made)]
                },
                "scattering": {
                    name: row(
                        lambda one, name=name: relative_errors(one.statistics, original.statistics)[
                            name
                        ]
                    )
                    for name in ("S1", "S2", "S3", "S4")
                },
                "scattering_error": row(
                    lambda one: scattering_error(one.statistics, original.statistics)
                ),
            }
            if start is not None:
                errors = report["scattering_error"]
                gain = 1.0 - np.divide(errors["synthesized"], errors["start"])
                report["scattering_improvement_pct"] = float(100.0 * gain)
        return finite_or_none(report)


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
        alone = Comparison(reference, describe(original, reference), {})
        drawn = {
            kind: [
                alone.describe(
                    gaussian_control(
                        original, seed=seed + number, footprint=reference.footprint, kind=kind
                    )
                )
                for number in range(controls)
            ]
            for kind in CONTROLS
        }
    return Comparison(reference, alone.original, drawn)


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
