"""Coefficients of two fields as parts of the largest that the fields allow, and their errors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Inexact

from jaxscat.fields.pairs import Pair
from jaxscat.statistics.abstract_coefficients import AbstractCoefficients
from jaxscat.statistics.coefficients import ScatteringCovariance

# Groups that are compared; a field alone has no S3P.
GROUPS = ("S1", "S2", "S3", "S3P", "S4")

Bounds = Mapping[str, Float[np.ndarray, "*shape"]]


def coherence_bounds(first: ScatteringCovariance, second: ScatteringCovariance) -> Bounds:
    """Return the largest magnitudes that the coefficients of two fields together can have.

    A mean product is at most the root of the product of the mean squares of its factors
    (Cauchy-Schwarz): of S2 the powers, of S3 the power of a wavelet coefficient and of a modulus,
    which is an S4 of one field, and of S4 of two moduli. S1 is at most the root of the product of
    the mean moduli.

    Args:
        first, second: coefficients of each field alone, perhaps the same.

    Returns:
        bounds in float64 of the shapes of the groups, by their names.

    Source: `docs/conventions.md`, "Two maps".
    """
    s1, s2 = ([_real(getattr(one, name)) for one in (first, second)] for name in ("s1", "s2"))
    moduli = [_power_of_moduli(one) for one in (first, second)]
    coarser = [j3 for _, j3 in first.pairs]
    at = {pair: number for number, pair in enumerate(first.pairs)}
    one = [at[j1, j3] for j1, _, j3 in first.triples]
    other = [at[j2, j3] for _, j2, j3 in first.triples]

    def third(field: int, modulus: int) -> Float[np.ndarray, "*masks P L L"]:
        return np.sqrt(s2[field][..., coarser, None, :] * moduli[modulus])

    return {
        "S1": np.sqrt(s1[0] * s1[1]),
        "S2": np.sqrt(s2[0] * s2[1]),
        "S3": third(0, 1),
        "S3P": third(1, 0),
        # Axes l2 (of the second field), l1 (of the first), l3.
        "S4": np.sqrt(
            moduli[1][..., other, :, None, :] * moduli[0][..., one, None, :, :],
        ),
    }


def coherence(
    statistics: AbstractCoefficients, bounds: Bounds
) -> dict[str, Inexact[np.ndarray, "*shape"]]:
    """Return coefficients over their bounds, by group; NaN where a bound is zero.

    Of coefficients and bounds of the same maps none has a magnitude above one.
    """
    found = {}
    for name, group in statistics.groups().items():
        if name not in GROUPS:
            continue
        bound = np.where(bounds[name] > 0, bounds[name], np.nan)
        with np.errstate(invalid="ignore"):  # complex numbers over NaN
            found[name] = np.asarray(group) / bound
    return found


def coherence_errors(
    statistics: AbstractCoefficients, wanted: AbstractCoefficients, bounds: Bounds
) -> dict[str, float]:
    """Return the rms difference of coherences, for each group; NaN where none is defined.

    Args:
        statistics, wanted: coefficients of the same two fields (or of one), to be compared.
        bounds: from `coherence_bounds`, of the fields that `wanted` is of.

    Source: `docs/conventions.md`, "Validation".
    """
    one, other = coherence(statistics, bounds), coherence(wanted, bounds)
    found = {}
    for name in other:
        squares = np.abs(one[name] - other[name]) ** 2
        known = np.isfinite(squares)
        found[name] = float(np.sqrt(squares[known].mean())) if known.any() else np.nan
    return found


def bounds_of_pairs(
    pairs: tuple[Pair, ...], alone: Mapping[str, ScatteringCovariance]
) -> dict[Pair, Bounds]:
    """Return the bounds of every pair, from the coefficients of every field alone."""
    return {pair: coherence_bounds(alone[pair[0]], alone[pair[1]]) for pair in pairs}


def _power_of_moduli(statistics: ScatteringCovariance) -> Float[np.ndarray, "*masks P L L"]:
    """Return S4 of every modulus with itself, of one field: axes (j2, j3), l2, l3."""
    own = {(j2, j3): n for n, (j1, j2, j3) in enumerate(statistics.triples) if j1 == j2}
    places = [own[pair] for pair in statistics.pairs]
    group = _real(statistics.s4)[..., places, :, :, :]
    return np.moveaxis(np.diagonal(group, axis1=-3, axis2=-2), -1, -2)


def _real(group: object) -> Float[np.ndarray, "*shape"]:
    """Return powers, which are real and never negative but for rounding, in float64."""
    return np.maximum(np.real(np.asarray(group)).astype(np.float64), 0.0)
