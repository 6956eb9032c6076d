"""One report on new maps: the same rows for them, for their starts and for Gaussian controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.fields.noise import check_seed
from jaxscat.maps import check_map, check_mask, npix_to_nside
from jaxscat.operators.pyramid import Pyramid, build_pyramid
from jaxscat.validation.comparison import CONTROLS_OF_A_KIND, Comparison, compare_with
from jaxscat.validation.ensemble import correlation_matrix, ensemble_report

Map = Float[np.ndarray, " p"]


def validate(
    original: Map,
    synthesized: Float[np.ndarray, "*seeds p"],
    *,
    pyramid: Pyramid | None = None,
    start: Float[np.ndarray, "*seeds p"] | None = None,
    mask: Float[np.ndarray, "*M p"] | None = None,
    controls: int = CONTROLS_OF_A_KIND,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare synthesized NESTED maps with their original; the result goes to JSON as it is.

    Every row has an entry for `synthesized`, for `start` (if given), and for two kinds of Gaussian
    controls with the right power spectrum (see `gaussian_control`), `gaussian` and `filtered`:
    the mean over so many `controls` of each kind, with `seed`, `seed + 1`, ..., and beside it the
    standard deviation of one, `gaussian_std` and `filtered_std`. What the controls get right too
    is no success of a synthesis.

    - `distribution`: mean, std, min, max (map units), skewness, excess kurtosis; also `original`.
    - `pixel_correlation` with the original.
    - `correlation_ranges`: per range `l_min`, `l_max`, the `correlation` with the original (near
      one: the map copies the original there), and its standard deviation by `chance`.
    - `power_spectrum_ratio`: mean over all l >= 2 of C_l / C_l of the original.
    - `power_spectrum_bins`: per logarithmic bin `l_min`, `l_max`, the `ratio` of power.
    - `distances`: power spectrum, pixel distribution, Minkowski functionals, peaks and coupling of
      bands, which no loss sees (see `jaxscat.validation.description.distances`).
    - `scattering`: for each of S1, S2, S3, S4 the rms difference over the rms of the original's.
    - `scattering_error`: mean squared difference of S1 over the mean square of the original's; and
      `scattering_improvement_pct` = 100 (1 - synthesized / start), if `start` is given.

    All maps are [p] with the pyramid's nside; without a `pyramid` the default one is built for
    the original. Of several synthesized maps [n p] (with starts of the same shape) the result has
    the report on each in `maps` and what `ensemble_report` says of all. With a `mask` ([p] or
    [M p]) scattering covariances are those of the masks (whose wavelets reach beyond their edges);
    everything else is computed inside their union. Numbers that do not exist (a skewness of a
    constant map, say) are None.

    Raises `ValueError` when a map or the mask has another number of pixels or is not finite and
    real, when the mask is negative or without weight, when the pyramid is that of a patch, and for
    a bad seed or number of controls.

    Source: `docs/conventions.md`, "Validation".
    """
    check_seed(seed)
    if pyramid is None:
        pyramid = build_pyramid(npix_to_nside(np.size(original), name="original"))
    if isinstance(controls, bool) or not isinstance(controls, int | np.integer) or controls < 0:
        raise ValueError(f"controls: got {controls!r}, expected an integer from 0 up")
    if pyramid.spec.cell_count is not None:
        count = pyramid.spec.cell_count
        raise ValueError(f"pyramid: got one of {count} pixels, expected one of the whole sphere")
    check_seed(seed + max(int(controls) - 1, 0), name="seed + controls - 1")
    nside = pyramid.spec.nside
    original = checked_map(original, "original", nside)
    several = np.ndim(synthesized) == 2
    made = _each(synthesized, "synthesized", nside)
    starts: list[Map | None] = [None] * len(made)
    if start is not None:
        starts = list(_each(start, "start", nside))
        if len(starts) != len(made) or (np.ndim(start) == 2) != several:
            raise ValueError(
                f"start: got shape {np.shape(start)}, expected {np.shape(synthesized)} as "
                "synthesized"
            )
    if mask is not None:
        mask = check_mask(mask, original.size).astype(np.float64)
    comparison = compare_with(original, pyramid, mask=mask, controls=int(controls), seed=seed)
    reports = [report_on(comparison, *pair) for pair in zip(made, starts, strict=True)]
    if not several:
        return reports[0]
    found = {"maps": reports}
    if len(made) > 1:
        correlations = correlation_matrix([original, *made], comparison.reference.footprint)
        found |= ensemble_report(range(len(made)), reports, correlations)
    return found


def report_on(comparison: Comparison, map: Map, start: Map | None = None) -> dict[str, Any]:
    """The report on one checked map, beside what it is compared with."""
    begun = None if start is None else comparison.describe(start)
    return comparison.report(comparison.describe(map), begun)


def checked_map(map: Any, name: str, nside: int) -> Map:
    """A real, finite NESTED map of an nside as float64; `ValueError` otherwise."""
    return check_map(map, name=name, nside=nside, allow_constant=True).astype(np.float64)


def _each(maps: Any, name: str, nside: int) -> Sequence[Map]:
    if np.ndim(maps) < 2:
        return [checked_map(maps, name, nside)]
    if len(maps) == 0:
        raise ValueError(f"{name}: got no map, expected at least one")
    return [checked_map(map, f"{name}[{number}]", nside) for number, map in enumerate(maps)]
