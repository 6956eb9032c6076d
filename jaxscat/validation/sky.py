"""How much of the sky a comparison is of, and what hidden pixels leave of every scale."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxscat.operators.pyramid import Pyramid
from jaxscat.statistics.hidden import Hidden
from jaxscat.statistics.interior import coverage

_TREATMENTS = {
    "exclude": "hidden pixels are kept out",
    "interior": "hidden pixels and all coefficients that they disturb are left out",
    "include": "hidden pixels are read",
    "patch": "the wavelets are those of a patch, one-sided at its edge",
}


def describe_sky(
    footprint: Float[np.ndarray, " p"] | None, pyramid: Pyramid, hidden: Hidden
) -> dict[str, Any] | None:
    """Return the fraction of the sky with weight, and what hidden pixels leave of every scale.

    The result is ready for JSON: `hidden`, how hidden pixels are treated; `sky_fraction`; and
    `scales`, for each its `nside` and the fractions of its pixels where S1 and S2 (`coefficients`)
    and S3 and S4 (`pairs`) are undisturbed (see `jaxscat.coverage`), of a patch the fraction that
    it has. The footprint [p] is of the whole sphere; of several masks it is the union. None for
    the whole sky.
    """
    if footprint is None:
        return None
    found = {"hidden": hidden, "sky_fraction": float(np.mean(footprint > 0))}
    if pyramid.spec.cell_count is not None:
        fractions = [level.npix / (12 * level.nside**2) for level in pyramid.levels]
        found["hidden"], pairs = "patch", fractions
    else:
        left = coverage(footprint, pyramid)
        fractions, pairs = left.coefficients.tolist(), left.pairs.tolist()
    scales = [
        {"nside": level.nside, "coefficients": single, "pairs": pair}
        for level, single, pair in zip(pyramid.levels, fractions, pairs, strict=True)
    ]
    return {**found, "scales": scales}


def sky_sentence(sky: Mapping[str, Any]) -> str:
    """Describe the content of `describe_sky` in words."""
    start = f"{_percent(sky['sky_fraction'])} of the sky; {_TREATMENTS[sky['hidden']]}."
    scales = sky["scales"]
    if sky["hidden"] == "patch":
        listed = ", ".join(f"nside {row['nside']}: {_percent(row['pairs'])}" for row in scales)
        return f"{start} Its pixels are, of the whole sphere, at {listed}."
    listed = ", ".join(
        f"nside {row['nside']}: {_percent(row['coefficients'])} / {_percent(row['pairs'])}"
        for row in scales
    )
    rest = "No other scale is measured." if sky["hidden"] == "interior" else "The others count too."
    return f"{start} Undisturbed by them are, of S1, S2 / S3, S4, at {listed}. {rest}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %" if fraction == 0 or fraction >= 0.01 else "< 1 %"
