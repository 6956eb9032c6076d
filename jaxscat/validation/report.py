"""The validation report: quantities of new maps, of their starts and of Gaussian controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxscat.fields.seeds import check_seed
from jaxscat.maps import check_mask, cover_hidden, npix_to_nside, to_real
from jaxscat.operators.pyramid import Pyramid, build_pyramid, check_pyramid
from jaxscat.operators.spec import PyramidSpec
from jaxscat.statistics.checks import check_map_of
from jaxscat.statistics.hidden import Hidden, check_hidden
from jaxscat.validation.comparison import CONTROLS_OF_A_KIND, Comparison, compare_with
from jaxscat.validation.ensemble import correlation_matrix, ensemble_report
from jaxscat.validation.summary import verdict_lines

Map = Float[np.ndarray, " p"]


def validate(
    original: Map,
    synthesized: Float[np.ndarray, "*seeds p"],
    *,
    pyramid: Pyramid | None = None,
    start: Float[np.ndarray, "*seeds p"] | None = None,
    mask: Float[np.ndarray, "*M p"] | None = None,
    hidden: Hidden = "exclude",
    controls: int = CONTROLS_OF_A_KIND,
    seed: int = 0,
) -> dict[str, Any]:
    """Validate synthesized NESTED maps against their original; the result is ready for JSON.

    Every row has an entry for `synthesized`, for `start` (if given), and for two kinds of Gaussian
    controls with the power spectrum of the original (see `gaussian_control`), `gaussian` and
    `filtered`: the mean over `controls` maps of each kind, with the seeds `seed`, `seed + 1`, ...,
    and the standard deviation of a single one, `gaussian_std` and `filtered_std`. A quantity that
    the controls match as well is no success of a synthesis.

    - `verdict`: new or a copy, the texture, and what is wrong with the histogram and the spectrum:
      a `name`, a `mark` ("good", "uncertain" or "bad") and a `text` each, in plain words.
    - `distribution`: mean, std, min, max (map units), skewness, excess kurtosis; also `original`.
    - `extremes`: mean of the `faintest` and of the `brightest` 0.1 % (map units), and the fractions
      of pixels `below` the original's minimum and `above` its maximum.
    - `pixel_correlation` with the original.
    - `correlation_ranges`: per range `l_min`, `l_max`, the `correlation` with the original (near
      one if the map copies the original), and its standard deviation by `chance`.
    - `power_spectrum_ratio`: mean over all l >= 2 of C_l / C_l of the original.
    - `power_spectrum_bins`: per logarithmic bin `l_min`, `l_max`, the `ratio` of power.
    - `distances`: power spectrum, pixel distribution, Minkowski functionals, peaks and coupling of
      bands, none of which is in the loss (see `jaxscat.validation.description.distances`).
    - `scattering`: for each of S1, S2, S3, S4 the rms difference over the rms of the original's.
      `scattering_scales` has the same for every scale, with the `nside` of its grid and the number
      of `coefficients` of S3 and S4 there.
    - `scattering_error`: mean squared difference of S1 over the mean square of the original's; and
      `scattering_improvement_pct` = 100 (1 - synthesized / start), if `start` is given.

    Bins, distances, tails and scattering have a `tolerance`: how far from the original a second sky
    of its kind would be, in nineteen of twenty cases (see `jaxscat.validation.tolerance`).

    All maps are [p] at the nside of the pyramid; the default `pyramid` is built for the original.
    With the pyramid of a patch, maps and masks are of its pixels, in the order of its `cell_ids`.
    For several synthesized maps [n p] (with starts of the same shape), the result has the report on
    each in `maps`, and the content of `ensemble_report`. With a `mask` ([p] or [M p]), scattering
    covariances are masked, and everything else is computed inside the union of the masks. Pixels of
    weight zero are `hidden` (see `measure`): unless "include"d, no map needs to have data there.
    Undefined values (such as the skewness of a constant map) are None.

    Raises `ValueError` if a map or the mask has another number of pixels or is not finite and
    real, if the mask is negative or zero everywhere, and for an invalid seed or number of controls.

    Examples:
        >>> import jaxscat, numpy as np
        >>> original = np.exp(np.random.default_rng(0).normal(size=192))  # any NESTED map
        >>> new = np.roll(original, 64)  # the same values elsewhere, as a stand-in for a synthesis
        >>> report = jaxscat.validate(original, new, controls=2)
        >>> [(line["mark"], line["name"]) for line in report["verdict"][:2]]
        [('good', 'New or copy'), ('good', 'Texture')]
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
    check_seed(seed + max(int(controls) - 1, 0), name="seed + controls - 1")
    spec = check_pyramid(pyramid)
    synthesized = to_real(synthesized, name="synthesized")
    start = None if start is None else to_real(start, name="start")
    if mask is not None:
        mask = check_mask(mask, spec.npix, patch=True).astype(np.float64)
    check_hidden(hidden, None if mask is None else jnp.asarray(mask))
    shown = None if hidden == "include" else mask
    original = checked_map(original, "original", spec, shown)
    several = np.ndim(synthesized) == 2
    made = _each(synthesized, "synthesized", spec, shown)
    starts: list[Map | None] = [None] * len(made)
    if start is not None:
        starts = list(_each(start, "start", spec, shown))
        if len(starts) != len(made) or (np.ndim(start) == 2) != several:
            raise ValueError(
                f"start: got shape {np.shape(start)}, expected {np.shape(synthesized)} as "
                "synthesized"
            )
    if spec.cell_count is not None:
        mask = _on_sphere(np.ones(spec.npix) if mask is None else mask, pyramid)
        original, *made = (_on_sphere(map, pyramid) for map in (original, *made))
        starts = [None if start is None else _on_sphere(start, pyramid) for start in starts]
    comparison = compare_with(
        original, pyramid, mask=mask, hidden=hidden, controls=int(controls), seed=seed
    )
    reports = [report_on(comparison, *pair) for pair in zip(made, starts, strict=True)]
    of_each = [{"verdict": _verdict([report]), **report} for report in reports]
    if not several:
        return of_each[0]
    found = {"verdict": _verdict(reports), "maps": of_each}
    if len(made) > 1:
        correlations = correlation_matrix([original, *made], comparison.reference.footprint)
        found |= ensemble_report(range(len(made)), reports, correlations)
    return found


