"""The validation report: quantities of new maps, of their starts and of Gaussian controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.fields.seeds import check_seed
from jaxscat.maps import check_map, check_mask, npix_to_nside, to_real
from jaxscat.operators.pyramid import Pyramid, build_pyramid, check_pyramid
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
    """Validate synthesized NESTED maps against their original; the result is ready for JSON.

    Every row has an entry for `synthesized`, for `start` (if given), and for two kinds of Gaussian
    controls with the power spectrum of the original (see `gaussian_control`), `gaussian` and
    `filtered`: the mean over `controls` maps of each kind, with the seeds `seed`, `seed + 1`, ...,
    and the standard deviation of a single one, `gaussian_std` and `filtered_std`. A quantity that
    the controls match as well is no success of a synthesis.

    - `distribution`: mean, std, min, max (map units), skewness, excess kurtosis; also `original`.
    - `pixel_correlation` with the original.
    - `correlation_ranges`: per range `l_min`, `l_max`, the `correlation` with the original (near
      one if the map copies the original), and its standard deviation by `chance`.
    - `power_spectrum_ratio`: mean over all l >= 2 of C_l / C_l of the original.
    - `power_spectrum_bins`: per logarithmic bin `l_min`, `l_max`, the `ratio` of power.
    - `distances`: power spectrum, pixel distribution, Minkowski functionals, peaks and coupling of
      bands, none of which is in the loss (see `jaxscat.validation.description.distances`).
    - `scattering`: for each of S1, S2, S3, S4 the rms difference over the rms of the original's.
    - `scattering_error`: mean squared difference of S1 over the mean square of the original's; and
      `scattering_improvement_pct` = 100 (1 - synthesized / start), if `start` is given.

    All maps are [p] at the nside of the pyramid; the default `pyramid` is built for the original.
    For several synthesized maps [n p] (with starts of the same shape), the result has the report on
    each in `maps`, and the content of `ensemble_report`. With a `mask` ([p] or [M p]), scattering
    covariances are masked (their wavelets extend beyond the edges), and everything else is
    computed inside the union of the masks. Undefined values (such as the skewness of a constant
    map) are None.

    Raises `ValueError` if a map or the mask has another number of pixels or is not finite and
    real, if the mask is negative or zero everywhere, if the pyramid is that of a patch, and for
    an invalid seed or number of controls.

    Examples:
        >>> import jaxscat, numpy as np
        >>> original = np.exp(np.random.default_rng(0).normal(size=192))  # any NESTED map
        >>> new = np.roll(original, 64)  # the same values elsewhere, as a stand-in for a synthesis
        >>> report = jaxscat.validate(original, new, controls=2)
        >>> list(report["scattering"])
        ['S1', 'S2', 'S3', 'S4']
        >>> f"{report['distances']['wasserstein']['synthesized']:.2f}"  # the same histogram
        '0.00'
        >>> report["distances"]["wasserstein"]["gaussian"] > 0.1  # a Gaussian one
        True
        >>> abs(report["pixel_correlation"]["synthesized"]) < 0.3  # not a copy
        True

    Source: `docs/conventions.md`, "Validation".
    """
    check_seed(seed)
    if pyramid is None:
        original = to_real(original, name="original")
        pyramid = build_pyramid(npix_to_nside(original.size, name="original"))
    if isinstance(controls, bool) or not isinstance(controls, int | np.integer) or controls < 0:
        raise ValueError(f"controls: got {controls!r}, expected an integer from 0 up")
    check_pyramid(pyramid)
    if pyramid.spec.cell_count is not None:
        count = pyramid.spec.cell_count
        raise ValueError(f"pyramid: got one of {count} pixels, expected one of the whole sphere")
    check_seed(seed + max(int(controls) - 1, 0), name="seed + controls - 1")
    nside = pyramid.spec.nside
    synthesized = to_real(synthesized, name="synthesized")
    start = None if start is None else to_real(start, name="start")
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
    """Return the report on one checked map (and its start, if given)."""
    begun = None if start is None else comparison.describe(start)
    return comparison.report(comparison.describe(map), begun)


def checked_map(map: Any, name: str, nside: int) -> Map:
    """Validate a real, finite NESTED map of a given nside and return it as float64."""
    return check_map(map, name=name, nside=nside, allow_constant=True).astype(np.float64)


def _each(maps: Any, name: str, nside: int) -> Sequence[Map]:
    if np.ndim(maps) < 2:
        return [checked_map(maps, name, nside)]
    if len(maps) == 0:
        raise ValueError(f"{name}: got no map, expected at least one")
    return [checked_map(map, f"{name}[{number}]", nside) for number, map in enumerate(maps)]
