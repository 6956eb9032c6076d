"""Whether derivatives have converged in seeds and in steps, and whether there are any."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float

# Share of the squared length of a derivative above which noise or steps are worth a warning.
_TOLERANCE = 0.05


def share_of_length(
    part: Float[np.ndarray, "coefficient parameter"],
    whole: Float[np.ndarray, "coefficient parameter"],
    spread: Float[np.ndarray, " coefficient"],
) -> Float[np.ndarray, " parameter"]:
    """Return the length of a part of derivatives over that of the whole, zero where both are.

    Lengths are in units of the spread of the coefficients; those without spread do not count.

    Source: `docs/inference.md`, "Derivatives".
    """
    known = spread > 0
    lengths = [
        np.linalg.norm(of[known] / spread[known, None], axis=0) + np.finfo(float).tiny
        for of in (part, whole)
    ]
    return np.where(lengths[0] > np.finfo(float).tiny, lengths[0] / lengths[1], 0.0)


def warn_of_derivatives(
    each: Float[np.ndarray, "seed coefficient parameter"],
    noise: Float[np.ndarray, " parameter"],
    change: Float[np.ndarray, " parameter"] | None,
) -> None:
    """Warn of parameters without effect, and of those whose derivative has not converged.

    Args:
        each: derivatives of every seed.
        noise: share of the squared length of the mean that is noise.
        change: by which share of its length halving the step changes the mean; None of forward
            derivatives.
    """
    lost = np.flatnonzero(~each.any(axis=(0, 1)))
    if lost.size:
        steps = "" if change is None else " (or steps too small for the precision of its maps)"
        warnings.warn(
            f"jacobian: parameter{'s' * (lost.size > 1)} {', '.join(map(str, lost))} without "
            "effect: the derivative is zero in all coefficients and for all seeds, and Fisher "
            "matrices with it have no inverse; leave it out, use a summary that depends on it, or "
            f"look for an error in the simulator{steps}",
            stacklevel=3,
        )
    for parameter, share in enumerate(noise):
        if share > _TOLERANCE:
            warnings.warn(
                f"jacobian: not converged in seeds: {100 * share:.2g} % of the squared derivative "
                f"by parameter {parameter} is noise, which makes Fisher matrices too large; use "
                f"more than the {len(each)} seeds",
                stacklevel=3,
            )
    for parameter, share in enumerate([] if change is None else change):
        if share > _TOLERANCE:
            warnings.warn(
                f"jacobian: not converged in steps: halving the step of parameter {parameter} "
                f"changes its derivative by {100 * share:.2g} %; use a smaller step (or a larger "
                "one, if rounding of the simulator dominates)",
                stacklevel=3,
            )
