"""Curves of a validation: quantities along an axis, of the original, new maps and controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from jaxscat.validation.comparison import Comparison
from jaxscat.validation.description import Description
from jaxscat.validation.morphology import LEVELS
from jaxscat.validation.peaks import MINIMUM_LEVELS, PEAK_LEVELS
from jaxscat.validation.rows import finite_or_none
from jaxscat.validation.scattering import by_scale

PERCENTILES = (16.0, 50.0, 84.0)


class Curve(NamedTuple):
    """One quantity along an axis, for the original and for groups of maps.

    Attributes:
        places: coordinates along the axis.
        original: values of the original; None if they are one or zero by definition.
        groups: values of each map of a group, `[maps places]`: "synthesized", and if present
            "start", "gaussian" and "filtered".
        edges: edges of the bins, for binned quantities.
        tolerance: how far from the original a second sky of its kind would be (see `Tolerance`),
            for quantities that have one.
    """

    places: Float[np.ndarray, " places"]
    original: Float[np.ndarray, " places"] | None
    groups: Mapping[str, Float[np.ndarray, "maps places"]]
    edges: Float[np.ndarray, " edges"] | None = None
    tolerance: Float[np.ndarray, " places"] | None = None

    def band(self, group: str) -> Float[np.ndarray, "3 places"]:
        """Return the 16th, 50th and 84th percentile over the maps of a group."""
        return np.percentile(self.groups[group], PERCENTILES, axis=0)


def build_curves(
    comparison: Comparison, made: Sequence[Description], starts: Sequence[Description] = ()
) -> dict[str, Curve]:
    """Collect all curves of one or more new maps, the original, the starts and the controls.

    - `power_spectrum`: C_l against l from 1, map units squared.
    - `power_ratio`: ratio of power to the original's, against the geometric centres of the bins.
    - `density`: probability density of pixel values, against pixel values in map units.
    - `V0`, `V1`, `V2`: Minkowski functionals against the threshold in standard deviations.
    - `peaks`, `minima`: cumulative counts against the threshold in standard deviations.
    - `correlation`: with the original, against the geometric centres of the ranges of l.
    - `S1`, `S2`: mean over orientations against the scale; `S3`, `S4`: root mean square modulus
      over all coefficients of a scale j3. With several masks, those of the first.

    Source: `docs/conventions.md`, "Validation".
    """
    groups: dict[str, Sequence[Description]] = {"synthesized": made}
    groups |= {"start": starts} if starts else {}
    groups |= {kind: of_kind for kind, of_kind in comparison.controls.items() if of_kind}
    reference = comparison.reference

    def curve(
        places: Any,
        value: Callable[[Description], Any],
        *,
        original: bool = True,
        edges: Float[np.ndarray, " edges"] | None = None,
    ) -> Curve:
        return Curve(
            np.asarray(places, dtype=np.float64),
            np.asarray(value(comparison.original), np.float64) if original else None,
            {
                name: np.stack([np.asarray(value(one), np.float64) for one in of_group])
                for name, of_group in groups.items()
            },
            edges,
        )

    edges = reference.edges
    last = comparison.original.spectrum.size
    scales = range(reference.measurement.pyramid.spec.scales)
    curves = {
        "power_spectrum": curve(np.arange(1, last), lambda one: one.spectrum[1:]),
        "power_ratio": curve(
            _middles(reference.bins),
            lambda one: one.ratios,
            original=False,
            edges=_edges(reference.bins),
        ),
        "density": curve((edges[1:] + edges[:-1]) / 2, lambda one: one.density, edges=edges),
        "V0": curve(LEVELS, lambda one: one.minkowski.area),
        "V1": curve(LEVELS, lambda one: one.minkowski.boundary),
        "V2": curve(LEVELS, lambda one: one.minkowski.euler),
        "peaks": curve(PEAK_LEVELS, lambda one: one.peaks),
        "minima": curve(MINIMUM_LEVELS, lambda one: one.minima),
        "correlation": curve(
            _middles(reference.ranges),
            lambda one: one.correlations,
            original=False,
            edges=_edges(reference.ranges),
        ),
    }
    curves |= {
        name: curve(scales, lambda one, name=name: by_scale(one.statistics, name))
        for name in ("S1", "S2", "S3", "S4")
    }
    tolerances = comparison.tolerance.curves
    return {name: one._replace(tolerance=tolerances.get(name)) for name, one in curves.items()}


def curves_as_json(curves: Mapping[str, Curve]) -> dict[str, Any]:
    """Convert curves to nested dicts and lists, with percentiles 16, 50 and 84 of the groups."""
    return finite_or_none(
        {
            name: {
                "places": curve.places.tolist(),
                "original": None if curve.original is None else curve.original.tolist(),
                **({} if curve.tolerance is None else {"tolerance": curve.tolerance.tolist()}),
                **{
                    group: {
                        f"percentile_{percent:.0f}": row.tolist()
                        for percent, row in zip(PERCENTILES, curve.band(group), strict=True)
                    }
                    for group in curve.groups
                },
            }
            for name, curve in curves.items()
        }
    )


def _middles(bins: Sequence[tuple[int, int]]) -> Float[np.ndarray, " bins"]:
    return np.array([np.sqrt(low * high) for low, high in bins])


def _edges(bins: Sequence[tuple[int, int]]) -> Float[np.ndarray, " edges"]:
    return np.array([*(low for low, _ in bins), bins[-1][1] + 1]) - 0.5
