"""The reference of a validation: the original map, with bins, bands and thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from jaxscat.harmonics.spectra import harmonic_coefficients, multipole_bins
from jaxscat.maps import cover_hidden
from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.measurement import Measurement, build_measurement
from jaxscat.validation.coupling import octave_bands
from jaxscat.validation.distribution import pixel_moments
from jaxscat.validation.scattering import measure_on_host
from jaxscat.validation.spectra import octave_ranges

# Number of histogram bins.
_HISTOGRAM = 60


@dataclass(frozen=True)
class Reference:
    """An original map, with its quantities and bins that comparisons need.

    Attributes:
        original: NESTED map [p], float64, with the mean in hidden pixels.
        measurement: how scattering covariances are measured, with the masks and, of a patch, for
            its pixels alone.
        footprint: weights [p] of the pixels in all other quantities, or None.
        moments: moments of its pixels (see `pixel_moments`).
        harmonics: its spherical harmonic coefficients, in healpy's order.
        statistics: its scattering covariances.
        bins: multipole bins of power spectra.
        ranges: multipole ranges of correlations with the original.
        bands: multipole bands of the cross-skewness.
        edges: edges of the histogram, in map units.
    """

    original: Float[np.ndarray, " p"]
    measurement: Measurement
    footprint: Float[np.ndarray, " p"] | None
    moments: dict[str, float]
    harmonics: Complex[np.ndarray, " lm"]
    statistics: ScatteringCovariance
    bins: list[tuple[int, int]]
    ranges: list[tuple[int, int]]
    bands: list[tuple[int, int]]
    edges: Float[np.ndarray, " edges"]

    @property
    def nside(self) -> int:
        """Resolution of all maps."""
        return self.measurement.pyramid.spec.nside

    def thresholds(self, levels: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Convert levels, in standard deviations above the original's mean, to map units."""
        return self.moments["mean"] + self.moments["std"] * np.asarray(levels)


def build_reference(
    original: Float[np.ndarray, " p"],
    pyramid: Pyramid,
    mask: Float[np.ndarray, "*M p"] | None = None,
    hidden: Hidden = "exclude",
) -> Reference:
    """Measure an original (float64 and already checked) as the reference of comparisons.

    Maps and masks are of the whole sphere, with a patch's pyramid too.
    """
    footprint = None if mask is None else np.atleast_2d(mask).max(axis=0)
    spec, weights = pyramid.spec, mask
    if spec.cell_count is not None and mask is not None:
        weights = mask[..., pyramid.pixels(spec.own_scale)]
    measurement = build_measurement(pyramid, mask=weights, hidden=hidden)
    statistics = measure_on_host(original, measurement)
    if footprint is not None:
        original = cover_hidden(original, footprint)
    moments = pixel_moments(original, footprint)
    nside = pyramid.spec.nside
    return Reference(
        original=original,
        measurement=measurement,
        footprint=footprint,
        moments=moments,
        harmonics=harmonic_coefficients(original, footprint),
        statistics=statistics,
        bins=multipole_bins(nside),
        ranges=octave_ranges(nside),
        bands=octave_bands(nside),
        edges=np.linspace(
            moments["min"] - moments["std"] / 2, moments["max"] + moments["std"] / 2, _HISTOGRAM + 1
        ),
    )
