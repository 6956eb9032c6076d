"""Validation of the maps of one or more seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.maps import cover_hidden
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.hidden import Hidden
from jaxscat.validation.comparison import CONTROLS_OF_A_KIND, Comparison, compare_with
from jaxscat.validation.curves import Curve, build_curves, curves_as_json
from jaxscat.validation.description import Description
from jaxscat.validation.ensemble import (
    copy_test,
    correlation_matrix,
    ensemble_report,
    quantity_scatter,
)
from jaxscat.validation.gaussian import CONTROLS
from jaxscat.validation.sky import describe_sky
from jaxscat.validation.summary import VerdictContext, verdict_lines

Map = Float[np.ndarray, " p"]


@dataclass(frozen=True)
class SeedValidation:
    """The validation of the maps of one or more seeds.

    Attributes:
        comparison: the original and its controls.
        made: quantities of the map of each seed.
        starts: quantities of the start of each seed, if given.
        reports: report of `validate` on each seed.
        correlations: correlation matrix of the original and the maps; None for a single map.
        ensemble: `ensemble_report` on all seeds; None for a single map.
    """

    comparison: Comparison
    made: Mapping[int, Description]
    starts: Mapping[int, Description]
    reports: Mapping[int, Mapping[str, Any]]
    correlations: Float[np.ndarray, "maps maps"] | None
    ensemble: Mapping[str, Any] | None

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return list(self.made)

    @property
    def sky(self) -> dict[str, Any] | None:
        """How much of the sky and of every scale is compared (see `describe_sky`), or None."""
        reference = self.comparison.reference
        measurement = reference.measurement
        return describe_sky(reference.footprint, measurement.pyramid, measurement.hidden)

    def curves(self) -> dict[str, Curve]:
        """Collect all curves of the maps (see `build_curves`)."""
        return build_curves(self.comparison, list(self.made.values()), list(self.starts.values()))

    def verdict(self, context: VerdictContext | None = None) -> list[dict[str, str]]:
        """Return the lines of the verdict (see `verdict_lines`) as JSON."""
        lines = verdict_lines(list(self.reports.values()), context)
        return [line.as_json() for line in lines]

    def as_json(self, context: VerdictContext | None = None) -> dict[str, Any]:
        """Return the content of validation.json.

        With a `context` there is the `verdict` first (see `verdict_lines`). It has `seeds`, the
        number of `controls` of each kind, `quantities` (see `quantity_scatter`), `copies` (see
        `copy_test`), `sky` (see `describe_sky`), the `curves` (see `build_curves`, with percentiles
        over maps), and the report on every seed in `maps`.
        """
        reports = list(self.reports.values())
        controls = self.comparison.controls
        return {
            **({} if context is None else {"verdict": self.verdict(context)}),
            "seeds": self.seeds,
            "controls": {kind: len(controls.get(kind, ())) for kind in CONTROLS},
            "quantities": quantity_scatter(reports),
            "copies": copy_test(reports),
            "sky": self.sky,
            "curves": curves_as_json(self.curves()),
            "maps": {str(seed): report for seed, report in self.reports.items()},
        }


def validate_seeds(
    original: Map,
    maps: Mapping[int, Map],
    pyramid: Pyramid,
    *,
    start_of: Callable[[int], Map] | None = None,
    mask: Float[np.ndarray, "*M p"] | None = None,
    hidden: Hidden = "exclude",
    controls: int = CONTROLS_OF_A_KIND,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SeedValidation:
    """Validate the maps of one or more seeds against their original, with shared controls.

    All maps are NESTED maps of the whole sphere, [p], real, and finite but for hidden pixels;
    `pyramid` may be that of a patch. `hidden` is as for `validate`. `start_of(seed)` returns the
    start of a seed; `progress` is called with the number of seeds done and the total.

    Source: `docs/conventions.md`, "Validation" and "Ensembles".
    """
    original = np.asarray(original, dtype=np.float64)
    mask = None if mask is None else np.asarray(mask, dtype=np.float64)
    if mask is not None and hidden != "include":
        original = cover_hidden(original, mask)
    comparison = compare_with(original, pyramid, mask=mask, hidden=hidden, controls=controls)
    made: dict[int, Description] = {}
    begun: dict[int, Description] = {}
    for seed, map in maps.items():
        made[seed] = comparison.describe(np.asarray(map, dtype=np.float64))
        if start_of is not None:
            begun[seed] = comparison.describe(np.asarray(start_of(seed), dtype=np.float64))
        progress(len(made), len(maps))
    reports = {seed: comparison.report(one, begun.get(seed)) for seed, one in made.items()}
    correlations = ensemble = None
    if len(maps) > 1:
        footprint = comparison.reference.footprint
        correlations = correlation_matrix([original, *maps.values()], footprint)
        ensemble = ensemble_report(list(maps), list(reports.values()), correlations)
    return SeedValidation(comparison, made, begun, reports, correlations, ensemble)
