"""Scattering covariances of halves of a sky, for their scatter."""

from __future__ import annotations

import jax
import numpy as np

from jaxscat.statistics.coefficients import ScatteringCovariance
from jaxscat.statistics.measurement import build_measurement
from jaxscat.validation.parts import PARTS, design, sky_parts
from jaxscat.validation.reference import Reference
from jaxscat.validation.scattering import measure_on_host


def statistics_of_halves(
    reference: Reference,
) -> list[tuple[ScatteringCovariance, ScatteringCovariance]]:
    """Measure both halves of an original, for eleven ways to halve it (see `balanced_halves`).

    The coefficients of a half are the mean of those of its six parts, which are measured together
    as twelve masks. Empty for a footprint of fewer pixels than parts.

    Source: `docs/conventions.md`, "Tolerance".
    """
    pyramid = reference.measurement.pyramid
    spec = pyramid.spec
    weights = reference.footprint
    part = sky_parts(reference.original.size, weights)
    share = np.ones(part.size) if weights is None else weights
    masks = np.where(part == np.arange(PARTS)[:, None], share, 0.0)
    if spec.cell_count is not None:
        masks = masks[:, pyramid.pixels(spec.own_scale)]
    if not masks.any(axis=1).all():
        return []
    # A part ends where another begins: there are data beyond, of which a part must not be cut.
    measurement = build_measurement(pyramid, mask=masks, hidden="include")
    of_parts = measure_on_host(reference.original, measurement)
    return [(_mean_of(of_parts, first), _mean_of(of_parts, ~first)) for first in design()]


def _mean_of(of_parts: ScatteringCovariance, chosen: np.ndarray) -> ScatteringCovariance:
    return jax.tree.map(lambda values: values[chosen].mean(axis=0), of_parts)