def report_on(comparison: Comparison, map: Map, start: Map | None = None) -> dict[str, Any]:
    """Return the report on one checked map (and its start, if given)."""
    begun = None if start is None else comparison.describe(start)
    return comparison.report(comparison.describe(map), begun)


def checked_map(map: Any, name: str, spec: PyramidSpec, mask: Any = None) -> Map:
    """Validate a map of a pyramid where a mask has weight, and return it as float64."""
    if mask is not None:
        map = cover_hidden(map, mask, name=name)
    return check_map_of(map, spec, name=name).astype(np.float64)


def _each(maps: Any, name: str, spec: PyramidSpec, mask: Any) -> Sequence[Map]:
    if np.ndim(maps) < 2:
        return [checked_map(maps, name, spec, mask)]
    if len(maps) == 0:
        raise ValueError(f"{name}: got no map, expected at least one")
    return [checked_map(map, f"{name}[{number}]", spec, mask) for number, map in enumerate(maps)]


def _verdict(reports: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    return [line.as_json() for line in verdict_lines(reports)]


def _on_sphere(values: Float[np.ndarray, "*M q"], pyramid: Pyramid) -> Float[np.ndarray, "*M p"]:
    """Put the pixels of a patch in their places on the whole sphere, with zeros elsewhere."""
    sphere = np.zeros((*values.shape[:-1], 12 * pyramid.spec.nside**2))
    sphere[..., pyramid.pixels(pyramid.spec.own_scale)] = values
    return sphere
